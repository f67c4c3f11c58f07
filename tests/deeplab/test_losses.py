import math

import pytest
import torch
from torch import Tensor

from deeplab import pixel_loss, presence_loss, sharpened, soft_loss
from deeplab.losses import LOSSES, labels_at_cells

each_loss = pytest.mark.parametrize("loss", LOSSES)


def shares(*probabilities: float) -> Tensor:
    """Logits [1, n, 1, pixels] whose softmax gives these probabilities of class 1 of two, one a pixel."""
    p = torch.tensor(probabilities)
    return torch.stack([(1 - p).log(), p.log()])[None, :, None]


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = pixel_loss(torch.zeros(2, 5, 3, 3), torch.zeros(2, 9, 9, dtype=torch.long))
    assert math.isclose(loss.item(), math.log(5), rel_tol=1e-6)


def test_mean_is_over_labelled_pixels_alone() -> None:
    # two classes, logit difference ln 3: probabilities 3/4 and 1/4
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    target = torch.tensor([[[0, 1], [255, 255]]])
    assert math.isclose(pixel_loss(logits, target).item(), (math.log(4 / 3) + math.log(4)) / 2, rel_tol=1e-6)


def test_batch_without_labels_costs_nothing_and_moves_nothing() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = pixel_loss(logits, torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and logits.grad.abs().sum() == 0  # NaN would not compare equal


def test_ignored_pixels_get_no_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 2:] = 255
    pixel_loss(logits, target).backward()
    assert logits.grad is not None
    assert (logits.grad[:, :, :2] != 0).all() and (logits.grad[:, :, 2:] == 0).all()


def test_logits_of_low_precision_are_summed_in_full() -> None:
    loss = pixel_loss(torch.zeros(1, 4, 5, 5, dtype=torch.bfloat16), torch.zeros(1, 321, 321, dtype=torch.long))
    assert loss.dtype == torch.float32 and math.isclose(loss.item(), math.log(4), rel_tol=1e-5)


@each_loss
@pytest.mark.parametrize("at_cells", [False, True])
def test_no_loss_counts_a_batch_without_labels(loss: str, at_cells: bool) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    for weights in (None, torch.ones(2, 8, 8), torch.zeros(2, 8, 8)):
        total = pixel_loss(logits, torch.full((2, 8, 8), 255), weights, loss, at_cells)
        (gradient,) = torch.autograd.grad(total, logits)
        assert total.item() == 0 and gradient.abs().sum() == 0  # NaN would not compare equal


@each_loss
def test_no_loss_has_a_gradient_at_pixels_without_a_label_or_a_weight(loss: str) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, :2, 0], target[0, 2:] = 1, 255
    weights = torch.ones(1, 4, 4)
    weights[0, 1] = 0
    pixel_loss(logits, target, weights, loss).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, :, 0] != 0).all() and (logits.grad[0, :, 1:] == 0).all()


def test_balanced_loss_averages_foreground_and_background_apart() -> None:
    # p(class 1) of five pixels: three of background, one of class 1, one open
    logits, target = shares(0.2, 0.5, 0.6, 0.1, 0.3), torch.tensor([[[0, 0, 0, 1, 255]]])
    background, foreground = -math.log(0.8 * 0.5 * 0.4) / 3, -math.log(0.1)
    assert pixel_loss(logits, target, loss="balanced").item() == pytest.approx((background + foreground) / 2)
    assert pixel_loss(logits, target).item() == pytest.approx((3 * background + foreground) / 4)


@pytest.mark.parametrize(("label", "cost"), [(0, -math.log(0.8)), (1, -math.log(0.2))])
def test_balanced_loss_of_one_kind_of_pixels_is_their_mean(label: int, cost: float) -> None:
    target = torch.tensor([[[label, label, 255]]])
    assert pixel_loss(shares(0.2, 0.2, 0.9), target, loss="balanced").item() == pytest.approx(cost)


