import math

import pytest
import torch
from torch import Tensor, nn

from deeplab import DeepLab, MultiScale, build_deeplab, pixel_loss, predict_probabilities
from deeplab.network import FrozenTrunk, Normalise


class BySize(nn.Module):
    """Logits [B, 2, 1, 1]: the logarithms of the picture's height and of 1, so that p(class 0) = H / (H + 1)."""

    def forward(self, images: Tensor) -> Tensor:
        height = torch.full((len(images), 1, 1, 1), float(images.shape[2]))
        return torch.cat([height.log(), torch.zeros_like(height)], dim=1)


class Head(nn.Module):
    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]


def tiny(net: nn.Module) -> MultiScale:
    return MultiScale(DeepLab(FrozenTrunk(net, Normalise((0, 0, 0), (1, 1, 1))), Head(), 8, 2))


def test_a_crop_of_321_is_also_read_at_241_and_161() -> None:
    seen = []

    class Note(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(tuple(images.shape))
            return images[:, :2, ::8, ::8]

    assert tiny(Note()).eval()(torch.rand(2, 3, 321, 321)).shape == (2, 2, 41, 41)
    assert seen == [(2, 3, 321, 321), (2, 3, 241, 241), (2, 3, 161, 161)]


def test_the_loss_is_the_sum_of_four_cross_entropies_as_derived_by_hand() -> None:
    net = tiny(BySize()).train()
    logits = net(torch.rand(1, 3, 9, 9))
    assert isinstance(logits, list)
    # heights 9, 7 and 5 (of 9 pixels, 8 steps: 6 and 4 of them); the maximum of class 0 is the first, of class 1 equal
    losses = [pixel_loss(each, torch.zeros(1, 9, 9, dtype=torch.long), at_cells=True).item() for each in logits]
    expected = [-math.log(9 / 10), -math.log(7 / 8), -math.log(5 / 6), -math.log(9 / 10)]
    assert losses == pytest.approx(expected)


def test_the_answer_is_the_largest_logit_of_each_class_and_place() -> None:
    class Pyramid(nn.Module):
        """Class 0 is sure in large pictures, class 1 in small ones, where it grows from left to right."""

        def forward(self, images: Tensor) -> Tensor:
            side = images.shape[3]
            cells = (side - 1) // 8 + 1
            ramp = torch.linspace(0, 100 / side, cells).expand(1, 1, cells, cells)
            return torch.cat([torch.full_like(ramp, float(side)), ramp], dim=1)

    fused = tiny(Pyramid()).eval()(torch.zeros(1, 3, 33, 33))
    # sides 33, 25 and 17; cells 5, 4 and 3, whose outermost lie on each other
    assert torch.equal(fused[0, 0], torch.full((5, 5), 33.0))
    torch.testing.assert_close(fused[0, 1], torch.linspace(0, 100 / 17, 5).expand(5, 5))


def test_in_training_smaller_scales_keep_their_own_cells() -> None:
    class Stride8(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, :2, ::8, ::8]

    logits = tiny(Stride8()).train()(torch.rand(2, 3, 321, 321))
    assert [tuple(each.shape) for each in logits] == [(2, 2, 41, 41), (2, 2, 31, 31), (2, 2, 21, 21), (2, 2, 41, 41)]


def test_a_scaled_network_has_the_parameters_of_its_network_and_predicts_whole_pictures() -> None:
    torch.manual_seed(0)
    net = build_deeplab("efficientnet_lite0", 3)
    scaled = MultiScale(net)
    plain_net = net.without_presence()
    assert list(map(id, scaled.new_parameters())) == list(map(id, plain_net.new_parameters()))
    assert list(map(id, scaled.trunk_parameters())) == list(map(id, plain_net.trunk_parameters()))
    assert (scaled.output_stride, scaled.n_outputs) == (8, 3)
    image = torch.rand(3, 40, 70)
    plain = predict_probabilities(scaled.eval(), image)
    assert plain.shape == (3, 40, 70)
    folded = predict_probabilities(scaled.prepare_for_inference(), image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in scaled.modules())
    torch.testing.assert_close(folded, plain, rtol=1e-3, atol=1e-4)


def test_a_network_at_several_scales_does_not_ask_which_classes_are_shown() -> None:
    single = build_deeplab("efficientnet_lite0", 3)
    net = MultiScale(single).train()
    assert net.net.presence is None and single.presence is not None
    assert all(logits.shape[1] == 3 for logits in net(torch.rand(2, 3, 65, 65)))
