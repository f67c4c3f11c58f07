import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.classes import ClassList
from pipelines.data.images import open_image
from pipelines.data.label_maps import read_label_map, read_palette_map, tell_reading, write_palette_map
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError
from pipelines.events import Events

LABELS = np.array([[0, 1, 15], [20, 254, 255]], np.uint8)


def test_a_label_map_comes_back_exactly_and_shows_the_colours_of_voc(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.png"
    write_palette_map(path, LABELS)
    read = read_palette_map(path)
    np.testing.assert_array_equal(read, LABELS)
    assert read.dtype == np.uint8
    with Image.open(path) as image:
        assert image.mode == "P"
    assert open_image(path)[0, 2].tolist() == [192, 128, 128]


@pytest.mark.parametrize("label_map", [np.zeros((3, 3)), np.zeros((3, 3, 3), np.uint8)])
def test_only_indices_are_written(label_map: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_palette_map(tmp_path / "a.png", label_map)


def test_grey_values_are_indices(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_palette_map(tmp_path / "a.png"), LABELS)


def test_every_colour_of_the_palette_is_turned_back_into_its_index(tmp_path: Path) -> None:
    colours = np.array(voc_palette(), np.uint8).reshape(16, 16, 3)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_palette_map(tmp_path / "a.png"), np.arange(256).reshape(16, 16))


def test_a_colour_outside_the_palette_is_refused_and_located(tmp_path: Path) -> None:
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[2, 3] = (127, 0, 0)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"pixel \(3, 2\) has colour \(127, 0, 0\).*label-mode"):
        read_palette_map(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "F", "CMYK"])
def test_transparent_and_other_pixels_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (3, 3)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=f"mode {mode}, .*label-mode"):
        read_palette_map(tmp_path / "a.tif")


def test_nothing_transparent_black_and_white_and_16_bits_are_read(tmp_path: Path) -> None:
    opaque = np.zeros((1, 3, 4), np.uint8)
    opaque[..., 3], opaque[0, 1, 0] = 255, 128  # VOC's colour of class 1
    Image.fromarray(opaque).save(tmp_path / "rgba.png")
    Image.fromarray(np.array([[False, True, False]])).save(tmp_path / "1.png")
    Image.fromarray(np.array([[0, 1, 0]], np.uint16)).save(tmp_path / "16.png")
    Image.fromarray(np.repeat(np.array([[0, 1, 0]], np.uint8)[..., None], 3, axis=2)).save(tmp_path / "grey.png")
    for name in ("rgba", "1", "16", "grey"):
        assert read_palette_map(tmp_path / f"{name}.png").tolist() == [[0, 1, 0]], name
    Image.fromarray(np.array([[0, 1000]], np.uint16)).save(tmp_path / "16.png")
    with pytest.raises(InputError, match=r"holds the value 1000.*label-mode"):
        read_palette_map(tmp_path / "16.png")


def test_jpeg_is_refused_for_it_changes_the_indices(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(InputError, match=r"picture in JPEG.*label-mode"):
        read_palette_map(tmp_path / "a.png")


CVAT = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nDog:250,50,83::\nlamp:1,2,3::\ncat:128,0,0::\n"


@pytest.mark.parametrize("place", ["a.png", "SegmentationClass/a.png", "SegmentationClass/sub/a.png"])
def test_colours_of_a_labelmap_are_classes_by_name(place: str, tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(CVAT)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    # background, dog, cat (in the colour that VOC gives to aeroplanes), lamp
    Image.fromarray(np.array([[(0, 0, 0), (250, 50, 83), (128, 0, 0), (1, 2, 3)]], np.uint8)).save(tmp_path / place)
    animals = ClassList.from_names(["cat", "dog"])  # 8 and 12 in VOC's palette
    assert read_palette_map(tmp_path / place, animals).tolist() == [[0, 12, 8, 255]]
    assert read_label_map(tmp_path / place, animals).tolist() == [[0, 2, 1, 255]]
    own = ClassList.from_names(["lamp", "cat", "dog"])  # one is not VOC's: 1, 2, 3
    assert read_palette_map(tmp_path / place, own).tolist() == [[0, 3, 2, 1]]
    assert read_palette_map(tmp_path / place).tolist() == [[0, 1, 3, 2]]  # without classes, in the order of the file


def test_a_palette_of_a_labelmap_is_read_by_its_colours_and_vocs_by_its_indices(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(CVAT)
    animals = ClassList.from_names(["cat", "dog"])
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0, 250, 50, 83])
    image.save(tmp_path / "a.png")
    assert read_palette_map(tmp_path / "a.png", animals).tolist() == [[0, 8, 12]]
    write_palette_map(tmp_path / "b.png", np.array([[0, 1, 12]], np.uint8))
    assert read_palette_map(tmp_path / "b.png", animals).tolist() == [[0, 1, 12]]


def test_a_damaged_labelmap_is_told(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("cat:red::\n")
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"labelmap\.txt: line 1 is 'cat:red::'.*labelmap-damaged"):
        read_palette_map(tmp_path / "a.png")


def test_a_truncated_label_map_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_palette_map(path, np.random.default_rng(0).integers(0, 20, (50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="image-damaged"):
        read_palette_map(path)
    with pytest.raises(InputError, match="image-missing"):
        read_palette_map(tmp_path / "none.png")


def test_reading_by_colours_is_told(tmp_path: Path) -> None:
    stream = io.StringIO()
    Image.new("RGB", (2, 2), (128, 0, 0)).save(tmp_path / "a.png")
    write_palette_map(tmp_path / "b.png", np.zeros((2, 2), np.uint8))
    tell_reading([tmp_path / "a.png", tmp_path / "b.png"], Events(stream))
    assert stream.getvalue() == f"{tmp_path}: label maps are read by their colours, by the VOC palette\n"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "labelmap.txt").write_text(CVAT)
    (tmp_path / "sub" / "masks").mkdir()
    Image.new("RGB", (2, 2), (128, 0, 0)).save(tmp_path / "sub" / "masks" / "a.png")
    tell_reading([tmp_path / "sub" / "masks" / "a.png"], Events(stream))
    assert stream.getvalue().endswith(f"by their colours, by {tmp_path}/sub/labelmap.txt\n")
