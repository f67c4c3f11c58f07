"""What many pictures take: disk, memory and time, computed from what a smaller set took.

    python experiments/scaling.py LABELS --graph SMALL.json LARGE.json [--speed 5.51] [--cores 2]

LABELS is a label folder made with `--assign graph`, with its cues. SMALL and LARGE are outputs of
`benchmarks/keyword_graph.py` for two numbers of instances. `--speed` is the pictures a second that
`benchmarks/labelling.py` found on `--cores` cores.

Prints Markdown tables. The table "measured" holds what was read from the files. All others are computed from it. How
each figure is computed stands at its function. `--json` prints the same figures as one JSON object.
"""

import argparse
import json
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.labels.cells import cells_per_picture
from pipelines.labels.cues import load_cues

KEYWORDS, KEYWORDS_EACH = 20, 1.7
"""Keywords of `benchmarks/keyword_graph.py`, and the mean number of them that a picture has there."""
PICTURES = (1_000, 100_000, 10_000_000)
_CELL_FILES = ("cells.npy", "places.npy")
_HALF, _SINGLE = 2, 4  # bytes of a number


@dataclass(frozen=True)
class Measured:
    """What the pictures of a label folder took. Sizes are bytes a picture.

    Attributes:
        pictures: Number of pictures.
        instances: Instances a picture.
        labels: Label maps.
        confidence: Confidence maps.
        cell: A single cell in a file of cues.
        other_cues: Cues without the cells.
        records: Lines of `records.jsonl`.
        coco: The share of a picture in `instances.json`.
        record_memory: Memory of a record after it was read.
        cue_seconds: Processor time to read the cues of a picture.
        dimensions: Length of a feature.
    """

    pictures: int
    instances: float
    labels: float
    confidence: float
    cell: float
    other_cues: float
    records: float
    coco: float
    record_memory: float
    cue_seconds: float
    dimensions: int


def measure(folder: Path) -> Measured:
    """Read the sizes of a label folder.

    Raises:
        SystemExit: The folder has no cues with cells.
    """
    lines = (folder / "records.jsonl").read_bytes().splitlines()
    pictures = len(lines)
    cues = sorted((folder / "cues").rglob("*.npz"))
    cell_bytes, other_bytes, cells, dimensions = 0, 0, 0, 0
    for path in cues:
        with zipfile.ZipFile(path) as archive:
            inside = sum(file.compress_size for file in archive.infolist() if file.filename in _CELL_FILES)
        cell_bytes += inside
        other_bytes += path.stat().st_size - inside
        with np.load(path, allow_pickle=False) as content:
            if "cells" in content:
                count, dimensions = content["cells"].shape
                cells += count
    if not cells:
        sys.exit(f"{folder}: no cues with cells; label the pictures with --assign graph, and keep the folder cues")
    return Measured(
        pictures=pictures,
        instances=sum(len(json.loads(line).get("instances", ())) for line in lines) / pictures,
        labels=_size(folder / "labels", "*.png") / pictures,
        confidence=_size(folder / "confidence", "*.png") / pictures,
        cell=cell_bytes / cells,
        other_cues=other_bytes / len(cues),
        records=sum(len(line) + 1 for line in lines) / pictures,
        coco=(folder / "instances.json").stat().st_size / pictures,
        record_memory=_memory_of(lines) / pictures,
        cue_seconds=_seconds_to_read(cues),
        dimensions=dimensions,
    )


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern))


def _memory_of(lines: Sequence[bytes]) -> int:
    """Return the bytes that the records take as Python objects."""
    tracemalloc.start()
    records = [json.loads(line) for line in lines]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del records
    return size


def _seconds_to_read(cues: Sequence[Path]) -> float:
    start = time.process_time()
    for path in cues:
        load_cues(path)
    return (time.process_time() - start) / len(cues)


def disk(measured: Measured, pictures: int) -> dict[str, float]:
    """Return the bytes that the label folder of so many pictures takes, by kind.

    A picture has fewer cells where there are more pictures, see `cells_per_picture`. All else stays the same.
    """
    cues = measured.other_cues + measured.cell * cells_per_picture(pictures)
    rows = {
        "cues": cues,
        "confidence": measured.confidence,
        "labels": measured.labels,
        "records.jsonl": measured.records,
        "instances.json": measured.coco,
    }
    sizes = {name: size * pictures for name, size in rows.items()}
    return {**sizes, "all": sum(sizes.values()), "files": 3.0 * pictures}


@dataclass(frozen=True)
class Graph:
    """What `benchmarks/keyword_graph.py` printed for a number of instances; seconds and GiB."""

    instances: int
    classifier: float
    neighbours: float
    graph: float
    memory: float

    @classmethod
    def read(cls, path: Path) -> "Graph":
        """Read the output of the benchmark."""
        content = json.loads(path.read_text())
        seconds = content["seconds"]
        parts = (seconds["classifier"], seconds["neighbours"], seconds["graph"])
        return cls(content["instances"], *parts, content["peak_memory_gib"])


