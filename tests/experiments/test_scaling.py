"""`experiments/scaling.py`: hand-derived figures of a folder of two pictures, and of many pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.scaling import (
    Graph,
    Measured,
    disk,
    graph_seconds,
    measure,
    memory,
    partitioned_seconds,
    readable,
    speeds,
    table,
)
from pipelines.labels.cells import Cells
from pipelines.labels.cues import KeywordMaps, PictureCues

EACH = Measured(
    pictures=10,
    instances=2.0,
    labels=3_000.0,
    confidence=20_000.0,
    cell=500.0,
    other_cues=11_000.0,
    records=2_000.0,
    coco=1_000.0,
    record_memory=9_000.0,
    cue_seconds=0.001,
    dimensions=320,
)
SMALL, LARGE = Graph(10_000, 1.0, 1.0, 1.0, 1.0), Graph(50_000, 10.0, 25.0, 5.0, 1.5)


def test_a_label_folder_is_measured(tmp_path: Path) -> None:
    for folder in ("labels", "confidence", "cues"):
        (tmp_path / folder / "sub").mkdir(parents=True)
    for name, cells in (("a", 3), ("sub/b", 5)):
        Image.new("L", (8, 8)).save(tmp_path / "labels" / f"{name}.png")
        Image.new("L", (9, 9)).save(tmp_path / "confidence" / f"{name}.png")
        some = Cells(np.zeros((cells, 4), np.float16), np.arange(cells, dtype=np.int32))
        maps = KeywordMaps(np.zeros((1, 2, 4), np.float32), 1.0)
        cues = PictureCues(np.zeros((1, 8, 8), bool), np.ones(1, np.float32), attention=maps, cells=some)
        cues.save(tmp_path / "cues" / f"{name}.npz")
    lines = [json.dumps({"image_id": "a", "instances": [{}, {}]}), json.dumps({"image_id": "sub/b", "failed": "x"})]
    (tmp_path / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "instances.json").write_text("x" * 50)
    found = measure(tmp_path)
    assert found.pictures == 2
    assert found.instances == 1  # two and none
    assert found.dimensions == 4
    assert found.labels == sum(path.stat().st_size for path in (tmp_path / "labels").rglob("*.png")) / 2
    assert found.records == (len(lines[0]) + len(lines[1]) + 2) / 2
    assert found.coco == 25
    # Both parts of a file of cues together are the file.
    whole = sum(path.stat().st_size for path in (tmp_path / "cues").rglob("*.npz"))
    assert 2 * found.other_cues + 8 * found.cell == pytest.approx(whole)
    assert 0 < found.cell < found.other_cues
    assert found.record_memory > found.records  # Python objects are larger than their text


def test_a_folder_without_cells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit, match="no cues with cells"):
        measure(tmp_path)


def test_disk_of_many_pictures() -> None:
    # 1,000 pictures have 128 cells each: 11,000 + 128 * 500 = 75,000 bytes of cues.
    assert disk(EACH, 1_000) == {
        "cues": 75e6,
        "confidence": 20e6,
        "labels": 3e6,
        "records.jsonl": 2e6,
        "instances.json": 1e6,
        "all": 101e6,
        "files": 3_000,
    }
    # 100,000 pictures have 16 cells each, the fewest: 11,000 + 16 * 500 = 19,000 bytes.
    assert disk(EACH, 100_000)["cues"] == 1.9e9


def test_memory_of_many_pictures() -> None:
    found = memory(EACH, SMALL, LARGE, 1_000)
    # 128,000 cells of 320 numbers: twice 2 bytes, and half of them 4 bytes more.
    assert found["cells"] == 128_000 * 320 * 6
    # The runs differ by half a GiB and 40,000 instances. There are 2,000 instances.
    assert found["graph"] == pytest.approx(2**29 / 20)
    assert found["records"] == 9e6


def test_time_of_the_graph() -> None:
    # 250,000 pictures have 500,000 instances: ten times those of the large run.
    assert graph_seconds(EACH, LARGE, 250_000) == {
        "read cues": pytest.approx(750),
        "classifier": 100,
        "neighbours": 2_500,
        "graph": 50,
    }
    # The benchmark has 20 keywords of 50,000 * 1.7 / 20 = 4,250 instances. A keyword takes 25 / 20 = 1.25 s, as does a
    # part of that size. 500,000 instances with 1.7 keywords are 200 such parts. Five cores share them.
    assert partitioned_seconds(EACH, LARGE, 250_000, 4_250, 5) == pytest.approx(50)


def test_speed_is_that_of_each_core() -> None:
    assert speeds(5.0, 2) == {"measured": 18_000, "one core": 9_000, "eight cores": 72_000}


def test_numbers_are_readable() -> None:
    assert readable(1.9e9, "bytes") == "1.9 GB"
    assert readable(432e6, "bytes") == "432 MB"
    assert readable(86400 * 120.4, "seconds") == "120 days"
    assert readable(0.05, "seconds") == "0.05 s"
    assert readable(3e7, "count") == "30,000,000"
    assert table("disk", {"1000": {"cues": 1e6, "files": 3.0}, "100000": {"cues": 1e8, "files": 3e5}}, "bytes") == (
        "| disk | 1,000 pictures | 100,000 pictures |\n|---|---|---|\n| cues | 1 MB | 100 MB |\n| files | 3 | 300,000 |"
    )
