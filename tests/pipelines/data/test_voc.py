from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.classes import voc_palette
from pipelines.data.images import open_image
from pipelines.data.voc import (
    image_path,
    read_id_list,
    read_label_map,
    read_split,
    strip_image_suffix,
    truth_path,
    write_label_map,
)
from pipelines.errors import InputError

LABELS = np.array([[0, 1, 15], [20, 254, 255]], np.uint8)


def write_list(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_label_map_comes_back_exactly_and_shows_the_colours_of_voc(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.png"
    write_label_map(path, LABELS)
    read = read_label_map(path)
    np.testing.assert_array_equal(read, LABELS)
    assert read.dtype == np.uint8
    with Image.open(path) as image:
        assert image.mode == "P"
    assert open_image(path)[0, 2].tolist() == [192, 128, 128]


@pytest.mark.parametrize("label_map", [np.zeros((3, 3)), np.zeros((3, 3, 3), np.uint8)])
def test_only_indices_are_written(label_map: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_label_map(tmp_path / "a.png", label_map)


def test_grey_values_are_indices(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), LABELS)


def test_every_colour_of_the_palette_is_turned_back_into_its_index(tmp_path: Path) -> None:
    colours = np.array(voc_palette(), np.uint8).reshape(16, 16, 3)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), np.arange(256).reshape(16, 16))


def test_a_colour_outside_the_palette_is_refused_and_located(tmp_path: Path) -> None:
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[2, 3] = (127, 0, 0)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"pixel \(3, 2\) has colour \(127, 0, 0\).*label-mode"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "1", "I;16", "LA"])
def test_other_modes_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=f"mode {mode}, .*label-mode"):
        read_label_map(tmp_path / "a.png")


def test_a_truncated_label_map_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_label_map(path, np.random.default_rng(0).integers(0, 20, (50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="image-damaged"):
        read_label_map(path)
    with pytest.raises(InputError, match="image-missing"):
        read_label_map(tmp_path / "none.png")


def test_all_ways_of_writing_a_list_name_the_same_pictures(tmp_path: Path) -> None:
    pair = "/JPEGImages/2007_000063.jpg /SegmentationClassAug/2007_000063.png"
    path = write_list(tmp_path / "list.txt", f"2007_000032\n\n2007_000039.jpg\r\n{pair}\nsub/a b.v2\n")
    assert read_id_list(path) == ["2007_000032", "2007_000039", "2007_000063", "sub/a b.v2"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [("", "list-empty"), ("a\nb\na.jpg\n", "list-twice"), ("../a\n", "path-outside"), ("/../a.jpg\n", "path-outside")],
)
def test_lists_that_cannot_be_used_are_refused(text: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rule):
        read_id_list(write_list(tmp_path / "list.txt", text))


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file-missing"):
        read_id_list(tmp_path / "none.txt")


def test_a_split_keeps_its_order(tmp_path: Path) -> None:
    write_list(tmp_path / "ImageSets" / "Segmentation" / "val.txt", "b\na\n")
    assert read_split(tmp_path, "val") == ["b", "a"]


def test_a_missing_split_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected lists in ImageSets/Segmentation"):
        read_split(tmp_path, "val")
    for split in ("val", "train"):
        write_list(tmp_path / "ImageSets" / "Segmentation" / f"{split}.txt", "a\n")
    with pytest.raises(InputError, match=r"expected one of train, val; .*\[split-missing\]"):
        read_split(tmp_path, "test")
    with pytest.raises(InputError, match="folder-missing"):
        read_split(tmp_path / "none", "val")


def test_a_picture_is_found_under_any_suffix(tmp_path: Path) -> None:
    folder = tmp_path / "JPEGImages"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    assert image_path(tmp_path, "a") == folder / "a.png"
    assert image_path(tmp_path, "b") == folder / "b.jpg"


def test_ground_truth_is_found_in_either_folder(tmp_path: Path) -> None:
    for name in ("SegmentationClass/a.png", "SegmentationClassAug/a.png", "SegmentationClassAug/b.png"):
        write_list(tmp_path / name, "")
    assert truth_path(tmp_path, "a") == tmp_path / "SegmentationClass" / "a.png"
    assert truth_path(tmp_path, "b") == tmp_path / "SegmentationClassAug" / "b.png"
    assert truth_path(tmp_path, "c") == tmp_path / "SegmentationClass" / "c.png"


def test_only_picture_suffixes_are_taken_off() -> None:
    assert [strip_image_suffix(name) for name in ("a.JPG", "a.v2", "x/a.b.png", "a")] == ["a", "a.v2", "x/a.b", "a"]
