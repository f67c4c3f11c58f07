import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import find_images, image_size, open_image, open_picture, write_png
from pipelines.data.notes import Notes
from pipelines.errors import InputError

RED, WHITE = [255, 0, 0], [255, 255, 255]


def rule_of(path: Path, **options: int) -> str:
    with pytest.raises(InputError) as caught:
        open_image(path, **options)
    assert str(path) in str(caught.value)
    return caught.value.rule


def noise(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_a_lossless_picture_comes_back_exactly(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise()).save(path)
    picture = open_image(path)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    np.testing.assert_array_equal(picture, noise())
    assert image_size(path) == (40, 60)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".gif"])
def test_lossy_formats_are_read_as_well(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (7, 5), (200, 100, 50)).save(path)
    picture = open_image(path)
    assert picture.shape == (5, 7, 3)
    assert np.abs(picture.astype(int) - [200, 100, 50]).max() <= 4


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "n02105855_2933.JPEG"  # ImageNet has a PNG under this name
    Image.fromarray(noise()).save(path, format="PNG")
    np.testing.assert_array_equal(open_image(path), noise())


def test_grey_and_black_and_white_become_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / "l.png")
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "1.png")
    assert open_image(tmp_path / "l.png").tolist() == [[[0] * 3, [128] * 3, [255] * 3]]
    assert open_image(tmp_path / "1.png").tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_keep_their_upper_byte(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.array([[0, 255, 256, 0x1234, 65535]], np.uint16)).save(path)
    assert open_image(path)[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_without_a_known_range_are_refused(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1, 70000]], dtype)).save(tmp_path / "a.tif")
    assert rule_of(tmp_path / "a.tif") == "image-format"


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    for path in (tmp_path / "a.tif", tmp_path / "a.jpg"):
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
        assert np.abs(open_image(path).astype(int) - RED).max() <= 4


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").tolist() == [[RED, [0, 0, 255]]]


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    # black at 51/255 = 20 % over white leaves 80 % of 255 = 204
    assert open_image(tmp_path / "rgba.png").tolist() == [[RED, WHITE, [204] * 3]]


def test_transparency_of_a_palette_or_a_key_colour_lies_over_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "index.png", transparency=1)
    image.save(tmp_path / "bytes.png", transparency=b"\xff\x00")
    Image.fromarray(np.array([[RED, [0, 0, 9]]], np.uint8)).save(tmp_path / "key.png", transparency=(0, 0, 9))
    Image.merge("LA", [Image.new("L", (1, 1), 0), Image.new("L", (1, 1), 0)]).save(tmp_path / "la.png")
    for name in ("index", "bytes", "key"):
        assert open_image(tmp_path / f"{name}.png").tolist() == [[RED, WHITE]], name
    assert open_image(tmp_path / "la.png").tolist() == [[WHITE]]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_to_pixels_and_size(orientation: int, suffix: str, tmp_path: Path) -> None:
    # A white corner on black: where the stored upper left corner must be seen, by the EXIF 2.3 table of orientations
    # (which row and which column of the scene the first stored row and column are).
    seen_at = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(stored).save(path, exif=exif)
    picture = open_image(path)
    assert picture.shape == ((32, 64, 3) if orientation <= 4 else (64, 32, 3))
    assert image_size(path) == picture.shape[:2]
    corners = {(row, column) for row in (0, -1) for column in (0, -1) if picture[row, column, 0] > 128}
    assert corners == {seen_at[orientation]}


@pytest.mark.filterwarnings("ignore")  # Pillow tells of the damage
def test_damaged_exif_data_does_not_damage_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(noise()).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert open_image(path).shape == (40, 60, 3)
    assert image_size(path) == (40, 60)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "a.gif")[0, 0].tolist() == RED


def test_the_smallest_pictures_are_read(tmp_path: Path) -> None:
    for width, height in ((1, 1), (1, 300), (300, 1)):
        Image.new("RGB", (width, height), "red").save(tmp_path / "a.png")
        assert open_image(tmp_path / "a.png").shape == (height, width, 3)


