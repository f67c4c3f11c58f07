import random
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.cells import Cells
from pipelines.labels.cues import CueFinder, InstanceLooks, KeywordMaps, PictureCues, load_cues
from pipelines.labels.instances import FoundInstances

PICTURE = np.zeros((6, 8, 3), np.uint8)
ONE = Keywords(("cat",), (3,))
TWO = Keywords(("cat", "dog"), (3, 4))


class Attention:
    """A map of 1 on the left and 0 on the right for every keyword; two features, left and right."""

    unit = 20.0

    def look(self, picture: np.ndarray, keywords: Keywords) -> tuple[np.ndarray, np.ndarray]:
        sides = np.array([[[1, 0]], [[0, 1]]], np.float32)
        return sides[[0] * len(keywords)], sides


def instances(*scores: float) -> FoundInstances:
    """Make one instance for each score, all on the left half; the last one has no pixel."""
    masks = np.zeros((len(scores), 6, 8), bool)
    masks[:-1, :, :2] = True
    return FoundInstances(masks, np.array(scores, np.float32), np.zeros(len(scores), np.int64))


def finder(found: FoundInstances, **settings: bool) -> CueFinder:
    return CueFinder(lambda image_id, picture: found, Attention(), 0.5, **settings)  # type: ignore[arg-type]


def test_attention_is_asked_only_where_it_is_needed():
    look = finder(instances(0.9, 0.8, 0.7))
    one, two = look("a", PICTURE, ONE), look("a", PICTURE, TWO)
    assert len(one.masks) == 2 and one.attention is None and one.looks is None
    assert two.attention is not None and two.attention.maps.shape == (2, 1, 2) and two.looks is None


def test_features_and_log_odds_are_means_inside_the_masks():
    cues = finder(instances(0.9, 0.8), looks=True)("a", PICTURE, ONE)
    # The mask covers two of the left cell's four columns. They lie left of the cell's centre, so only this cell counts.
    assert cues.looks is not None
    np.testing.assert_allclose(cues.looks.features, [[1, 0]], atol=1e-6)
    np.testing.assert_allclose(cues.looks.log_odds, [[20]], atol=1e-5)


def test_a_doubtful_instance_is_kept_only_where_there_is_no_other():
    assert finder(instances(0.9, 0.4, 0.1))("a", PICTURE, ONE).scores.tolist() == np.float32([0.9]).tolist()
    assert finder(instances(0.4, 0.3, 0.1))("a", PICTURE, ONE).scores.tolist() == np.float32([0.4]).tolist()
    assert len(finder(instances(0.16, 0.1))("a", PICTURE, ONE).scores) == 0  # below a third of 0.5


def equal(first: Any, second: Any) -> bool:
    """Tell whether two values are equal in all their fields, nested ones included."""
    if is_dataclass(first):
        return type(first) is type(second) and all(
            equal(getattr(first, field.name), getattr(second, field.name)) for field in fields(first)
        )
    return bool(np.array_equal(first, second, equal_nan=np.asarray(first).dtype.kind == "f"))


def whole_cues() -> PictureCues:
    """Make cues with every field."""
    generator = np.random.default_rng(0)
    return PictureCues(
        generator.random((3, 6, 8)) < 0.5,
        generator.random(3).astype(np.float32),
        KeywordMaps(generator.random((2, 3, 4)).astype(np.float32), 12.5),
        InstanceLooks(generator.random((3, 5)).astype(np.float32), generator.random((3, 2)).astype(np.float32)),
        Cells(generator.random((4, 5)).astype(np.float16), np.int32([0, 3, 5, 11])),
        generator.random(3).astype(np.float32),
        np.float32([[[0.5, -7]], [[np.nan, np.nan]]]),
        np.int64([0, 12, 8]),
    )


def test_cues_come_back_from_their_file_as_they_were(tmp_path: Path):
    cues = whole_cues()
    # Every field is set, or this test could not see that the file forgets one that was added later.
    assert not any(value is None for value in vars(cues).values())
    cues.save(tmp_path / "folder" / "a.npz")
    loaded = load_cues(tmp_path / "folder" / "a.npz")
    assert loaded is not None and equal(cues, loaded)
    # Each optional field may be missing without the others.
    for field in fields(cues)[2:]:
        replace(cues, **{field.name: None}).save(tmp_path / "b.npz")
        loaded = load_cues(tmp_path / "b.npz")
        assert loaded is not None and equal(replace(cues, **{field.name: None}), loaded), field.name


def test_cues_without_instances_come_back_too(tmp_path: Path):
    PictureCues(np.zeros((0, 6, 8), bool), np.zeros(0, np.float32)).save(tmp_path / "a.npz")
    loaded = load_cues(tmp_path / "a.npz")
    assert loaded is not None and loaded.masks.shape == (0, 6, 8) and loaded.looks is None and loaded.attention is None


class Judge:
    """Stands in for ImageNet's classifier: it believes in halves, and sees the keywords everywhere."""

    def __call__(self, picture: np.ndarray, masks: np.ndarray, keywords: tuple[str, ...]) -> np.ndarray:
        return np.full(len(masks), 0.5, np.float32)

    def windows(self, picture: np.ndarray, keywords: tuple[str, ...]) -> np.ndarray:
        return np.ones((len(keywords), 4, 4), np.float32)


def test_instances_are_always_judged_and_windows_where_looks_are_kept() -> None:
    found = instances(0.9, 0.8, 0.1)
    once = finder(found, recognise=Judge())("a", PICTURE, TWO)
    assert once.recognised is not None and once.recognised.tolist() == [0.5] * len(once.masks) and once.windows is None
    kept = finder(found, looks=True, recognise=Judge())("a", PICTURE, TWO)
    assert kept.recognised is not None and kept.recognised.tolist() == [0.5] * len(kept.masks)
    assert kept.windows is not None and kept.windows.shape == (2, 4, 4)
    assert finder(found, looks=True)("a", PICTURE, TWO).recognised is None


def test_a_missing_or_damaged_file_holds_no_cues(tmp_path: Path):
    assert load_cues(tmp_path / "none.npz") is None
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04 half a file")
    assert load_cues(tmp_path / "half.npz") is None
    np.save(tmp_path / "plain.npy", np.zeros(3))
    (tmp_path / "plain.npy").rename(tmp_path / "plain.npz")
    assert load_cues(tmp_path / "plain.npz") is None
    np.savez(tmp_path / "flat.npz", size=np.array(6), masks=np.array([], np.str_), scores=np.zeros(0, np.float32))
    assert load_cues(tmp_path / "flat.npz") is None


def test_too_little_memory_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def used_up(*_: Any) -> None:
        raise MemoryError

    whole_cues().save(tmp_path / "a.npz")
    monkeypatch.setattr("pipelines.labels.cues.decode_masks", used_up)
    with pytest.raises(MemoryError):
        load_cues(tmp_path / "a.npz")


def test_a_damaged_byte_makes_a_file_without_cues_or_changes_nothing(tmp_path: Path):
    cues, path, dice = whole_cues(), tmp_path / "a.npz", random.Random(0)
    cues.save(path)
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")  # the members before it have checksums of their own
    places = dice.sample(range(directory, len(content)), 100) + dice.sample(range(directory), 30)
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ dice.randrange(1, 256)]) + content[place + 1 :])
        loaded = load_cues(path)
        assert loaded is None or equal(loaded, cues), place
