"""Label folders and predictions as sources."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.config.usual_places import record_pictures
from pipelines.data.label_maps import write_palette_map
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from tests.pipelines.formats.annotated_scene import read, run

SIZE = (6, 9)


def instance(keyword: str | None, top: int, score: float) -> dict[str, object]:
    mask = np.zeros(SIZE, bool)
    mask[top : top + 2, 1:5] = True
    box = [1.0, float(top), 5.0, top + 2.0]
    return {"box": box, "score": score, "keyword": keyword, "area": 8, "segmentation": encode_masks(mask[None])[0]}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label folder of two pictures and one that failed, and the note where its pictures lie."""
    (tmp_path / "pictures").mkdir()
    records = []
    for name, instances in {"a": [instance("dog", 0, 0.8), instance(None, 3, 0.3)], "b": []}.items():
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "pictures" / f"{name}.jpg")
        label_map = np.zeros(SIZE, np.uint8)
        label_map[0:2, 1:5], label_map[5] = 12 if instances else 0, 255
        write_palette_map(tmp_path / "labels" / "labels" / f"{name}.png", label_map)
        size = {"height": SIZE[0], "width": SIZE[1]}
        records.append({"image_id": name, "file_name": f"{name}.jpg", **size, "instances": instances})
    records.append({"image_id": "c", "failed": {"rule": "image-damaged", "message": "c"}})
    manifest = {"kind": "pseudo", "classes": ["cat", "dog"]}
    (tmp_path / "labels" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "labels" / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    record_pictures(tmp_path / "labels", [tmp_path / "pictures"])
    return tmp_path / "labels"


def test_labels_become_yolo_with_their_pictures_and_their_class_list(labels: Path, tmp_path: Path) -> None:
    result, told = run(labels, "yolo-seg", tmp_path / "yolo")
    assert (result["from"], result["images"], result["instances"], result["classes"]) == (
        "labels",
        2,
        1,
        ["cat", "dog"],
    )
    assert result["lost"] == {"scores": 1, "unknown": 2}
    assert "instances left out, because they got no class: 1 (a 2)" in told
    assert "pictures left out, because they failed: 1 (c)" in told
    text = next((tmp_path / "yolo" / "labels").rglob("a.txt")).read_text()
    numbers = np.array(text.split()[1:], float).reshape(-1, 2) * SIZE[::-1]
    assert text.split()[0] == "1" and numbers.min(axis=0) == pytest.approx([1, 0]) and len(text.splitlines()) == 1
    assert len(list((tmp_path / "yolo" / "images").rglob("*.jpg"))) == 2


def test_labels_become_voc_with_the_label_maps_as_they_are(labels: Path, tmp_path: Path) -> None:
    run(labels, "voc", tmp_path / "voc")
    for name in "ab":
        expected = np.asarray(Image.open(labels / "labels" / f"{name}.png"))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"voc/SegmentationClass/{name}.png")), expected)
    assert (tmp_path / "voc/ImageSets/Segmentation/train.txt").read_text() == "a\nb\n"


def test_predictions_of_both_networks_are_sources(tmp_path: Path, labels: Path) -> None:
    size = {"height": SIZE[0], "width": SIZE[1]}
    found = [{**instance("salient", 2, 0.7)}]
    for name, network, own in (("s", "s4net", {"instances": found}), ("d", "deeplab", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(json.dumps({"network": network}))
        record = {"image_id": "a", "file_name": "a.jpg", **size, **own}
        (tmp_path / name / "records.jsonl").write_text(json.dumps(record) + "\n")
    label_map = np.zeros(SIZE, np.uint8)
    label_map[1, 1], label_map[4:6, 4:6] = 8, 12
    write_palette_map(tmp_path / "d" / "a.png", label_map)
    of_s4net = read(tmp_path / "s")["a"].instances
    assert [(i.name, i.score, int(i.mask.sum())) for i in of_s4net] == [("salient", 0.7, 8)]
    of_deeplab = read(tmp_path / "d")["a"].instances
    assert [(i.name, i.score, int(i.mask.sum())) for i in of_deeplab] == [("cat", None, 1), ("dog", None, 4)]


def test_damaged_records_are_refused(labels: Path, tmp_path: Path) -> None:
    text = (labels / "records.jsonl").read_text()
    (labels / "records.jsonl").write_text(text.replace('"counts": "', '"counts": "0'))
    with pytest.raises(InputError, match=r"records.jsonl: a 1: .*\[records-damaged\]"):
        run(labels, "coco", tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()
