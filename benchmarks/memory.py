"""Memory of `s4 pseudo-label` over many pictures: resident size at one picture and at a later one.

    python benchmarks/memory.py [--pictures 1000] [--first 200] [--weights RUN] [--images DIR] [--trunk resnet50]

Pictures are repeated where there are too few, and random weights send three boxes of every picture to the mask branch.
Needs Linux. Prints one JSON object; exit code 1 if the growth is above `--limit` MiB.
"""

import argparse
import io
import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.engine.distributed import choose_device
from pipelines.events import Events
from pipelines.pseudo_label import pseudo_label
from pipelines.studies.bench_rows.comparison import Setup
from pipelines.studies.bench_rows.end_to_end import label_settings, make_task


def main() -> None:
    """Label the pictures and print the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--first", type=int, default=200, help="picture at which the comparison begins")
    parser.add_argument("--limit", type=float, default=4.0, help="MiB")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--trunk", default="resnet50")
    parser.add_argument("--preset", default="modern")
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    sizes: list[float] = []

    def clock() -> float:
        # The progress reads the clock when it begins and after every picture: sizes[n] is the size after n pictures.
        sizes.append(resident_mib())
        return time.monotonic()

    setup = Setup(
        device=choose_device("cpu"),
        precision=options.precision,
        preset=options.preset,
        trunk=options.trunk,
        size=options.image_size,
        batch=1,
    )
    with TemporaryDirectory() as folder:
        task = make_task(setup, options.weights, options.images, Path(folder), options.pictures)
        settings = label_settings(setup, task, options.precision, Path(folder) / "labels")
        counts = pseudo_label(settings, Events(io.StringIO(), clock))
    growth = sizes[options.pictures] - sizes[options.first]
    result = {
        "pictures": counts["images"],
        "failed": counts["failed"],
        f"mib_at_{options.first}": round(sizes[options.first], 2),
        f"mib_at_{options.pictures}": round(sizes[options.pictures], 2),
        "growth_mib": round(growth, 2),
    }
    print(json.dumps(result))
    sys.exit(1 if growth > options.limit or counts["failed"] else 0)


def resident_mib() -> float:
    """Return the memory of this process that is in RAM now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
