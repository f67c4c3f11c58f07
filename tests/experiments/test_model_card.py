"""Files by source and tables of the model card."""

import json
from pathlib import Path

from experiments.model_card import split, tables


def test_every_source_has_a_file_of_its_own_pictures_and_instances(tmp_path: Path) -> None:
    content = {
        "categories": [{"id": 1, "name": "salient"}],
        "images": [
            {"id": 1, "file_name": "coco_1.jpg"},
            {"id": 2, "file_name": "x.jpg", "source": "duts"},
            {"id": 3, "file_name": "coco_2.jpg", "source": "coco"},
        ],
        "annotations": [{"id": 1, "image_id": 3}, {"id": 2, "image_id": 2}, {"id": 3, "image_id": 3}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    split(tmp_path / "all.json", tmp_path / "parts")
    parts = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "parts").iterdir()}
    assert sorted(parts) == ["coco", "duts"]
    assert [image["id"] for image in parts["coco"]["images"]] == [1, 3]
    assert [each["id"] for each in parts["coco"]["annotations"]] == [1, 3]
    assert [each["id"] for each in parts["duts"]["annotations"]] == [2]
    assert parts["duts"]["categories"] == content["categories"]


def test_tables_have_a_row_for_each_source_and_every_figure_in_percent(tmp_path: Path) -> None:
    def write(name: str, content: object) -> None:
        (tmp_path / name).write_text(json.dumps(content))

    scores = {"ap": 0.5, "ap50": 0.75, "ap70": 0.625, "ci95": {"ap50": [0.7, 0.8]}, "images": 9}
    write("instances-duts.json", scores | {"occluded": {"images": 0, "ap50": None}})
    write("instances-all.json", scores | {"occluded": {"images": 3, "ap50": 0.25}})
    pair = {"s4net": {"iou": 0.1, "f": 0.2, "mae": 0.3}, "u2netp": {"iou": 0.4, "f": 0.5, "mae": 0.6}}
    write("saliency.json", {"all": {"images": 9, **pair}})
    foreground = {"foreground_iou": 0.71, "foreground_iou_pooled": 0.72, "images": 5, "split": "val"}
    write("foreground.json", foreground)
    lines = tables(tmp_path).splitlines()
    assert lines[2:4] == [
        "| all | 9 | 50.0 | 75.0 (70.0 to 80.0) | 62.5 | 3 | 25.0 |",
        "| duts | 9 | 50.0 | 75.0 | 62.5 | 0 | - |",
    ]
    assert lines[7] == "| all | 9 | 10.0 | 40.0 | 20.0 | 50.0 | 30.0 | 60.0 |"
    assert lines[-1] == "Foreground on 5 pictures of val: mean IoU 71.0, pooled 72.0."
