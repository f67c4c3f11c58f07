import pytest
import torch
from torch import Tensor, nn

from deeplab import predict_logits


class ByColour(nn.Module):
    """Logits at stride 2: the red and the green mean of 2 x 2 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images[:, :2], 2)


class ByColumn(nn.Module):
    """Logits that grow from left to right, whatever the picture shows."""

    def forward(self, images: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, images.shape[3]).expand(1, 1, images.shape[2], -1)
        return torch.cat([ramp, torch.zeros_like(ramp)], dim=1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
def test_probabilities_have_the_size_of_the_picture_and_sum_to_one(scales: tuple[float, ...], flip: bool) -> None:
    result = predict_logits(ByColour(), torch.rand(3, 15, 22), scales, flip)
    assert result.shape == (2, 15, 22)
    torch.testing.assert_close(result.sum(0), torch.ones(15, 22))


def test_constant_picture_has_the_same_probability_at_every_scale() -> None:
    image = torch.zeros(3, 12, 12)
    image[0] = 1.0
    # softmax of (1, 0)
    expected = torch.full((12, 12), 1 / (1 + torch.e**-1))
    torch.testing.assert_close(predict_logits(ByColour(), image, (0.5, 1.0, 2.0), flip=True)[0], expected)


def test_probabilities_of_all_passes_are_averaged_and_not_their_logits() -> None:
    class ByHeight(nn.Module):
        """p(class 0) = H / (H + 1) of the picture's height, everywhere."""

        def forward(self, images: Tensor) -> Tensor:
            logits = torch.tensor([float(images.shape[2]), 1.0]).log()
            return logits.view(1, 2, 1, 1).expand(1, 2, 2, 3)

    result = predict_logits(ByHeight(), torch.rand(3, 8, 9), (0.5, 1.0, 1.5))
    torch.testing.assert_close(result[0], torch.full((8, 9), (4 / 5 + 8 / 9 + 12 / 13) / 3))


def test_mirrored_pass_is_mirrored_back() -> None:
    image = torch.rand(3, 8, 8)
    image[:, :, :4] = 0
    plain = predict_logits(ByColour(), image)
    torch.testing.assert_close(predict_logits(ByColour(), image, flip=True), plain)
    # a network that looks at the place alone is averaged with its mirror image
    both = predict_logits(ByColumn(), image, flip=True)
    torch.testing.assert_close(both, both.flip(2))
    torch.testing.assert_close(both[0], torch.full((8, 8), 0.5), atol=1e-6, rtol=0)


def test_outermost_logits_lie_on_outermost_pixels_where_the_network_was_trained_so() -> None:
    class Cells(nn.Module):
        """Logits at every eighth pixel: of class 0, the number of the column."""

        def forward(self, images: Tensor) -> Tensor:
            columns = torch.arange(images.shape[3], dtype=torch.float).expand(1, 1, images.shape[2], -1)[..., ::8, ::8]
            return torch.cat([columns, torch.zeros_like(columns)], dim=1)

    # pixel x of 17 has logit x again, and its softmax beside 0 is a sigmoid
    expected = torch.arange(17.0).sigmoid().expand(17, 17)
    torch.testing.assert_close(predict_logits(Cells(), torch.rand(3, 17, 17), at_cells=True)[0], expected)
    # otherwise each of 3 cells belongs to a third of the picture, and the first pixels to the first cell alone
    assert (predict_logits(Cells(), torch.rand(3, 17, 17))[0, :, :3] == 0.5).all()


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0)])
def test_impossible_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        predict_logits(ByColour(), torch.rand(3, 4, 4), scales)


def test_a_single_pixel_can_be_read() -> None:
    assert predict_logits(ByColumn(), torch.rand(3, 1, 1), (0.5, 1.0)).shape == (2, 1, 1)
