import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.review import (
    NOTHING,
    REVIEW,
    PictureReview,
    check_action,
    instance_key,
    live_actions,
    merged,
    read_reviews,
    review_sha256,
)
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from tests.pipelines.review_folder import CLASSES, action, keys, usual_record

MASK = encode_masks(np.eye(4, dtype=np.uint8)[None])[0]


def test_for_the_same_thing_the_last_action_counts_and_all_others_count_too() -> None:
    said = merged(
        [
            action("assign", 0, instance="x", keyword="cat"),
            action("assign", 1, instance="y", keyword=None),
            action("accept", 2),
            action("assign", 3, instance="x", keyword="dog"),
            action("keyword", 4, keyword="cow", on=True),
            action("paint", 5, keyword=NOTHING, segmentation=MASK),
        ]
    )
    assert said == PictureReview("accepted", {"cow": True}, {"x": "dog", "y": None}, ((NOTHING, MASK),))


def test_actions_about_different_things_count_in_any_order() -> None:
    actions = [
        action("assign", 0, instance="x", keyword="cat"), action("assign", 1, instance="y", keyword="dog"),
        action("reject", 2), action("keyword", 3, keyword="cow", on=False),
    ]  # fmt: skip
    results = {json.dumps(vars(merged(order)), sort_keys=True) for order in itertools.permutations(actions)}
    assert len(results) == 1


def test_reopen_takes_a_decision_back() -> None:
    assert merged([action("accept", 0), action("reopen", 1)]) == PictureReview()
    assert not merged([action("accept", 0), action("reopen", 1)])


def test_an_undo_takes_one_action_back_and_an_undo_of_it_brings_the_action_back() -> None:
    first, second = action("accept", 1), action("assign", 2, instance="x", keyword="cat")
    undo, redo = action("undo", 3, of="id2"), action("undo", 4, of="id3")
    assert live_actions([first, second, undo]) == [first]
    assert live_actions([first, second, undo, redo]) == [first, second]


def test_keywords_are_the_given_ones_and_those_that_somebody_gave() -> None:
    said = PictureReview(None, {"cat": False}, {"x": "cow"}, ())
    assert said.keywords_of(usual_record(), CLASSES) == ["dog", "cow"]
    # A class that an instance shows stays, whatever was said of the keyword.
    both = PictureReview(None, {"cow": False}, {"x": "cow"}, ())
    assert both.keywords_of(usual_record(), CLASSES) == ["cat", "dog", "cow"]


def test_the_key_of_an_instance_depends_on_its_mask_alone() -> None:
    first, other = usual_record(), usual_record()
    other["instances"].reverse()
    assert keys(first) == keys(other)[::-1] and len(set(keys(first))) == 3
    assert instance_key(MASK) != instance_key(encode_masks(np.ones((1, 4, 4), np.uint8))[0])


@pytest.mark.parametrize(
    "fault",
    [
        {"id": ""}, {"time": 3}, {"reviewer": None}, {"image_id": 1}, {"session": 1},
        {"do": "dance"}, {"do": ["accept"]},
        {"do": "undo", "of": 1}, {"do": "assign", "instance": "x"}, {"do": "assign", "instance": 1, "keyword": "cat"},
        {"do": "assign", "instance": "x", "keyword": 4}, {"do": "keyword", "keyword": "", "on": True},
        {"do": "keyword", "keyword": "cat", "on": 1}, {"do": "paint", "keyword": "cat"},
        {"do": "paint", "keyword": "cat", "segmentation": {"size": [4, -4], "counts": MASK["counts"]}},
        {"do": "paint", "keyword": "cat", "segmentation": {"size": [5, 4], "counts": MASK["counts"]}},
        {"do": "paint", "segmentation": MASK},
    ],
)  # fmt: skip
def test_unusable_actions_are_named(fault: dict[str, Any], tmp_path: Path) -> None:
    assert check_action(action("accept")) is None
    assert check_action({**action("accept"), **fault}) is not None
    (tmp_path / REVIEW).write_text(json.dumps({**action("accept"), **fault}) + "\n")
    with pytest.raises(InputError) as caught:
        read_reviews(tmp_path)
    assert caught.value.rule == "review-damaged" and "action 1" in caught.value.message


def test_a_torn_last_line_is_left_out_and_pictures_without_a_live_action_too(tmp_path: Path) -> None:
    lines = [action("accept", 0), action("reject", 1, "p1"), action("undo", 2, "p1", of="id1")]
    (tmp_path / REVIEW).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"id": "x", "do"')
    assert read_reviews(tmp_path) == {"p0": PictureReview("accepted")}
    assert read_reviews(tmp_path / "nowhere") == {}


def test_corrections_are_known_by_what_holds(tmp_path: Path) -> None:
    def known(*actions: dict[str, Any]) -> str | None:
        (tmp_path / REVIEW).write_text("".join(json.dumps(one) + "\n" for one in actions))
        return review_sha256(tmp_path)

    assert review_sha256(tmp_path) is None
    rejected = known(action("reject"))
    assert known() is None is known(action("reject"), action("undo", 1, of="id0")) and rejected is not None
    assert rejected == known(action("accept", 5), action("reject", 6))
    assert len({rejected, known(action("accept")), known(action("reject", image_id="p1"))}) == 3
