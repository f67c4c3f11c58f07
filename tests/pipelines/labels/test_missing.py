import numpy as np

from pipelines.data.classes import IGNORE, Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED
from pipelines.labels.missing import fill_keywords, missing_keywords, shown_pixels, teach_missing

SIZE = (1, 4)
CAT, DOG = 5, 2
TWO = Keywords(("cat", "dog"), (CAT, DOG))
MAPS = np.float32([[[0.9, 0.6, 0.6, 0.1]], [[0.2, 0.7, 0.25, -0.4]]])


def test_a_keyword_is_missing_if_no_instance_has_it():
    assert missing_keywords(TWO, np.int64([UNASSIGNED, CAT, CAT])) == [1]
    assert missing_keywords(TWO, np.int64([DOG, CAT])) == []
    assert missing_keywords(TWO, np.zeros(0, np.int64)) == [0, 1]


def test_attention_shows_a_keyword_where_it_is_strong_and_strongest():
    shown = shown_pixels(MAPS, [0, 1], SIZE)
    assert {number: mask.tolist() for number, mask in shown.items()} == {
        0: [[True, False, True, False]],
        1: [[False, True, False, False]],
    }
    assert shown_pixels(MAPS, [], SIZE) == {}


def test_what_lacks_an_instance_is_not_taught_to_be_background():
    label_map = np.uint8([[0, 0, 0, 0]])
    teach_missing(label_map, MAPS, TWO, np.int64([CAT]))
    # The dog's map is strongest at the second pixel, leans to the dog at the first and third, and against it at the
    # last.
    assert label_map.tolist() == [[IGNORE, DOG, IGNORE, 0]]


def test_instances_teach_as_before():
    label_map = np.uint8([[CAT, CAT, 0, 0]])
    teach_missing(label_map, MAPS, TWO, np.int64([CAT]))
    assert label_map.tolist() == [[CAT, CAT, IGNORE, 0]]
    both = np.uint8([[CAT, DOG, 0, 0]])
    teach_missing(both, MAPS, TWO, np.int64([CAT, DOG]))
    assert both.tolist() == [[CAT, DOG, 0, 0]]


def test_without_attention_nothing_of_the_background_is_taught():
    label_map = np.uint8([[CAT, 0, 0, 0]])
    teach_missing(label_map, None, TWO, np.int64([CAT]))
    assert label_map.tolist() == [[CAT, IGNORE, IGNORE, IGNORE]]


def test_filling_takes_what_attention_shows_with_half_confidence():
    label_map, confidence = np.uint8([[CAT, CAT, 0, 0]]), np.uint8([[230, 230, 255, 255]])
    fill_keywords(MAPS, TWO, np.int64([CAT]), label_map, confidence)
    assert label_map.tolist() == [[CAT, DOG, 0, 0]] and confidence.tolist() == [[230, 128, 255, 255]]
