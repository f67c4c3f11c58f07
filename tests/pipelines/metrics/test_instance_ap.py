import contextlib
import io
import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as rle_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines.data.coco import CocoPicture
from pipelines.metrics.instance_ap import (
    PictureDetections,
    accumulate,
    coco_ap,
    match_pictures,
    release_ap,
    release_aps,
)
from pipelines.metrics.occlusion import occluded_subset
from tests.pipelines.metrics.block_pictures import SIDE, block, picture, rle


def detections(image_id: str, *scored: tuple[float, NDArray[np.uint8]]) -> PictureDetections:
    scores = np.array([score for score, _ in scored], np.float32)
    return PictureDetections(image_id, scores, [rle(mask) for _, mask in scored])


def ious_with_hits(n_truths: int, ranks: list[int]) -> NDArray[np.float64]:
    """20 detections; the i-th rank (from 1) covers the i-th true instance, all others nothing."""
    ious = np.zeros((n_truths, 20))
    for truth, rank in enumerate(ranks):
        ious[truth, rank - 1] = 1.0
    return ious


# Worked by hand from the published evaluator's definition. For example one instance hit at rank 5: precision 0 for
# k < 5, then 1/5 falling to 1/20, all with recall 1; trapezoids: 0..1/20 rising from 0 to 1 = 0.025, 1/20..1/5 = 0.15.
@pytest.mark.parametrize(
    ("n_truths", "ranks", "expected"),
    [
        (1, [1], 1.0),
        (1, [2], 0.475),
        (1, [5], 0.175),
        (2, [1, 3], 0.917),
        (2, [1], 0.5),
        (3, [1, 2, 6], 0.852),
        (2, [2, 3], 0.617),
    ],
)
def test_release_ap_gives_the_worked_table(n_truths: int, ranks: list[int], expected: float) -> None:
    assert release_ap(ious_with_hits(n_truths, ranks), 0.5) == pytest.approx(expected, abs=5e-4)


def release_by_definition(ious: list[list[float]], threshold: float) -> float:
    """The same metric in plain Python, from its description alone."""
    points: dict[float, float] = {}
    for k in range(1, len(ious[0]) + 1):
        taken: set[int] = set()
        for row in ious:
            free = {column: row[column] for column in range(k) if column not in taken and row[column] > 0}
            best = max(free, key=lambda column: (free[column], -column), default=None)
            if best is not None and free[best] > threshold:
                taken.add(best)
        precision, recall = len(taken) / k, len(taken) / len(ious)
        points[precision] = max(points.get(precision, 0.0), recall)
    curve = sorted(points.items())
    curve.insert(0, (0.0, curve[0][1]))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(curve))


def test_release_ap_agrees_with_plain_python_on_random_overlaps() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        ious = generator.random((int(generator.integers(1, 6)), int(generator.integers(1, 21)))) ** 0.7
        assert release_ap(ious, 0.7) == pytest.approx(release_by_definition(ious.tolist(), 0.7), abs=1e-12)


def test_release_matching_is_done_anew_for_every_number_of_detections() -> None:
    # k = 1: the first instance takes detection 1 (0.6), the second finds it gone: precision 1, recall 1/2.
    # k = 2: the first prefers detection 2 (0.9), which frees detection 1 for the second (0.55): precision 1, recall 1.
    # The best recall at precision 1 counts, so the curve is flat at 1.
    assert release_ap(np.array([[0.6, 0.9], [0.55, 0.8]]), 0.5) == 1.0


def test_release_match_needs_an_overlap_strictly_above_the_threshold() -> None:
    truth = picture("a", block(0, 0, 10, 10))
    half = detections("a", (0.9, block(0, 0, 10, 5)))
    assert release_aps([truth], [half], 0.5).tolist() == [0.0]
    assert release_aps([truth], [half], 0.49).tolist() == [1.0]


def test_the_released_evaluator_judges_each_picture_alone_and_coco_pools_them() -> None:
    # Picture a: its only detection is right with score 0.2. Picture b: its only detection is wrong with score 0.9.
    pictures = [picture("a", block(0, 0, 10, 10)), picture("b", block(0, 0, 10, 10))]
    found = [detections("a", (0.2, block(0, 0, 10, 10))), detections("b", (0.9, block(20, 20, 30, 30)))]
    assert release_aps(pictures, found, 0.5).tolist() == [1.0, 0.0]
    # Pooled: wrong, right. Precision 1/2 up to recall 1/2: 51 of COCO's 101 recall steps.
    assert coco_ap(pictures, found)["ap50"] == pytest.approx(0.5 * 51 / 101)


def test_released_ap_is_0_for_undetected_pictures_and_nan_for_those_without_instances() -> None:
    pictures = [picture("a", block(0, 0, 9, 9)), picture("b", block(0, 0, 9, 9)), picture("empty")]
    found = [detections("a", (0.5, block(0, 0, 9, 9))), detections("empty", (0.9, block(0, 0, 9, 9)))]
    assert release_aps([pictures[0], pictures[1]], [found[0], detections("b")], 0.5).tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(release_aps(pictures, found, 0.5), [1.0, 0.0, np.nan])