def memory(measured: Measured, small: Graph, large: Graph, pictures: int) -> dict[str, float]:
    """Return the bytes that one process holds while it learns from so many pictures, by what needs them.

    - Cells are held twice in half precision: as they were read, and joined. One half of the pictures is held in single
      precision besides, which is as much again.
    - The graph takes a fixed amount for each instance: the slope of the two runs of the benchmark.
    - Records are read when a command starts, to see what is done.
    """
    cells = pictures * cells_per_picture(pictures) * measured.dimensions
    per_instance = (large.memory - small.memory) * 2**30 / (large.instances - small.instances)
    return {
        "cells": cells * (2 * _HALF + _SINGLE / 2),
        "graph": per_instance * measured.instances * pictures,
        "records": measured.record_memory * pictures,
    }


def graph_seconds(measured: Measured, large: Graph, pictures: int) -> dict[str, float]:
    """Return the seconds of one core for the keywords of so many pictures, by step.

    Classifier and graph grow with the instances, and neighbours with their square. Reading the cues comes three times:
    for the graph, for the windows and for the cells.
    """
    factor = measured.instances * pictures / large.instances
    return {
        "read cues": 3 * measured.cue_seconds * pictures,
        "classifier": large.classifier * factor,
        "neighbours": large.neighbours * factor**2,
        "graph": large.graph * factor,
    }


def speeds(speed: float, cores: int) -> dict[str, float]:
    """Return pictures an hour: what was measured, and what follows if each core does the same.

    Args:
        speed: Pictures a second on `cores` cores.
        cores: Number of cores of the measurement.
    """
    hourly = 3600 * speed
    return {"measured": hourly, "one core": hourly / cores, "eight cores": hourly * 8 / cores}


def partitioned_seconds(measured: Measured, large: Graph, pictures: int, part: int, cores: int) -> float:
    """Return the seconds for neighbours if instances of a keyword are compared within parts alone.

    An instance counts once for each keyword of its picture, as in the benchmark. There all keywords have as many
    instances, so that its pairs can be counted.

    Args:
        measured: What a smaller set took.
        large: Seconds of the benchmark.
        pictures: Number of pictures.
        part: Instances of a part.
        cores: Cores that share the parts.
    """
    pairs = KEYWORDS * (large.instances * KEYWORDS_EACH / KEYWORDS) ** 2
    parts = measured.instances * pictures * KEYWORDS_EACH / part
    return parts * part**2 * large.neighbours / pairs / cores


def figures(measured: Measured, small: Graph, large: Graph, speed: float, cores: int) -> dict[str, Any]:
    """Return all figures as one JSON object."""
    return {
        "measured": asdict(measured),
        "disk": {str(n): disk(measured, n) for n in PICTURES},
        "memory": {str(n): memory(measured, small, large, n) for n in PICTURES},
        "graph_seconds": {str(n): graph_seconds(measured, large, n) for n in PICTURES},
        "partitioned_seconds": partitioned_seconds(measured, large, PICTURES[-1], 10_000, 100),
        "pictures_an_hour": speeds(speed, cores),
    }


def readable(value: float, unit: str) -> str:
    """Return a number with its unit: `bytes` or `seconds` become larger units, and `count` gets commas."""
    steps = {
        "bytes": [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")],
        "seconds": [(86400, "days"), (3600, "hours"), (60, "minutes"), (1, "s")],
    }
    if unit == "count":
        return f"{value:,.0f}"
    size, name = next((step for step in steps[unit] if value >= step[0]), steps[unit][-1])
    number = value / size
    return f"{number:,.0f} {name}" if number >= 100 else f"{number:.2g} {name}"


def table(title: str, rows: dict[str, dict[str, float]], unit: str) -> str:
    """Return a Markdown table with a column for each number of pictures."""
    names = list(next(iter(rows.values())))
    head = [f"| {title} | " + " | ".join(f"{int(n):,} pictures" for n in rows) + " |", "|---|" + "---|" * len(rows)]
    units = {name: "count" if name == "files" else unit for name in names}
    body = [
        f"| {name} | " + " | ".join(readable(row[name], units[name]) for row in rows.values()) + " |" for name in names
    ]
    return "\n".join([*head, *body])


def main() -> None:
    """Measure, compute and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--graph", type=Path, nargs=2, required=True, metavar=("SMALL", "LARGE"))
    parser.add_argument("--speed", type=float, default=5.51, help="pictures a second")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    small, large = map(Graph.read, options.graph)
    if small.instances >= large.instances:
        parser.error(f"--graph: {small.instances} and {large.instances} instances, a smaller and a larger run expected")
    found = figures(measure(options.labels), small, large, options.speed, options.cores)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print("| measured | |\n|---|---|")
    for name, value in found["measured"].items():
        print(f"| {name} | {value:,.5g} |")
    for title, unit in (("disk", "bytes"), ("memory", "bytes"), ("graph_seconds", "seconds")):
        print("\n" + table(title, found[title], unit))
    parts = readable(found["partitioned_seconds"], "seconds")
    print(f"\nneighbours of {PICTURES[-1]:,} pictures in parts of 10,000, 100 cores: {parts}")
    for name, value in found["pictures_an_hour"].items():
        print(f"{name}: {value:,.0f} pictures an hour")


if __name__ == "__main__":
    main()
