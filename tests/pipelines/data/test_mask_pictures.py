"""One mask in every mode that programs write; the object is the 4 x 4 square at rows and columns 2 to 5 of 8 x 8."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.mask_pictures import open_mask
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError

SQUARE = np.zeros((8, 8), bool)
SQUARE[2:6, 2:6] = True
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))


def grey(inside: int, outside: int = 0) -> Image.Image:
    return Image.fromarray(np.where(SQUARE, inside, outside).astype(np.uint8))


def palette(index: int, colours: list[int]) -> Image.Image:
    image = grey(index)
    image.putpalette(colours)
    return image


def coloured(inside: tuple[int, ...], outside: tuple[int, ...] = (0, 0, 0)) -> Image.Image:
    return Image.fromarray(np.where(SQUARE[..., None], inside, outside).astype(np.uint8))


def soft() -> Image.Image:
    values = np.where(SQUARE, 130, 0).astype(np.uint8)
    values[1, 2:6] = (1, 60, 127, 20)  # a soft edge above the square, all of it below the half
    return Image.fromarray(values)


MODES = {
    "black and white": Image.fromarray(SQUARE),
    "0 and 255": grey(255),
    "0 and 1": grey(1),
    "0 and 100": grey(100),
    "two values of noise": grey(250, 5),
    "soft": soft(),
    "16 bits": Image.fromarray(np.where(SQUARE, 65535, 0).astype(np.uint16)),
    "16 bits, soft": Image.fromarray(np.where(SQUARE, 40000, np.arange(8) * 100).astype(np.uint16)),
    "16 bits of 8": Image.fromarray(np.where(SQUARE, 255, 0).astype(np.uint16)),
    "palette of VOC": palette(15, voc_palette()),
    "palette of greys": palette(255, [value for value in range(256) for _ in range(3)]),
    "palette of two": palette(1, [0, 0, 0, 255, 0, 0]),
    "grey in RGB": coloured((255, 255, 255)),
    "colour of VOC": coloured((192, 128, 128)),
    "any colour": coloured((255, 0, 0)),
    "cut-out": coloured((200, 10, 30, 255), (90, 80, 70, 0)),
    "opaque": coloured((255, 255, 255, 255), (0, 0, 0, 255)),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_square_is_found_in_every_mode(mode: str, tmp_path: Path) -> None:
    MODES[mode].save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_mask(tmp_path / "a.png").mask(), SQUARE)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_noise_of_jpeg_is_no_part_of_a_mask(mode: str, tmp_path: Path) -> None:
    large = np.kron(SQUARE, np.ones((9, 9), bool))  # 72 x 72: its edges cut the blocks of JPEG, so there is noise
    Image.fromarray((large * 255).astype(np.uint8)).convert(mode).save(tmp_path / "a.jpg", quality=70)
    picture = open_mask(tmp_path / "a.jpg")
    assert len(picture.levels) > 2 and picture.levels[1] < 20
    np.testing.assert_array_equal(picture.mask(), large)
    assert picture.is_soft and not picture.tells_numbers


def test_masks_of_more_than_two_values_are_soft(tmp_path: Path) -> None:
    def is_soft(mode: str) -> bool:
        MODES[mode].save(tmp_path / "a.png")
        return open_mask(tmp_path / "a.png").is_soft

    assert [mode for mode in MODES if is_soft(mode)] == ["soft", "16 bits, soft"]


def test_grey_values_tell_numbers_from_masks(tmp_path: Path) -> None:
    def kind(*values: int) -> tuple[bool, bool]:
        Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "a.png")
        picture = open_mask(tmp_path / "a.png")
        return picture.tells_numbers, picture.tells_grey

    assert kind(0, 1, 2, 7, 255) == (True, False)
    assert kind(0, 1) == (True, False)
    assert kind(0, 3, 90, 200) == (False, True)
    assert kind(0, 60, 64, 120, 255) == (False, False)  # the faint edge of a mask
    assert kind(0, 255) == (False, False)
    assert kind(0, 0) == (False, False)


def test_colours_of_a_labelmap_are_numbers_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("background:9,9,9::\ncat:250,50,83::\ndog:1,2,3::\n")
    colours = np.full((8, 8, 3), 9, np.uint8)
    colours[0, 0], colours[SQUARE] = (250, 50, 83), (1, 2, 3)
    Image.fromarray(colours).save(tmp_path / "a.png")
    picture = open_mask(tmp_path / "a.png")
    assert picture.numbers() == [1, 2] and picture.kind == "indices"
    np.testing.assert_array_equal(picture.values == 2, SQUARE)


@pytest.mark.parametrize(
    ("image", "suffix", "found"),
    [
        (coloured((255, 0, 0)), ".jpg", "has colours in a format that changes them"),
        (
            Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)),
            ".png",
            r"pixel \(0, 0\) has",
        ),
        (Image.fromarray(SQUARE.astype(np.float32)), ".tif", "pixels are of mode F"),
    ],
)
def test_what_is_no_mask_is_refused(image: Image.Image, suffix: str, found: str, tmp_path: Path) -> None:
    image.resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / f"a{suffix}")
    with pytest.raises(InputError, match=rf"a{suffix}: {found}.*mask-mode"):
        open_mask(tmp_path / f"a{suffix}")