def test_released_ap_ranks_by_score_and_cuts_at_the_limit() -> None:
    truth = picture("a", block(0, 0, 10, 10))
    wrong = [(0.5 + index / 100, block(20, 20, 30, 30)) for index in range(4)]
    found = detections("a", (0.1, block(0, 0, 10, 10)), *wrong)
    # Last of 5 by score: precision 0 for k < 5, then (1/5, recall 1): one triangle of 1/5 * 1 / 2.
    assert release_aps([truth], [found], 0.5) == pytest.approx([0.1])
    assert release_aps([truth], [found], 0.5, max_detections=4).tolist() == [0.0]


def test_coco_ap_of_one_detection_counts_the_thresholds_that_it_reaches() -> None:
    # 62 of 100 pixels: IoU 0.62 passes 0.50, 0.55 and 0.60 of the ten thresholds.
    mask = block(0, 0, 10, 6)
    mask[6, :2] = 1
    result = coco_ap([picture("a", block(0, 0, 10, 10))], [detections("a", (0.9, mask))])
    assert result == pytest.approx({"ap": 0.3, "ap50": 1.0, "ap70": 0.0, "ap75": 0.0})


def test_an_iou_that_equals_a_threshold_reaches_it() -> None:
    # 70 of 100 pixels reach 0.50 to 0.70, five of ten; 50 of 100 reach the first alone.
    truth = picture("a", block(0, 0, 10, 10))
    for rows, share in ((7, 0.5), (5, 0.1)):
        assert coco_ap([truth], [detections("a", (0.9, block(0, 0, 10, rows)))])["ap"] == pytest.approx(share)


def test_coco_ap_looks_at_20_detections_of_a_picture() -> None:
    truth = picture("a", block(0, 0, 10, 10))
    wrong = [(0.5 + index / 100, block(20, 20, 30, 30)) for index in range(20)]
    found = detections("a", *wrong, (0.1, block(0, 0, 10, 10)))
    assert coco_ap([truth], [found])["ap"] == 0.0
    # At rank 21 its precision is 1/21 over every recall step.
    assert coco_ap([truth], [found], max_detections=21)["ap"] == pytest.approx(1 / 21)


def random_scene(seed: int) -> tuple[list[CocoPicture], list[PictureDetections]]:
    """Pictures with few, many or no instances and detections, equal scores, and instances that lie on each other."""
    generator = np.random.default_rng(seed)
    pictures, found = [], []
    for number in range(14):
        corners = generator.integers(0, 24, (int(generator.integers(0, 5)) if number else 3, 2))
        if number % 3 == 0:
            corners = np.repeat(corners, 2, axis=0)  # equal overlaps: the order in the file decides
        moves = generator.integers(0, 4, (int(generator.choice([0, 1, 3, 9])) if number else 5, len(corners), 2))
        spots = [*(corners + moves).reshape(-1, 2), *generator.integers(0, 30, (int(generator.choice([0, 2])), 2))]
        scored = [(float(generator.integers(1, 10)) / 10, block(x, y, x + 14, y + 12)) for x, y in spots]
        pictures.append(picture(f"p{number}", *(block(x, y, x + 14, y + 12) for x, y in corners)))
        if number != 5:
            found.append(detections(f"p{number}", *scored))
    return pictures, found


class Judge(COCOeval):
    """pycocotools, with a word on what to ignore: of itself it lets the crowd flag, which alters the IoU, decide."""

    def _prepare(self) -> None:
        super()._prepare()
        for truths in self._gts.values():
            for truth in truths:
                truth["ignore"] = truth["left_out"]


def by_pycocotools(
    pictures: list[CocoPicture], found: list[PictureDetections], ignored: Mapping[str, NDArray[np.bool_]] | None = None
) -> dict[str, float]:
    numbers = {entry.image_id: number for number, entry in enumerate(pictures, start=1)}
    images = [{"id": numbers[entry.image_id], "height": SIDE, "width": SIDE} for entry in pictures]
    truths = [
        {"image_id": numbers[entry.image_id], "segmentation": mask, "left_out": bool(flag)}
        for entry in pictures
        for mask, flag in zip(entry.rles, (ignored or {}).get(entry.image_id, [False] * len(entry.rles)), strict=True)
    ]
    results = [
        {"image_id": numbers[entry.image_id], "segmentation": mask, "score": float(score)}
        for entry in found
        if entry.image_id in numbers
        for score, mask in zip(entry.scores, entry.rles, strict=True)
    ]
    indices = []
    for annotations in (truths, results):
        for number, annotation in enumerate(annotations, start=1):  # pycocotools reads a match with id 0 as none
            area = int(rle_masks.area(annotation["segmentation"]))
            annotation |= {"id": number, "category_id": 1, "iscrowd": 0, "area": area}
        index = COCO()
        index.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
        indices.append(index)
    with contextlib.redirect_stdout(io.StringIO()):
        for index in indices:
            index.createIndex()
        judge = Judge(*indices, "segm")
        judge.params.useCats, judge.params.maxDets = 0, [20]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    return {"ap": precision.mean(), "ap50": precision[0], "ap70": precision[4], "ap75": precision[5]}


