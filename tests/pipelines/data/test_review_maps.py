import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.classes import ClassList
from pipelines.data.review import NOTHING, REVIEW, PictureReview
from pipelines.data.review_maps import OriginalMaps, corrected_maps, open_reviewed
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from tests.pipelines.review_folder import (
    CAT,
    CLASSES,
    COW,
    DOG,
    LEFT,
    RIGHT,
    SPOT,
    action,
    keys,
    make_folder,
    usual_maps,
    usual_record,
)

RECORD = usual_record()
CAT_KEY, DOG_KEY, SPOT_KEY = keys(RECORD)


def correct(review: PictureReview) -> tuple[np.ndarray, np.ndarray]:
    original = usual_maps()
    result = corrected_maps(original, RECORD, review, CLASSES)
    np.testing.assert_array_equal(original[0], usual_maps()[0])  # untouched
    return result


def test_another_keyword_changes_the_pixels_of_the_instance_alone() -> None:
    label_map, confidence = correct(PictureReview(None, {}, {CAT_KEY: "cow"}))
    expected, sure = usual_maps()
    expected[LEFT], sure[LEFT] = COW, 255
    np.testing.assert_array_equal(label_map, expected)
    np.testing.assert_array_equal(confidence, sure)


def test_an_instance_that_was_left_out_lies_on_top_when_it_is_taken_in() -> None:
    label_map, confidence = correct(PictureReview(None, {}, {SPOT_KEY: "cow"}))
    expected, sure = usual_maps()
    expected[SPOT], sure[SPOT] = COW, 255
    np.testing.assert_array_equal(label_map, expected)
    np.testing.assert_array_equal(confidence, sure)


def test_background_uncovers_what_lies_below_and_unknown_has_no_confidence() -> None:
    label_map, confidence = correct(PictureReview(None, {}, {DOG_KEY: NOTHING, CAT_KEY: None}))
    expected, _ = usual_maps()
    expected[RIGHT], expected[LEFT] = 0, 255
    np.testing.assert_array_equal(label_map, expected)
    assert (confidence[LEFT] == 0).all() and (confidence[RIGHT] == 255).all() and (confidence[30:] == 100).all()


def test_a_better_instance_stays_on_top_of_one_with_another_keyword() -> None:
    record = usual_record()
    record["instances"][2] |= {"sure": True, "score": 0.95, "keyword": "dog"}
    label_map, confidence = usual_maps()
    label_map[SPOT] = DOG
    label_map[10, 20] = CAT  # another witness was stronger here
    corrected, _ = corrected_maps((label_map, confidence), record, PictureReview(None, {}, {CAT_KEY: "cow"}), CLASSES)
    expected = label_map.copy()
    expected[LEFT] = COW
    expected[SPOT] = DOG
    expected[10, 20] = CAT
    np.testing.assert_array_equal(corrected, expected)
    # Once the spot is background, the instances below it show.
    uncovered, _ = corrected_maps(
        (label_map, confidence), record, PictureReview(None, {}, {SPOT_KEY: NOTHING}), CLASSES
    )
    np.testing.assert_array_equal(uncovered, usual_maps()[0])


def test_strokes_lie_over_instances_and_later_strokes_over_earlier_ones() -> None:
    wide, narrow = np.zeros((2, 1, 40, 60), np.uint8)
    wide[0, 5:15, 5:15], narrow[0, 8:10, 8:10] = 1, 1
    strokes = [("dog", encode_masks(wide)[0]), (NOTHING, encode_masks(narrow)[0])]
    label_map, _ = correct(PictureReview(None, {}, {CAT_KEY: "cow"}, strokes))
    expected, _ = usual_maps()
    expected[LEFT] = COW
    expected[5:15, 5:15] = DOG
    expected[8:10, 8:10] = 0
    np.testing.assert_array_equal(label_map, expected)
    other_size = encode_masks(np.ones((1, 3, 3), np.uint8))[0]
    np.testing.assert_array_equal(correct(PictureReview(None, {}, {}, [("dog", other_size)]))[0], usual_maps()[0])


def test_accepted_is_certain_everywhere_and_rejected_is_unknown_everywhere() -> None:
    label_map, confidence = correct(PictureReview("accepted"))
    np.testing.assert_array_equal(label_map, usual_maps()[0])
    assert (confidence == 255).all()
    label_map, confidence = correct(PictureReview("rejected", {}, {CAT_KEY: "cow"}))
    assert (label_map == 255).all() and (confidence == 0).all()


def test_a_class_that_the_list_lacks_is_unknown() -> None:
    assert (correct(PictureReview(None, {}, {CAT_KEY: "unicorn"}))[0][LEFT] == 255).all()


def test_the_original_maps_are_kept_and_come_back_byte_for_byte(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    paths = [folder.label_path("p0"), folder.confidence_path("p0")]
    before = [path.read_bytes() for path in paths]
    maps = OriginalMaps(folder)
    maps.correct(RECORD, PictureReview(None, {}, {CAT_KEY: "cow"}))
    maps.correct(RECORD, PictureReview(None, {}, {CAT_KEY: "dog"}))
    assert folder.read_label("p0")[0, 0] == DOG
    assert [(folder.path / "original" / path.relative_to(folder.path)).read_bytes() for path in paths] == before
    maps.correct(RECORD, PictureReview())
    assert [path.read_bytes() for path in paths] == before


def test_original_maps_that_are_made_anew_take_the_place_of_the_kept_ones(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    maps = OriginalMaps(folder)
    maps.correct(RECORD, PictureReview(None, {}, {CAT_KEY: "cow"}))
    new = np.full((40, 60), DOG, np.uint8)
    maps.keep("p0", (new, np.full((40, 60), 9, np.uint8)))
    np.testing.assert_array_equal(maps.read("p0")[0], new)
    assert (maps.read("p0")[1] == 9).all()


def test_a_reviewed_folder_is_read_whole_and_carried_on(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    lines = [
        action("assign", 0, instance=CAT_KEY, keyword="cow"), action("reject", 1, "p1"), action("accept", 2, "gone"),
    ]  # fmt: skip
    (folder.path / REVIEW).write_text("".join(json.dumps(line) + "\n" for line in lines))
    reviewed = open_reviewed(folder.path)
    assert "p0" in reviewed and "p2" not in reviewed and "gone" not in reviewed
    assert reviewed.keywords("p0") == ["cat", "dog", "cow"]
    assert reviewed.is_rejected("p1") and not reviewed.is_rejected("p0") and not reviewed.is_rejected("p2")
    assert (reviewed.maps("p0")[0][LEFT] == COW).all() and (reviewed.maps("p1")[0] == 255).all()
    OriginalMaps(folder).correct(RECORD, reviewed.reviews["p0"])
    assert reviewed.maps("p0")[0][35, 0] == 0  # the same once the corrected map is in place
    assert (reviewed.maps("p0", PictureReview("rejected"))[0] == 255).all()  # said later, in another folder
    reviewed.carry_to(tmp_path / "next", ["p0", "p1", "p2"])
    assert (tmp_path / "next" / REVIEW).read_bytes() == (folder.path / REVIEW).read_bytes()
    assert sorted(p.name for p in (tmp_path / "next/original").rglob("*.png")) == ["p0.png", "p0.png"]


def test_a_folder_without_corrections_or_with_other_classes_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    with pytest.raises(InputError, match="review-missing"):
        open_reviewed(folder.path)
    (folder.path / REVIEW).write_text(json.dumps(action("accept")) + "\n")
    with pytest.raises(InputError, match="labels-classes"):
        open_reviewed(folder.path, ClassList.from_names(["cat"]))
    assert CAT == 1
