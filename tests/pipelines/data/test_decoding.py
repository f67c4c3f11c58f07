"""Decoding in tiles gives what decoding in one piece gives, for every mode of Pillow that is read."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data import decoding
from pipelines.data.decoding import to_rgb, to_working_rgb, turned
from pipelines.data.images import open_image
from pipelines.errors import InputError


def picture(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (23, 31, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(pixels[..., :2].copy().view(np.uint16)[..., 0])
    if mode == "P with transparency":
        image = image.convert("RGB").quantize(16)
        image.info["transparency"] = bytes(range(0, 256, 16))
        return image
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "P with transparency", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_tiles_make_no_difference(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = to_rgb(picture(mode))
    assert expected.shape == (23, 31, 3)
    assert len(np.unique(expected)) > 1
    for most in (7, 31 * 4, 31 * 22):  # parts of rows, some rows, all but one row
        monkeypatch.setattr(decoding, "WORKING_PIXELS", most)
        np.testing.assert_array_equal(to_rgb(picture(mode)), expected)


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_pixels_are_turned_as_pillow_turns_pictures(turn: Image.Transpose) -> None:
    image = picture("RGB")
    np.testing.assert_array_equal(turned(np.asarray(image), turn), np.asarray(image.transpose(turn)))


def damaged_tiff() -> bytes:
    """A TIFF whose packed pixels are noise; libtiff has much to say of it."""
    file = io.BytesIO()
    picture("RGB").save(file, "TIFF", compression="tiff_lzw")
    content = bytearray(file.getvalue())
    content[8:600] = np.random.default_rng(0).integers(0, 256, 592, dtype=np.uint8).tobytes()
    return bytes(content)


def test_libtiff_writes_nothing_to_stderr() -> None:
    # In a process of its own: what C code writes passes by the capture of the tests, and the switch cannot be undone.
    code = (
        "import io, sys\nfrom PIL import Image\n{}\n"
        "try:\n    Image.open(io.BytesIO(sys.stdin.buffer.read())).load()\nexcept OSError:\n    print('refused')"
    )
    said = []
    for switch in ("", "from pipelines.data.decoding import silence_libtiff\nsilence_libtiff()"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(switch)], input=damaged_tiff(), capture_output=True, check=True
        )
        assert done.stdout.strip() == b"refused"
        said.append(done.stderr)
    assert b"LZW" in said[0] or b"tif" in said[0].lower()
    assert said[1] == b""


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "I;16"])
@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90, Image.Transpose.FLIP_TOP_BOTTOM])
def test_a_large_picture_is_reduced_as_the_whole_one_would_be(mode: str, turn: Image.Transpose | None) -> None:
    values = np.random.default_rng(0).integers(0, 256, (1501, 1601), dtype=np.uint8)  # blocks of 2 x 2, and a rest
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(values).convert(mode)
    whole = turned(to_rgb(image), turn)
    pixels, size = to_working_rgb(image, turn)
    assert size.shown == whole.shape[:2] and size.factors == (2, 2)
    np.testing.assert_array_equal(pixels, size.reduce(whole))


def test_a_picture_that_is_not_large_is_decoded_as_it_is() -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    pixels, size = to_working_rgb(image, None)
    assert size.factors == (1, 1)
    np.testing.assert_array_equal(pixels, to_rgb(image))


def test_numbers_that_a_decoder_cannot_hold_are_damage(tmp_path: Path) -> None:
    """A TIFF of 8 x 8 pixels whose tile is 2^31 pixels wide: tag, type (4 is a whole number), count, value."""
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 9)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path = tmp_path / "tiles.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(68))
    with pytest.raises(InputError) as caught:
        open_image(path)
    assert caught.value.rule == "image-damaged"
