"""AP of instances against pycocotools and against the released formula, on random sets."""

import math

import numpy as np
import pytest

from pipelines.metrics.instance_ap import MAX_DETECTIONS, coco_ap, release_ap, release_aps
from tests.pipelines.metrics.test_instance_ap import by_pycocotools, random_scene, release_by_definition


def test_ap_of_200_random_sets_is_that_of_pycocotools_to_the_twelfth_digit() -> None:
    assert MAX_DETECTIONS == 20
    judged = 0
    for seed in range(1000, 1200):
        pictures, found = random_scene(seed)
        number = 2 + seed % 12  # sets of few pictures too, some without detections
        result, expected = coco_ap(pictures[:number], found), by_pycocotools(pictures[:number], found)
        for name, value in expected.items():
            assert abs(result[name] - value) < 1e-12, (seed, name)
        judged += 0 < result["ap"] < 1
    assert judged > 150


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_the_released_metric_of_random_sets_is_its_formula(threshold: float) -> None:
    from pycocotools import mask as rle_masks

    for seed in range(2000, 2060):
        pictures, found = random_scene(seed)
        by_id = {entry.image_id: entry for entry in found}
        for picture, value in zip(pictures, release_aps(pictures, found, threshold), strict=True):
            entry = by_id.get(picture.image_id)
            if not picture.rles:
                assert math.isnan(value)
                continue
            ranked = sorted(range(len(entry.rles) if entry else 0), key=lambda i: -entry.scores[i])[:20]
            if not ranked:
                assert value == 0
                continue
            best = [entry.rles[i] for i in ranked]
            ious = np.asarray(rle_masks.iou(best, list(picture.rles), [0] * len(picture.rles))).T
            assert value == pytest.approx(release_by_definition(ious.tolist(), threshold), rel=0, abs=1e-12)


def test_the_released_metric_is_its_formula_where_overlaps_are_equal() -> None:
    generator = np.random.default_rng(7)
    for _ in range(300):  # overlaps of few values: ties, and overlaps that equal the threshold
        ious = generator.integers(0, 6, (int(generator.integers(1, 6)), int(generator.integers(1, 21)))) / 5
        assert release_ap(ious, 0.6) == pytest.approx(release_by_definition(ious.tolist(), 0.6), rel=0, abs=1e-12)
