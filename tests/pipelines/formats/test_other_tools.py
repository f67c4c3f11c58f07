"""Files that other programs wrote are read. Each is a picture of 16x12 with one or two masks.

The contents were written by labelme 6.3.1, supervision 0.31.2, ultralytics 8.4.190, datumaro 1.13.12 and
label-studio-converter 0.0.59 themselves.
"""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InputError
from pipelines.formats.brush import decode_brush, encode_brush
from tests.pipelines.formats.annotated_scene import masks_of, read, run

RING = np.zeros((12, 16), bool)
RING[2:9, 2:9] = True
RING[4:6, 4:6] = False
BOX = np.zeros((12, 16), bool)
BOX[8:12, 11:16] = True

LABELME = {
    "version": "6.3.1", "flags": {},
    "shapes": [
        {
            "label": "cat", "points": [[2.0, 2.0], [15.0, 11.0]], "group_id": None, "description": "",
            "shape_type": "mask", "flags": {},
            "mask": "iVBORw0KGgoAAAANSUhEUgAAAA4AAAAKCAAAAAChsjAbAAAALElEQVR4nHWKsQ0AMAzCTNT/X6ZDl4BUL2CBBAB+MQQDdujmg"
            "PiupYWy1vkCfUUDE39zWuIAAAAASUVORK5CYII=",
        },
        {
            "label": "dog", "points": [[10.0, 1.0], [14.0, 1.0], [14.0, 5.0], [10.0, 5.0]], "group_id": 1,
            "description": "", "shape_type": "polygon", "flags": {}, "mask": None,
        },
        {
            "label": "dog", "points": [[10.0, 6.0], [14.0, 8.0]], "group_id": 1, "description": "",
            "shape_type": "rectangle", "flags": {}, "mask": None,
        },
        {
            "label": "note", "points": [[1.0, 1.0]], "group_id": None, "description": "", "shape_type": "point",
            "flags": {}, "mask": None,
        },
    ],
    "imagePath": "p.png", "imageData": None, "imageHeight": 12, "imageWidth": 16,
}  # fmt: skip
SUPERVISION_YOLO = (
    "0 0.12500 0.16667 0.12500 0.66667 0.50000 0.66667 0.50000 0.16667\n"
    "1 0.68750 0.66667 0.68750 0.91667 0.93750 0.91667 0.93750 0.66667\n"
)
ULTRALYTICS = (
    "0 0.125 0.166667 0.125 0.666667 0.5 0.666667 0.5 0.166667 0.9\n"
    "1 0.6875 0.666667 0.6875 0.916667 0.9375 0.916667 0.9375 0.666667 0.5\n"
)
DATUMARO_TABLE = "# label:color_rgb:parts:actions\nbackground:::\napple:::\npear:::\n"
DATUMARO_MASK = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAMCAIAAADkharWAAAASElEQVQoFZXBQQoAMQwDsfHP5+lLwx5yMJRK4VF4FIYUUoQhhRRhyCGH/KQIQw455CdF"
    "GFJIEYYUUoQhhQzZwpVs4Uq2cCXbB2ZuCw0AL1qnAAAAAElFTkSuQmCC"
)
SUPERVISION_COCO: dict[str, Any] = {
    "info": {}, "licenses": [{"id": 1, "url": "https://creativecommons.org/licenses/by/4.0/", "name": "CC BY 4.0"}],
    "categories": [
        {"id": 1, "name": "cat", "supercategory": "common-objects"},
        {"id": 2, "name": "dog", "supercategory": "common-objects"},
    ],
    "images": [{"id": 1, "license": 1, "file_name": "p.png", "height": 12, "width": 16, "date_captured": ""}],
    "annotations": [
        {
            "id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 6, 6], "area": 49.0,
            "segmentation": [[2, 2, 2, 8, 8, 8, 8, 2]], "iscrowd": 0,
        },
        {
            "id": 2, "image_id": 1, "category_id": 2, "bbox": [11, 8, 4, 3], "area": 20.0,
            "segmentation": [[11, 8, 11, 11, 15, 11, 15, 8]], "iscrowd": 0,
        },
    ],
}  # fmt: skip
BRUSH = [
    0, 0, 3, 0, 57, 27, 254, 135, 0, 195, 127, 248, 140, 3, 13, 255, 226, 48, 9, 255, 231, 0, 183, 255, 136, 192, 39,
    255, 156, 2, 223, 254, 35, 0, 195, 127, 248, 140, 3, 13, 255, 226, 48, 12, 55, 255, 182, 192, 0,
]  # fmt: skip
# What corners on the centres of the outermost pixels enclose, as OpenCV's outlines have them: a pixel less a side.
SMALL_RING, SMALL_BOX = np.zeros((12, 16), bool), np.zeros((12, 16), bool)
SMALL_RING[2:8, 2:8] = True
SMALL_BOX[8:11, 11:15] = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    Image.new("RGB", (16, 12)).save(tmp_path / "set" / "p.png")
    return tmp_path / "set"