@pytest.mark.parametrize("seed", range(12))
def test_coco_ap_equals_pycocotools_on_all_and_on_the_occluded_pictures(seed: int) -> None:
    pictures, found = random_scene(seed)
    occluded = [entry for entry in pictures if entry.image_id in occluded_subset(pictures)]
    assert 0 < len(occluded) < len(pictures)
    assert max(len(entry.rles) for entry in found) > 20
    for subset in (pictures, occluded):
        result = coco_ap(subset, found)
        assert result == pytest.approx(by_pycocotools(subset, found), rel=0, abs=1e-9)
        assert 0 < result["ap70"] < 1


@pytest.mark.parametrize("seed", range(12))
def test_ignored_instances_are_treated_as_pycocotools_does(seed: int) -> None:
    pictures, found = random_scene(seed)
    generator = np.random.default_rng(seed)
    ignored = {entry.image_id: generator.random(len(entry.rles)) < 0.5 for entry in pictures[:-2]}
    result = accumulate(match_pictures(pictures, found, ignored))
    assert result == pytest.approx(by_pycocotools(pictures, found, ignored), rel=0, abs=1e-9)
    assert result != coco_ap(pictures, found)


def test_a_detection_of_an_ignored_instance_is_neither_hit_nor_false_alarm() -> None:
    truth = picture("a", block(0, 0, 10, 10), block(20, 20, 30, 30))
    found = [detections("a", (0.9, block(20, 20, 30, 30)), (0.5, block(0, 0, 10, 10)))]
    ignored = {"a": np.array([False, True])}
    assert accumulate(match_pictures([truth], found, ignored))["ap"] == 1.0
    # The instance is taken by the first detection; a second one on it is a false alarm before the hit.
    twice = [detections("a", (0.9, block(20, 20, 30, 30)), (0.8, block(20, 20, 30, 30)), (0.5, block(0, 0, 10, 10)))]
    assert accumulate(match_pictures([truth], twice, ignored))["ap"] == pytest.approx(0.5)


def test_a_picture_drawn_twice_counts_twice() -> None:
    pictures = [picture("a", block(0, 0, 9, 9)), picture("b", block(0, 0, 9, 9))]
    hit, miss = match_pictures(pictures, [detections("a", (0.5, block(0, 0, 9, 9)))])
    # Two of three instances found, without a false alarm: 67 of 101 recall steps.
    assert accumulate([hit, miss, hit])["ap"] == pytest.approx(67 / 101)
    assert accumulate([hit, hit])["ap"] == 1.0


def test_coco_ap_without_detections_is_0_and_without_instances_nan() -> None:
    keys = {"ap", "ap50", "ap70", "ap75"}
    assert coco_ap([picture("a", block(0, 0, 9, 9))], []) == dict.fromkeys(keys, 0.0)
    nothing = coco_ap([picture("a")], [detections("a", (0.5, block(0, 0, 9, 9)))])
    assert nothing.keys() == keys
    assert all(math.isnan(value) for value in nothing.values())


def test_detections_in_pictures_without_instances_lower_the_pooled_ap() -> None:
    pictures = [picture("a", block(0, 0, 9, 9)), picture("empty")]
    found = [detections("a", (0.5, block(0, 0, 9, 9))), detections("empty", (0.9, block(0, 0, 9, 9)))]
    assert coco_ap(pictures, found)["ap50"] == pytest.approx(0.5)


def test_detections_of_other_pictures_are_left_out() -> None:
    found = [detections("a", (0.5, block(0, 0, 9, 9))), detections("elsewhere", (0.9, block(0, 0, 9, 9)))]
    assert coco_ap([picture("a", block(0, 0, 9, 9))], found)["ap"] == pytest.approx(1.0)


def test_scoring_leaves_its_input_as_it_was_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    pictures, found = random_scene(9)
    before = repr((pictures, found))
    coco_ap(pictures, found)
    release_aps(pictures, found, 0.5)
    assert repr((pictures, found)) == before
    assert capsys.readouterr().out == ""


def test_two_entries_for_one_picture_are_refused() -> None:
    entry = detections("a", (0.5, block(0, 0, 9, 9)))
    with pytest.raises(ValueError, match="more than one"):
        coco_ap([picture("a", block(0, 0, 9, 9))], [entry, entry])


def test_scores_and_masks_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 scores for 1 masks"):
        PictureDetections("a", np.array([0.1, 0.2]), [rle(block(0, 0, 9, 9))])
