import math

import torch

from deeplab import pixel_cross_entropy


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = pixel_cross_entropy(torch.zeros(2, 5, 3, 3), torch.zeros(2, 9, 9, dtype=torch.long))
    assert math.isclose(loss.item(), math.log(5), rel_tol=1e-6)


def test_mean_is_over_labelled_pixels_alone() -> None:
    # two classes, logit difference ln 3: probabilities 3/4 and 1/4
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    target = torch.tensor([[[0, 1], [255, 255]]])
    assert math.isclose(pixel_cross_entropy(logits, target).item(), (math.log(4 / 3) + math.log(4)) / 2, rel_tol=1e-6)


def test_batch_without_labels_costs_nothing_and_moves_nothing() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = pixel_cross_entropy(logits, torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and logits.grad.abs().sum() == 0  # NaN would not compare equal


def test_ignored_pixels_get_no_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 2:] = 255
    pixel_cross_entropy(logits, target).backward()
    assert logits.grad is not None
    assert (logits.grad[:, :, :2] != 0).all() and (logits.grad[:, :, 2:] == 0).all()


def test_logits_of_low_precision_are_summed_in_full() -> None:
    loss = pixel_cross_entropy(
        torch.zeros(1, 4, 5, 5, dtype=torch.bfloat16), torch.zeros(1, 321, 321, dtype=torch.long)
    )
    assert loss.dtype == torch.float32 and math.isclose(loss.item(), math.log(4), rel_tol=1e-5)
