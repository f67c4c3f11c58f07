import pytest
import torch
from torch import Tensor, nn

from deeplab import build_deeplab, predict_probabilities


class ByColour(nn.Module):
    """Logits at stride 2: how red and how green the pixels 0, 2, ... are."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2, ::2, ::2]


class ByColumn(nn.Module):
    """Logits that grow from left to right, whatever the picture shows."""

    def forward(self, images: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, images.shape[3]).expand(1, 1, images.shape[2], -1)
        return torch.cat([ramp, torch.zeros_like(ramp)], dim=1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
def test_probabilities_have_the_size_of_the_picture_and_sum_to_one(scales: tuple[float, ...], flip: bool) -> None:
    result = predict_probabilities(ByColour(), torch.rand(3, 15, 22), scales, flip)
    assert result.shape == (2, 15, 22)
    torch.testing.assert_close(result.sum(0), torch.ones(15, 22))


def test_constant_picture_has_the_same_probability_at_every_scale() -> None:
    image = torch.zeros(3, 48, 48)
    image[0] = 1.0
    # softmax of (1, 0), away from the edges, beyond which the picture is continued in grey
    expected = torch.full((24, 24), 1 / (1 + torch.e**-1))
    result = predict_probabilities(ByColour(), image, (0.5, 1.0, 2.0), flip=True)
    torch.testing.assert_close(result[0, 12:36, 12:36], expected)


def test_probabilities_of_all_passes_are_averaged_and_not_their_logits() -> None:
    class ByHeight(nn.Module):
        """p(class 0) = H / (H + 1) of the picture's height, everywhere."""

        def forward(self, images: Tensor) -> Tensor:
            logits = torch.tensor([float(images.shape[2]), 1.0]).log()
            return logits.view(1, 2, 1, 1).expand(1, 2, 2, 3)

    # 17 rows stay, 8 become 17, and 34 become 49
    result = predict_probabilities(ByHeight(), torch.rand(3, 17, 9), (1.0, 0.5, 2.0))
    torch.testing.assert_close(result[0], torch.full((17, 9), (17 / 18 + 17 / 18 + 49 / 50) / 3))


def test_mirrored_pass_is_mirrored_back() -> None:
    image = torch.rand(3, 9, 9)
    image[:, :, :4] = 0
    plain = predict_probabilities(ByColour(), image)
    torch.testing.assert_close(predict_probabilities(ByColour(), image, flip=True), plain)
    # a network that looks at the place alone is averaged with its mirror image
    both = predict_probabilities(ByColumn(), image, flip=True)
    torch.testing.assert_close(both, both.flip(2))
    torch.testing.assert_close(both[0], torch.full((9, 9), 0.5), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(40, 50), (33, 47), (17, 64)])
def test_what_a_cell_sees_is_told_of_the_pixel_in_its_middle(height: int, width: int) -> None:
    class Cells(nn.Module):
        """Logits at every eighth pixel: of class 0 what is red there, of class 1 what is green."""

        def forward(self, images: Tensor) -> Tensor:
            return images[:, :2, ::8, ::8]

    image = torch.zeros(3, height, width)
    image[0] = torch.linspace(-3, 3, width)
    image[1] = torch.linspace(-2, 2, height)[:, None]
    # A plane, read at some pixels and laid through them again, has its own value everywhere between these, and the
    # softmax of two is a sigmoid of their difference.
    expected = (image[0] - image[1]).sigmoid()
    inside = slice(8, height - 8), slice(8, width - 8)
    result = predict_probabilities(Cells(), image)[0]
    torch.testing.assert_close(result[inside], expected[inside])


def test_sides_of_a_multiple_of_16_and_one_more_are_read_alike_from_left_and_from_right() -> None:
    torch.manual_seed(0)
    net = build_deeplab("efficientnet_lite0", 3).eval()
    for conv in net.modules():
        if isinstance(conv, nn.Conv2d):  # mirrored, it is the same: what is not symmetric then is where it looks
            conv.weight.data = (conv.weight + conv.weight.flip(3)) / 2
    with torch.inference_mode():
        for width, symmetric in ((97, True), (96, False), (83, False)):
            images = torch.rand(1, 3, 65, width)
            logits = net(images)
            mirrored = net(images.flip(3)).flip(3)
            scale = logits.std()
            assert ((mirrored - logits).abs().max() < 1e-3 * scale) == symmetric, width
    # a picture of any size is read so
    image = torch.rand(3, 65, 83)
    torch.testing.assert_close(predict_probabilities(net, image.flip(2)).flip(2), predict_probabilities(net, image))


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0)])
def test_impossible_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        predict_probabilities(ByColour(), torch.rand(3, 4, 4), scales)


def test_a_single_pixel_can_be_read() -> None:
    assert predict_probabilities(ByColumn(), torch.rand(3, 1, 1), (0.5, 1.0)).shape == (2, 1, 1)
