from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import open_image
from pipelines.data.label_maps import read_palette_map, write_palette_map
from pipelines.data.palette import voc_palette
from pipelines.errors import InputError

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


@pytest.mark.parametrize("mode", ["RGBA", "1", "I;16", "LA"])
def test_other_modes_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=f"mode {mode}, .*label-mode"):
        read_palette_map(tmp_path / "a.png")


def test_a_truncated_label_map_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_palette_map(path, np.random.default_rng(0).integers(0, 20, (50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="image-damaged"):
        read_palette_map(path)
    with pytest.raises(InputError, match="image-missing"):
        read_palette_map(tmp_path / "none.png")
