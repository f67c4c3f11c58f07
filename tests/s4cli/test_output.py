from pathlib import Path

import numpy as np

from s4cli.output import plain, table


def test_json_values_are_plain() -> None:
    value = {
        1: Path("a") / "b",
        "scores": (np.float32(0.5), np.int64(3), float("nan"), float("inf")),
        "deep": [{"flag": np.bool_(True), "none": None, "zero": np.float64("nan")}],
    }
    assert plain(value) == {
        "1": "a/b",
        "scores": [0.5, 3, None, None],
        "deep": [{"flag": True, "none": None, "zero": None}],
    }


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