def test_a_missing_picture_and_a_folder_are_told_apart_from_damage(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    assert rule_of(tmp_path / "none.jpg") == "image-missing"
    assert rule_of(tmp_path / "folder.jpg") == "image-missing"


def test_a_picture_without_read_rights_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr(os, "open", refuse)  # the tests may run as root, who may read everything
    assert rule_of(tmp_path / "a.jpg") == "image-unreadable"


def test_a_file_of_no_bytes_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    assert rule_of(tmp_path / "a.jpg") == "image-damaged"


def test_text_under_a_picture_name_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    assert rule_of(tmp_path / "a.jpg") == "image-format"


def test_formats_outside_the_list_are_refused(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.jpg", format="PPM")
    assert rule_of(tmp_path / "a.jpg") == "image-format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_picture_is_damaged(kind: str, share: float, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, format=kind)
    whole = buffer.getvalue()
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert rule_of(path) in ("image-damaged", "image-format")
    if kind == "JPEG":
        assert rule_of(path) == "image-damaged"


@pytest.mark.filterwarnings("ignore")  # what decoders say about damage differs with every byte
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_flipped_bytes_give_a_picture_or_an_input_error_and_nothing_else(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(16, 16)).save(buffer, format=kind)
    path = tmp_path / "a.jpg"
    random = np.random.default_rng(1)
    damaged = 0
    for _ in range(60):
        content = bytearray(buffer.getvalue())
        for position in random.integers(0, min(len(content), 120), 3):
            content[position] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            assert open_image(path, max_pixels=10**6).shape[2] == 3
        except InputError:
            damaged += 1
    assert damaged > 0


def test_a_picture_over_the_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(8000, 7000))
    with pytest.raises(InputError, match=r"picture is 8000x7000 \(56 MP\), limit 50 MP; .* \[image-too-large\]"):
        open_image(path)
    with pytest.raises(InputError, match="image-too-large"):
        image_size(path)


@pytest.mark.parametrize("side", [10_000, 21_000, 60_000])  # below, and above, what Pillow itself warns of and refuses
def test_a_decompression_bomb_is_refused(side: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(side, side))
    assert rule_of(path) == "image-too-large"
    with pytest.raises(InputError, match=f"{side * side // 1_000_000} MP"):
        open_image(path)


def test_the_limit_counts_pixels_and_includes_itself(tmp_path: Path) -> None:
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png", max_pixels=100).shape == (10, 10, 3)
    assert rule_of(tmp_path / "a.png", max_pixels=99) == "image-too-large"


def test_image_size_does_not_decode(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(noise()).save(path)
    path.write_bytes(path.read_bytes()[:700])
    assert image_size(path) == (40, 60)
    (tmp_path / "a.png").write_bytes(png_header(30, 20))
    assert image_size(tmp_path / "a.png") == (20, 30)
    assert rule_of(tmp_path / "a.png") == "image-damaged"


def test_an_error_of_the_caller_is_not_taken_for_damage(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    with pytest.raises(ZeroDivisionError), open_picture(tmp_path / "a.png"):
        raise ZeroDivisionError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_pictures_are_found_in_sub_folders_in_order_of_their_ids(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a/z.png", "a/c.v2.jpeg", "notes.txt", ".hidden.jpg", ".cache/x.jpg", "a/.y.png")
    found = find_images(tmp_path)
    assert list(found.items()) == [
        ("a/c.v2", tmp_path / "a" / "c.v2.jpeg"),
        ("a/z", tmp_path / "a" / "z.png"),
        ("b", tmp_path / "b.JPG"),
    ]


def test_two_pictures_of_one_id_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "a/x.png")
    with pytest.raises(InputError, match=r"a/x\.jpg and a/x\.png.*image-id-twice"):
        find_images(tmp_path)


def test_a_missing_and_an_empty_folder_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="folder-missing"):
        find_images(tmp_path / "none")
    with pytest.raises(InputError, match="folder-missing"):
        find_images(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="folder-empty"):
        find_images(tmp_path)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "disk/x.jpg", "pictures/y.jpg")
    (tmp_path / "pictures" / "more").symlink_to(tmp_path / "disk")
    (tmp_path / "pictures" / "loop").symlink_to(tmp_path / "pictures")
    assert list(find_images(tmp_path / "pictures")) == ["more/x", "y"]


@pytest.mark.parametrize("target", ["..", "/", "/proc", "/proc/self", "/sys"])
def test_links_that_lead_away_are_left_out_and_named(target: str, tmp_path: Path) -> None:
    touch(tmp_path, "pictures/deep/y.jpg", "z.jpg")
    folder = tmp_path / "pictures"
    (folder / "deep" / "up").symlink_to(tmp_path if target == ".." else target)
    notes = Notes()
    assert list(find_images(folder, notes)) == ["deep/y"]
    [((what, warned), cases)] = notes.taken().items()
    assert what == f"{folder}: links left out, because they lead away from it" and warned
    assert [case.partition(" (to ")[0] for case in cases] == [f"{folder}/deep/up"]
    # From the folder above, the link to it is one back, and the others lead away as before.
    assert list(find_images(tmp_path, notes)) == ["pictures/deep/y", "z"]


def test_names_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"bild\xff.jpg")
    try:
        touch(tmp_path, name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    assert list(find_images(tmp_path)) == [os.fsdecode(b"bild\xff")]


def test_a_written_png_holds_its_pixels(tmp_path: Path) -> None:
    write_png(tmp_path / "deep" / "rgb.png", noise())
    np.testing.assert_array_equal(open_image(tmp_path / "deep" / "rgb.png"), noise())
    with pytest.raises(ValueError, match="float64"):
        write_png(tmp_path / "a.png", np.zeros((2, 2)))  # type: ignore[arg-type]
