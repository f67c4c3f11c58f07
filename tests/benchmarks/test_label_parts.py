from pkgutil import resolve_name

import numpy as np

from benchmarks.label_parts import PARTS, without
from pipelines.labels import learn


def test_what_a_part_leaves_out_exists_and_is_back_afterwards():
    for places, _ in PARTS.values():
        before = [resolve_name(place) for place in places]
        with without(*places):
            assert all(resolve_name(place) is not old for place, old in zip(places, before, strict=True))
        assert [resolve_name(place) for place in places] == before


def test_what_is_left_out_does_nothing():
    label_map = np.zeros((1, 2), np.uint8)
    with without("pipelines.labels.learn.teach_missing"):
        learn.teach_missing(label_map, None, None, np.int64([]))  # type: ignore[arg-type]
    assert label_map.tolist() == [[0, 0]]