def test_balanced_loss_looks_at_the_whole_batch() -> None:
    # one foreground pixel in the first picture, three in the second: each counts a quarter of the foreground's half
    logits = torch.cat([shares(0.5, 0.5, 0.5), shares(0.25, 0.25, 0.25)])
    target = torch.tensor([[[1, 0, 0]], [[1, 1, 1]]])
    expected = (-math.log(0.5) + (-math.log(0.5) - 3 * math.log(0.25)) / 4) / 2
    assert pixel_loss(logits, target, loss="balanced").item() == pytest.approx(expected)


def test_bootstrapped_loss_is_partly_the_entropy_of_the_prediction() -> None:
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    for label, p in ((1, 0.9), (0, 0.1)):
        cost = pixel_loss(shares(0.9), torch.tensor([[[label]]]), loss="bootstrapped").item()
        assert cost == pytest.approx(-0.95 * math.log(p) + 0.05 * entropy, rel=1e-5)


def test_a_label_against_a_sure_prediction_pulls_less_than_in_plain_cross_entropy() -> None:
    def pull(loss: str) -> float:
        logits = torch.tensor([4.0, -4.0]).view(1, 2, 1, 1).requires_grad_()
        pixel_loss(logits, torch.tensor([[[1]]]), loss=loss).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        return float(logits.grad[0, 0, 0, 0])

    # plain: p(0) - 0 = 0.99966; bootstrapped: 0.95 of that, plus 0.05 of the entropy's slope, which is negative here:
    # -p log p summed over both falls with a surer prediction
    p = 1 / (1 + math.exp(-8))
    slope = -p * (1 - p) * 8  # d/dx of the entropy of softmax (x, -4) at x = 4: -p (1 - p) (log p - log (1 - p))
    assert pull("plain") == pytest.approx(p, rel=1e-5)
    assert pull("bootstrapped") == pytest.approx(0.95 * p + 0.05 * slope, rel=1e-4)


@each_loss
def test_weights_are_shares_and_all_alike_they_change_nothing(loss: str) -> None:
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    alike = pixel_loss(logits, target, torch.full((2, 4, 4), 0.25), loss)
    torch.testing.assert_close(alike, pixel_loss(logits, target, None, loss))


def test_a_pixel_counts_as_much_as_its_weight() -> None:
    logits, target = shares(0.5, 0.25, 0.9), torch.tensor([[[1, 1, 0]]])
    weights = torch.tensor([[[1.0, 3.0, 2.0]]])
    one, two, other = -math.log(0.5), -math.log(0.25), -math.log(0.1)
    assert pixel_loss(logits, target, weights).item() == pytest.approx((one + 3 * two + 2 * other) / 6)
    # balanced: the weights count among their own kind
    balanced = pixel_loss(logits, target, weights, "balanced").item()
    assert balanced == pytest.approx(((one + 3 * two) / 4 + other) / 2)


def of_three(*in_picture: bool) -> tuple[Tensor, Tensor]:
    """Logits [1, 3, 1, 1] of p = 0.5, 0.3, 0.2, and which of the two classes the picture shows."""
    return torch.tensor([0.5, 0.3, 0.2]).log().view(1, 3, 1, 1), torch.tensor([in_picture])


@pytest.mark.parametrize(
    ("label", "in_picture", "cost"),
    [
        (1, (True, False), -0.8 * math.log(0.3) - 0.2 * math.log(0.5)),  # class 1 or else background
        (1, (True, True), -0.8 * math.log(0.3) - 0.2 * math.log(0.7)),  # or else background or class 2
        (0, (False, True), -0.8 * math.log(0.5) - 0.2 * math.log(0.2)),  # background or else class 2
        (0, (False, False), -0.8 * math.log(0.5)),  # nothing else can be there
        (2, (True, False), -0.8 * math.log(0.2) - 0.2 * math.log(0.8)),  # a label that the picture's list has not
    ],
)
def test_soft_loss_believes_a_label_as_far_as_it_is_sure(label: int, in_picture: tuple[bool, ...], cost: float) -> None:
    logits, shown = of_three(*in_picture)
    loss = soft_loss(logits, torch.tensor([[[label]]]), torch.tensor([[[0.8]]]), shown)
    assert loss.item() == pytest.approx(cost, rel=1e-5)


