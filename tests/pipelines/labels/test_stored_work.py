"""Labels from cues that were found before: the shapes that they are made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.config import PseudoLabelConfig, Shard
from pipelines.data.classes import ClassList
from pipelines.labels.cells import Cells
from pipelines.labels.cue_store import CueStore
from pipelines.labels.cues import InstanceLooks, KeywordMaps, PictureCues
from pipelines.labels.plan import LabelPlan
from pipelines.labels.stored_work import StoredWork, attention_alone, saliency

CLASSES = ClassList.from_names(["cat", "dog", "cow"])
SIZE = (2, 16)


def columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[:, first:last] = True
    return mask


def cues(*masks: np.ndarray, maps: list[list[float]] | None = None) -> PictureCues:
    scores = np.linspace(0.9, 0.6, len(masks)).astype(np.float32)
    shown = None if maps is None else KeywordMaps(np.array(maps, np.float32)[:, None], 2.0)
    return PictureCues(np.stack(masks) if masks else np.zeros((0, *SIZE), bool), scores, shown)


def test_the_union_of_all_instances_is_one_instance_with_the_best_score() -> None:
    found = saliency(cues(columns(0, 4), columns(3, 6), columns(10, 12), maps=[[1.0, 0.0]]))
    assert found.masks.shape == (1, *SIZE)
    assert np.array_equal(found.masks[0], columns(0, 6) | columns(10, 12))
    assert found.scores.tolist() == pytest.approx([0.9])
    assert found.attention is not None and found.looks is None and found.named is None


def test_nothing_found_stays_nothing() -> None:
    found = saliency(cues())
    assert found.masks.shape == (0, *SIZE) and found.scores.shape == (0,)


def test_attention_alone_is_where_a_map_is_strong_and_the_strongest() -> None:
    # Two cells over 16 columns have their centres at 3.5 and 11.5. Between them a map falls from 1 to -1 by 0.25 a
    # column, so it is above 0.3 up to column 6. The map of the other keyword is its mirror image.
    keywords = CLASSES.keywords(["cat", "cow"])
    found = attention_alone(cues(columns(0, 16), maps=[[1.0, -1.0], [-1.0, 1.0]]), keywords)
    assert found.named is not None and found.named.tolist() == [1, 3]
    assert np.array_equal(found.masks[0], columns(0, 7)) and np.array_equal(found.masks[1], columns(9, 16))
    assert found.scores.tolist() == pytest.approx([128 / 255] * 2)


def test_a_keyword_that_attention_shows_nowhere_has_no_pixels() -> None:
    keywords = CLASSES.keywords(["cat", "dog"])
    found = attention_alone(cues(columns(0, 3), maps=[[0.4, 0.4], [0.9, 0.9]]), keywords)
    assert found.named is not None and found.named.tolist() == [2]
    assert found.masks.all()


def test_a_picture_without_attention_maps_shows_nothing() -> None:
    assert len(attention_alone(cues(columns(0, 3)), CLASSES.keywords(["cat"])).masks) == 0


@pytest.mark.parametrize(("cells", "recognise"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_plan_sees_of_the_cues_what_it_asks_for(tmp_path: Path, cells: bool, recognise: bool) -> None:
    found = PictureCues(
        columns(0, 4)[None],
        np.ones(1, np.float32),
        KeywordMaps(np.zeros((1, 1, 2), np.float32), 1.0),
        InstanceLooks(np.zeros((1, 3), np.float32), np.zeros((1, 1), np.float32)),
        Cells(np.zeros((2, 3), np.float32), np.arange(2)),
        recognised=np.ones(1, np.float32),
        windows=np.zeros((1, 2, 2), np.float32),
    )
    CueStore(tmp_path).save("a", found)
    plan = LabelPlan({}, {"a": CLASSES.keywords(["cat"])}, CLASSES, Shard(), "graph", cells=cells, recognise=recognise)
    config = PseudoLabelConfig(images=(tmp_path,), weights=tmp_path / "w.pt", out=tmp_path / "labels")
    seen = StoredWork(config, plan, tmp_path, "instances").store.load("a", SIZE)
    assert seen.attention is not None and seen.looks is not None
    assert (seen.cells is not None, seen.recognised is not None) == (cells, recognise)
    assert (seen.windows is not None) == recognise
    alone = StoredWork(config, replace(plan, strategy="single"), tmp_path, "instances").store.load("a", SIZE)
    assert (alone.recognised is not None) == recognise
    assert (alone.windows is not None) == (recognise and cells)  # in one pass there is nothing to learn windows from
    union = StoredWork(config, plan, tmp_path, "saliency").store.load("a", SIZE)
    assert (union.looks, union.cells, union.windows) == (None, None, None)
