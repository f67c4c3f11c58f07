from pathlib import Path

import numpy as np
import pytest

from pipelines.data.images import strip_image_suffix
from pipelines.data.voc import image_path, read_id_list, read_split, truth_path
from pipelines.errors import InputError

LABELS = np.array([[0, 1, 15], [20, 254, 255]], np.uint8)


def write_list(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


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


def test_suffixes_may_be_in_capitals(tmp_path: Path) -> None:
    for name in ("JPEGImages/a.JPG", "JPEGImages/b.JFIF", "SegmentationClass/a.PNG"):
        write_list(tmp_path / name, "")
    assert image_path(tmp_path, "a") == tmp_path / "JPEGImages" / "a.JPG"
    assert image_path(tmp_path, "b") == tmp_path / "JPEGImages" / "b.JFIF"
    assert truth_path(tmp_path, "a") == tmp_path / "SegmentationClass" / "a.PNG"


def test_ground_truth_is_found_in_either_folder(tmp_path: Path) -> None:
    for name in ("SegmentationClass/a.png", "SegmentationClassAug/a.png", "SegmentationClassAug/b.png"):
        write_list(tmp_path / name, "")
    assert truth_path(tmp_path, "a") == tmp_path / "SegmentationClass" / "a.png"
    assert truth_path(tmp_path, "b") == tmp_path / "SegmentationClassAug" / "b.png"
    assert truth_path(tmp_path, "c") == tmp_path / "SegmentationClass" / "c.png"


def test_only_picture_suffixes_are_taken_off() -> None:
    assert [strip_image_suffix(name) for name in ("a.JPG", "a.v2", "x/a.b.png", "a")] == ["a", "a.v2", "x/a.b", "a"]