def test_soft_loss_is_lowest_where_the_prediction_is_as_sure_as_the_label() -> None:
    shown, sure = torch.tensor([[True]]), torch.tensor([[[0.7]]])
    costs = {p: soft_loss(shares(p), torch.tensor([[[1]]]), sure, shown).item() for p in (0.6, 0.69, 0.7, 0.71, 0.9)}
    assert min(costs, key=lambda p: costs[p]) == 0.7


@pytest.mark.parametrize("at_cells", [False, True])
def test_soft_loss_of_certain_labels_is_cross_entropy(at_cells: bool) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    target, shown = torch.randint(0, 3, (2, 8, 8)), torch.tensor([[True, False], [False, False]])
    target[0, 3:] = 255
    soft = soft_loss(logits, target, torch.ones(2, 8, 8), shown, at_cells)
    torch.testing.assert_close(soft, pixel_loss(logits, target, at_cells=at_cells))
    (gradient,) = torch.autograd.grad(soft, logits)
    assert gradient.isfinite().all()


def test_soft_loss_without_labels_is_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = soft_loss(logits, torch.full((1, 8, 8), 255), torch.zeros(1, 8, 8), torch.tensor([[True, False]]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0 and gradient.abs().sum() == 0  # NaN would not compare equal


def test_what_is_two_fifths_foreground_is_even_and_the_rest_is_surer_than_it_was() -> None:
    confidence, target = torch.tensor([[[0.4, 0.6, 0.75, 0.75, 0.0, 1.0]]]), torch.tensor([[[1, 0, 2, 0, 1, 0]]])
    # odds of 3 are (3 * 3 / 2) ^ 2.5 = 42.96 for a class, (3 * 2 / 3) ^ 2.5 = 5.657 for the background
    expected = [0.5, 0.5, 42.96 / 43.96, 5.657 / 6.657, 0, 1]
    assert sharpened(confidence, target).flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_41_cells_see_every_eighth_pixel_of_a_crop_of_321() -> None:
    pixels = torch.arange(321)[None, :, None] * 1000 + torch.arange(321)[None, None]
    cells = labels_at_cells(pixels, (41, 41))
    assert torch.equal(cells, pixels[:, ::8, ::8])
    # 5 pixels under 3 cells: 0, 2, 4; one cell sees the first
    assert labels_at_cells(torch.arange(5).view(1, 5, 1), (3, 1)).flatten().tolist() == [0, 2, 4]
    assert labels_at_cells(torch.arange(5).view(1, 5, 1), (1, 1)).flatten().tolist() == [0]


def test_at_cells_the_labels_are_reduced_and_the_logits_left_alone() -> None:
    # cells lie on pixels 0, 2 and 4, whose labels are 0, 1 and open; those between are wrong, and not looked at
    target = torch.tensor([[[0, 1, 1, 0, 255]]])
    weights = torch.tensor([[[1.0, 9.0, 3.0, 9.0, 9.0]]])
    logits = shares(0.2, 0.5, 0.9)
    loss = pixel_loss(logits, target, weights, at_cells=True)
    assert loss.item() == pytest.approx((-math.log(0.8) - 3 * math.log(0.5)) / 4)


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="plain, balanced, bootstrapped"):
        pixel_loss(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long), loss="focal")


def test_presence_is_learned_where_it_is_known() -> None:
    shown = torch.tensor([[0.0, math.log(3), -math.log(3)]])
    target = torch.tensor([[[0, 1, 255, 0]]])
    # the first class is labelled (p = 1/2), the second in the picture but not seen here: unknown; the third in neither
    loss = presence_loss(shown, target, torch.tensor([[True, True, False]]))
    assert loss.item() == pytest.approx((math.log(2) - math.log(3 / 4)) / 2)
    assert presence_loss(shown, target * 0 + 255, torch.ones(1, 3, dtype=torch.bool)).item() == 0
