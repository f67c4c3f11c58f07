"""Labels and predictions are the same bytes from one process, from several, and from shards."""

from pathlib import Path

import pytest

from pipelines.engine.picture_workers import FEWEST
from tests.reliability.label_command import files, finish, label, predict, write_scenes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 4 * FEWEST)


@pytest.fixture(scope="module")
def whole(scenes: Path) -> Path:
    finish(label(scenes, "whole", workers=0))
    assert len(files(scenes / "whole")) > 3 * 4 * FEWEST
    return scenes / "whole"


@pytest.mark.parametrize("workers", [2, 4])
def test_processes_label_as_one(scenes: Path, whole: Path, workers: int) -> None:
    errors = finish(label(scenes, f"labels{workers}", workers=workers))
    assert f"{workers} processes of one thread each" in errors
    assert files(scenes / f"labels{workers}") == files(whole)


@pytest.mark.parametrize("of", [3, 7])
def test_shards_label_as_one_after_both_rounds(scenes: Path, whole: Path, of: int) -> None:
    out = f"shards{of}"
    for number in [*range(of, 0, -1), *range(1, of + 1)]:
        finish(label(scenes, out, workers=1, shard=f"{number}/{of}"))
    assert files(scenes / out) == files(whole)


def test_processes_and_shards_predict_as_one(scenes: Path) -> None:
    finish(predict(scenes, "predicted", workers=0))
    expected = files(scenes / "predicted")
    for number in (3, 1, 2):
        finish(predict(scenes, "parts", workers=1, shard=f"{number}/3"))
    errors = finish(predict(scenes, "two", workers=2))
    assert "2 processes of one thread each" in errors
    assert sorted(expected) == ["instances.json", "records.jsonl", "settings.json"]
    assert files(scenes / "parts") == expected and files(scenes / "two") == expected
