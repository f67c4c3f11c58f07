"""Label folders and predictions as sources."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config.usual_places import record_pictures
from pipelines.data.label_maps import write_palette_map
from pipelines.data.review import REVIEW, merged
from pipelines.data.review_maps import OriginalMaps
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from tests.pipelines.formats.annotated_scene import read, run
from tests.pipelines.review_folder import LEFT, SPOT, action, keys, make_folder, usual_record

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
    # The picture that failed, and the instance without a class.
    assert result["lost"] == {"left-out": 2, "scores": 1, "unknown": 2}
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


def review(root: Path, *actions: dict[str, Any]) -> Path:
    """Return a label folder of the pictures p0, p1 and p2 with these corrections, as `s4 review` leaves it."""
    folder = make_folder(root)
    (folder.path / REVIEW).write_text("".join(json.dumps(each) + "\n" for each in actions))
    for image_id in {each["image_id"] for each in actions}:
        own = [each for each in actions if each["image_id"] == image_id]
        OriginalMaps(folder).correct(usual_record(image_id), merged(own))
    return folder.path


def shown(folder: Path) -> dict[str, list[str]]:
    return {image_id: [each.name for each in picture.instances] for image_id, picture in read(folder).items()}


CAT_KEY, DOG_KEY, SPOT_KEY = keys(usual_record())


def test_an_instance_that_the_labels_leave_out_is_left_out(tmp_path: Path) -> None:
    # In each picture the third instance is unsure.
    folder = review(tmp_path)
    assert shown(folder) == {each: ["cat", "dog"] for each in ("p0", "p1", "p2")}
    result, told = run(folder, "coco", tmp_path / "c.json")
    assert result["instances"] == 6 and "because the labels leave them out: 3 (p0 3, p1 3, p2 3)" in told


def test_labels_are_converted_as_people_corrected_them(tmp_path: Path) -> None:
    folder = review(
        tmp_path,
        action("assign", 1, "p0", instance=CAT_KEY, keyword="cow"),
        action("assign", 2, "p0", instance=DOG_KEY, keyword=""),
        action("assign", 3, "p0", instance=SPOT_KEY, keyword="dog"),
        action("reject", 4, "p1"),
        action("assign", 5, "p2", instance=CAT_KEY, keyword=None),
        action("assign", 6, "p2", instance=DOG_KEY, keyword="unicorn"),
    )
    assert shown(folder) == {"p0": ["cow", "dog"], "p2": []}
    found = read(folder)["p0"]
    assert found.instances[0].mask[LEFT].all() and found.instances[1].mask[SPOT].all()
    result, told = run(folder, "voc", tmp_path / "voc")
    assert (result["images"], result["instances"], "strokes" in result["lost"]) == (2, 2, False)
    assert "pictures left out, because somebody rejected them: 1 (p1)" in told
    assert "because somebody said that they show nothing: 1 (p0 2)" in told
    assert "because somebody said that they are unknown: 2 (p2 1, p2 2)" in told
    classes, objects = (
        np.asarray(Image.open(tmp_path / f"voc/Segmentation{kind}/p0.png")) for kind in ("Class", "Object")
    )
    np.testing.assert_array_equal(classes > 0, objects > 0)  # both are of the same corrections


def test_what_was_undone_does_not_count(tmp_path: Path) -> None:
    said = action("assign", 1, instance=CAT_KEY, keyword="cow"), action("reject", 2, "p1")
    undone = action("undo", 3, of="id1"), action("undo", 4, "p1", of="id2")
    assert shown(review(tmp_path, *said, *undone)) == {each: ["cat", "dog"] for each in ("p0", "p1", "p2")}


@pytest.mark.parametrize("to", ["coco", "voc"])
def test_brush_strokes_are_counted_as_lost(tmp_path: Path, to: str) -> None:
    stroke = usual_record()["instances"][2]["segmentation"]
    strokes = [action("paint", number, keyword="cow", segmentation=stroke) for number in (1, 2)]
    result, told = run(review(tmp_path, *strokes), to, tmp_path / "out.json")
    assert result["lost"]["strokes"] == 2 and f"{to} cannot express brush strokes" in told


@pytest.mark.parametrize(("said", "expected"), [([], None), ([CAT_KEY], ["cow"])])
def test_a_picture_without_a_label_is_left_out_unless_somebody_gave_it_one(
    tmp_path: Path, said: list[str], expected: list[str] | None
) -> None:
    folder = review(tmp_path, *(action("assign", instance=key, keyword="cow") for key in said))
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    lines[0]["rejected"] = "too-little-foreground"
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert shown(folder).get("p0") == expected


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


@pytest.mark.parametrize("side", ["../../x", None, [3], 1e999])
def test_sizes_that_are_none_are_damaged_records(tmp_path: Path, labels: Path, side: Any) -> None:
    size = {"height": side, "width": SIZE[1]}
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "settings.json").write_text(json.dumps({"network": "s4net"}))
    record = {"image_id": "a", "file_name": "a.jpg", **size, "instances": []}
    (tmp_path / "s" / "records.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(InputError, match=r"records.jsonl: .*\[records-damaged\]"):
        read(tmp_path / "s")
