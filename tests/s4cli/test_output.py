import json
from pathlib import Path

import pytest

from s4cli.output import print_result, table


def test_what_is_no_number_is_null_or_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_result("demo", {"ap50": float("nan"), "out": Path("a") / "b"}, as_json=True)
    assert capsys.readouterr().out.endswith('"ap50": null, "out": "a/b"}\n')
    print_result("demo", {"ap50": float("nan"), "out": Path("a") / "b"}, as_json=False)
    assert capsys.readouterr().out == "ap50  -\nout   a/b\n"


def test_an_empty_result_is_an_empty_table() -> None:
    assert list(table({})) == []


def test_lists_stand_on_one_line() -> None:
    assert list(table({"scales": [0.5, 1.0], "flip": False})) == ["scales  0.5, 1", "flip    False"]


def test_flat_named_mappings_are_a_table_below_the_rest() -> None:
    rows = [{"name": "peer", "ms": 630.0, "quartiles": [1, 2]}, {"name": "own", "ms": None, "note": "absent"}]
    assert list(table({"rows": rows, "threads": 2})) == [
        "threads  2",
        "rows",
        "  name  ms   quartiles  note",
        "  peer  630  1, 2",
        "  own   -               absent",
    ]


def test_what_is_nested_in_the_rows_of_a_table_is_left_out() -> None:
    stages = [{"stage": "train", "action": "ran", "result": {"steps": 3}}]
    assert list(table({"stages": stages})) == ["stages", "  stage  action", "  train  ran"]


def test_scores_of_the_same_classes_stand_side_by_side() -> None:
    result = {"iou": {"cat": 0.5, "dog": 0.25}, "miou": 0.375, "missed": {"cat": 0.125, "dog": None}, "times": {"s": 2}}
    assert list(table(result)) == [
        "miou   0.375",
        "times",
        "  s    2",
        "     iou   missed",
        "cat  0.5   0.125",
        "dog  0.25  -",
    ]


def test_classes_that_do_not_occur_are_counted_and_not_shown() -> None:
    absent = dict.fromkeys(["bus", "train"])
    assert list(table({"per_class": {"cat": 0.5, **absent}, "miou": None})) == [
        "per_class  (2 rows without a value left out)",
        "  cat      0.5",
        "miou       -",
    ]
    result = {"iou": {"cat": 0.5, **absent}, "missed": {"cat": None, "bus": None, "train": 0.25}}
    assert list(table(result)) == [
        "       iou  missed",
        "cat    0.5  -",
        "train  -    0.25",
        "(1 row without a value left out)",
    ]


def test_what_is_not_known_of_a_thing_is_a_dash() -> None:
    best = {"metric": "ap50", "value": None, "step": 2}
    assert list(table({"best": best})) == ["best", "  metric  ap50", "  value   -", "  step    2"]


def test_warnings_stand_below_the_table_and_in_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    of_stage = {"rule": "only-background", "message": "r: finds no class; train on"}
    result = {"warnings": [of_stage, {"stage": "evaluate", **of_stage}], "miou": 0.25}
    print_result("evaluate", result, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "miou  0.25",
        "warning: r: finds no class; train on [only-background]",
        "warning: evaluate: r: finds no class; train on [only-background]",
    ]
    print_result("evaluate", result, as_json=True)
    assert json.loads(capsys.readouterr().out)["warnings"] == result["warnings"]
    print_result("evaluate", {"miou": 0.25, "warnings": []}, as_json=False)
    assert capsys.readouterr().out == "miou  0.25\n"


def test_reasons_say_what_they_count() -> None:
    assert list(table({"rejected": {"nothing-found": 2}, "doubted": {}, "images": 3})) == [
        "rejected         (pictures without a label, by reason)",
        "  nothing-found  2",
        "images           3",
    ]


def test_an_empty_mapping_is_no_row() -> None:
    assert list(table({"rejected": {}, "images": 3})) == ["images  3"]