def test_labelme(folder: Path) -> None:
    (folder / "p.json").write_text(json.dumps(LABELME))
    found = masks_of(read(folder)["p"])
    ring = RING.copy()
    ring[10:12, 12:16] = True
    dog = np.zeros((12, 16), bool)
    dog[1:5, 10:14] = dog[6:8, 10:14] = True  # one group
    assert found.keys() == {"cat", "dog"}
    np.testing.assert_array_equal(found["cat"], ring)
    np.testing.assert_array_equal(found["dog"], dog)


def test_names_for_labelme_that_are_no_text_are_refused(folder: Path) -> None:
    (folder / "p.json").write_text(json.dumps(LABELME))
    (folder / "labels.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match=r"labels\.txt: byte 3 is not UTF-8.*\[text-damaged\]"):
        read(folder)


@pytest.mark.parametrize(("text", "scores"), [(SUPERVISION_YOLO, [None, None]), (ULTRALYTICS, [0.9, 0.5])])
def test_yolo_of_supervision_and_ultralytics(tmp_path: Path, text: str, scores: list[float | None]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (16, 12)).save(tmp_path / "images" / "p.png")
    (tmp_path / "labels" / "p.txt").write_text(text)
    (tmp_path / "data.yaml").write_text("nc: 2\nnames: [cat, dog]\n")
    picture = read(tmp_path)["p"]
    found = masks_of(picture)
    np.testing.assert_array_equal(found["cat"], SMALL_RING)
    np.testing.assert_array_equal(found["dog"], SMALL_BOX)
    assert [instance.score for instance in picture.instances] == scores


def test_coco_of_supervision(folder: Path) -> None:
    (folder / "c.json").write_text(json.dumps(SUPERVISION_COCO))
    found = masks_of(read(folder / "c.json")["p"])
    np.testing.assert_array_equal(found["cat"], SMALL_RING)
    np.testing.assert_array_equal(found["dog"], SMALL_BOX)


def test_segmentation_masks_of_datumaro(folder: Path) -> None:
    for name in ("SegmentationClass", "SegmentationObject"):
        (folder / name).mkdir()
        (folder / name / "p.png").write_bytes(base64.b64decode(DATUMARO_MASK))
    (folder / "labelmap.txt").write_text(DATUMARO_TABLE)
    found = masks_of(read(folder)["p"])
    assert found.keys() == {"apple", "pear"}
    np.testing.assert_array_equal(found["apple"], RING)
    np.testing.assert_array_equal(found["pear"], BOX)


def test_label_studio(folder: Path) -> None:
    def result(kind: str, value: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "original_width": 16, "original_height": 12, "image_rotation": 0, "value": value}

    brush = result("brushlabels", {"format": "rle", "rle": BRUSH, "brushlabels": ["cat"]})
    corners = [[68.75, 66.6666667], [100, 66.6666667], [100, 100], [68.75, 100]]
    polygon = result("polygonlabels", {"points": corners, "closed": True, "polygonlabels": ["dog"]})
    box = result("rectanglelabels", {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["dog"]})
    cancelled = {"was_cancelled": True, "result": [box]}
    task = {
        "id": 3, "data": {"image": "/data/upload/1/0123abcd-p.png"},
        "annotations": [cancelled, {"result": [brush, polygon, box]}], "predictions": [],
    }  # fmt: skip
    (folder / "export.json").write_text(json.dumps([task]))
    found = masks_of(read(folder / "export.json")["p"])
    np.testing.assert_array_equal(found["cat"], RING)
    np.testing.assert_array_equal(found["dog"], BOX)
    assert encode_brush(RING) == BRUSH


def _brush(name: str) -> dict[str, Any]:
    value = {"format": "rle", "rle": BRUSH, "brushlabels": [name]}
    return {"type": "brushlabels", "original_width": 16, "original_height": 12, "value": value}


def test_further_annotations_of_label_studio_are_told_and_counted(folder: Path, tmp_path: Path) -> None:
    several = [{"was_cancelled": True, "result": []}, *({"result": [_brush(name)]} for name in ("cat", "dog", "cow"))]
    task = {"data": {"image": "p.png"}, "annotations": several, "predictions": [{"result": [_brush("hen")]}]}
    (folder / "export.json").write_text(json.dumps([task]))
    result, told = run(folder / "export.json", "coco", tmp_path / "c.json")
    assert (result["classes"], result["instances"], result["lost"]) == (["cat"], 1, {"left-out": 2})
    assert "export.json: annotations left out, because the picture has an earlier one: 2 (p 2, p 3)" in told


UUID = "0123abcd-89ab-4cde-8f01-23456789abcd.png"


@pytest.mark.parametrize(
    ("address", "image_id"),
    [
        (f"/data/local-files/?d={UUID}", UUID[:-4]),
        (f"/data/local-files/?d=sub/{UUID}", f"sub/{UUID[:-4]}"),
        (f"/data/upload/1/{UUID}", UUID[9:-4]),  # the mark is what Label Studio put before the name
        (f"http://host/data/upload/1/{UUID}", UUID[9:-4]),
        (UUID, UUID[:-4]),
        ("/data/local-files/?d=upload/a%2Bb%26.png", "upload/a+b&"),
        ("/data/local-files/?d=x/upload/a.png", "x/upload/a"),
    ],
)
def test_only_what_was_uploaded_to_label_studio_loses_its_mark(tmp_path: Path, address: str, image_id: str) -> None:
    task = {"data": {"image": address}, "annotations": [{"result": [_brush("cat")]}]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    assert list(read(tmp_path / "export.json")) == [image_id]


@pytest.mark.parametrize(
    "content", [[], BRUSH[:20], [0, 0, 3, 4, *BRUSH[4:]], [*BRUSH[:7], 300], ["a"], [0] * 400], ids=str
)
def test_damaged_run_lengths_are_refused(content: list[Any]) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        decode_brush(content, 12, 16)


def _released(path: Path, **changes: Any) -> Path:
    """Write the pickle of the released S4Net, as reference/s4net.md describes it."""
    picture = np.zeros((12, 16, 3), np.uint8)
    picture[:, :, 0] = 200  # blue
    content = {
        "train_imgs": [picture], "train_boxes": [np.array([[2.0, 2, 6, 6]])],
        "train_segs": [RING[None].astype(np.float64)], "test_imgs": [], "test_boxes": [], "test_segs": [],
    }  # fmt: skip
    path.write_bytes(pickle.dumps({**content, **changes}, protocol=2))
    return path


def test_the_released_pickle_gives_pictures_in_red_green_blue(tmp_path: Path) -> None:
    picture = read(_released(tmp_path / "dataset.pkl"))["train/000001"]
    assert picture.pixels is not None and picture.pixels[0, 0].tolist() == [0, 0, 200]
    np.testing.assert_array_equal(picture.instances[0].mask, RING)


class _Shell:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch taken-over",)


def test_a_pickle_that_asks_for_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"system.*\[pickle-unsafe\]"):
        read(_released(tmp_path / "dataset.pkl", train_boxes=[_Shell()]))
    assert not (tmp_path / "taken-over").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"train_segs": []},
        {"train_imgs": [np.zeros((12, 16), np.uint8)]},
        {"train_segs": [np.zeros((1, 5, 5))]},
        {"train_imgs": 3},
    ],
)
def test_a_damaged_pickle_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"\[pickle-damaged\]"):
        read(_released(tmp_path / "dataset.pkl", **changes))
    (tmp_path / "cut.pkl").write_bytes((tmp_path / "dataset.pkl").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"\[pickle-damaged\]"):
        read(tmp_path / "cut.pkl")


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("C:\\data\\a.jpg", "a.jpg"),
        ("c:/data/a.jpg", "a.jpg"),
        ("\\\\host\\data\\a.jpg", "a.jpg"),
        ("/data/a.jpg", "a.jpg"),
        ("data\\a.jpg", "data/a.jpg"),
        ("a:b/a.jpg", "a:b/a.jpg"),  # no drive
    ],
)
def test_drives_and_roots_are_no_part_of_an_id(tmp_path: Path, name: str, file_name: str) -> None:
    place = tmp_path / file_name
    place.parent.mkdir(exist_ok=True)
    Image.new("RGB", (16, 12)).save(place)
    image = SUPERVISION_COCO["images"][0] | {"file_name": name}
    (tmp_path / "c.json").write_text(json.dumps(SUPERVISION_COCO | {"images": [image]}))
    (picture,) = read(tmp_path / "c.json").values()
    assert (picture.image_id, picture.file_name, picture.file) == (file_name[:-4], file_name, place)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("a.json", "{}", "source-form"),
        ("a.json", "[1]", "source-form"),
        ("a.json", '{"shapes": [3], "imagePath": "p.png"}', "labelme-structure"),
        ("a.json", '[{"data": {}}]', "label-studio-structure"),
        ("a.json", '{"images": [{"id": 1, "file_name": "../../p.png"}], "annotations": []}', "path-outside"),
        ("a.txt", "", "source-form"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, name: str, text: str, rule: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rf"\[{rule}\]"):
        read(tmp_path / name)
