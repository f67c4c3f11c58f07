import numpy as np

from pipelines.labels.paint import Painted, near_other_labels, paint_label_map
from tests.pipelines.labels.column_masks import columns


def test_overlaps_go_to_the_higher_score():
    masks = columns((0, 5), (3, 8))
    label_map, confidence = paint_label_map(Painted(masks, np.float32([0.4, 0.8]), np.int64([7, 9])), (2, 8))
    assert label_map.tolist() == [[7, 7, 7, 9, 9, 9, 9, 9]] * 2
    assert confidence.tolist() == [[102, 102, 102, 204, 204, 204, 204, 204]] * 2  # 0.4 * 255 = 102, 0.8 * 255 = 204
    assert label_map.dtype == confidence.dtype == np.uint8


def test_equal_scores_leave_the_overlap_to_the_earlier_instance():
    label_map, _ = paint_label_map(Painted(columns((0, 5), (3, 8)), np.float32([0.5, 0.5]), np.int64([1, 2])), (2, 8))
    assert label_map[0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2]


def test_an_unassigned_instance_is_unknown_and_the_rest_is_background():
    label_map, confidence = paint_label_map(Painted(columns((2, 4)), np.float32([0.9]), np.int64([255])), (2, 8))
    assert label_map[0].tolist() == [0, 0, 255, 255, 0, 0, 0, 0]
    assert confidence[0].tolist() == [255, 255, 0, 0, 255, 255, 255, 255]


def test_no_instance_composes_to_background():
    label_map, confidence = paint_label_map(
        Painted(np.zeros((0, 3, 4), bool), np.zeros(0, np.float32), np.zeros(0, np.int64)), (3, 4)
    )
    assert label_map.tolist() == [[0] * 4] * 3
    assert confidence.tolist() == [[255] * 4] * 3


def test_the_strip_near_another_label_has_the_width_asked_for():
    label_map = np.uint8([[0, 0, 0, 5, 5, 5, 5, 5]])
    assert near_other_labels(label_map, 1).tolist() == [[False, False, True, True, False, False, False, False]]
    assert near_other_labels(label_map, 2).tolist() == [[False, True, True, True, True, False, False, False]]
