"""Pictures a second of the whole `s4 pseudo-label`, for several checkouts in turn.

Every run is a process of its own with a fresh label folder, and reads the packages of its checkout. Checkouts take
turns, A B B A ..., so that a busy machine slows all of them alike. Processor seconds stand beside the speed: they
suffer less from neighbours. All after `--` goes to `s4 pseudo-label`.

    python benchmarks/labelling.py --code OLD --code NEW [--repeats 3] [--busy 4] -- --images DIR --keywords K.csv

Processes of `--busy` each keep one thread busy beside all runs. Prints one JSON object. Ratios are to the first
checkout.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, NamedTuple

_S4 = "from s4cli.main import main; raise SystemExit(main())"
_SPIN = "while True: pass"


class Run(NamedTuple):
    """One labelling of all pictures.

    Attributes:
        pictures: Number of pictures.
        seconds: From the start of the process to its end, loading included.
        processor: Seconds of processor time of the process and its workers.
    """

    pictures: int
    seconds: float
    processor: float


def main() -> None:
    """Label with each checkout in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=Path, action="append", required=True, help="a checkout; give several in turn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, help="busy processes of one thread beside the runs")
    parser.add_argument("options", nargs="+", help="options of s4 pseudo-label, without --out")
    options = parser.parse_args()
    runs: dict[Path, list[Run]] = {code: [] for code in options.code}
    with busy(options.busy):
        for repeat in range(options.repeats):
            for code in options.code if repeat % 2 == 0 else options.code[::-1]:
                runs[code].append(label(code, options.options))
                print(f"{code}: {runs[code][-1]}", file=sys.stderr, flush=True)
    rows = [summary(code, own) for code, own in runs.items()]
    for row in rows:
        row["ratio"] = round(row["pictures_per_second"] / rows[0]["pictures_per_second"], 2)
        row["processor_ratio"] = round(rows[0]["processor_ms_per_picture"] / row["processor_ms_per_picture"], 2)
    print(json.dumps({"busy": options.busy, "cores": len(os.sched_getaffinity(0)), "rows": rows}, indent=2))


def label(code: Path, options: Sequence[str]) -> Run:
    """Label all pictures in a process of its own.

    Args:
        code: The checkout.
        options: Options of `s4 pseudo-label` without `--out`.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _S4, "pseudo-label", *options, "--json", "--out", f"{folder}/labels"]
        environment = {**os.environ, "PYTHONPATH": str(code.resolve())}
        before, start = os.times(), monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        seconds, after = monotonic() - start, os.times()
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return Run(json.loads(done.stdout)["images"], seconds, processor)


def summary(code: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the medians of a checkout's runs."""
    return {
        "code": str(code),
        "pictures_per_second": round(median(run.pictures / run.seconds for run in runs), 3),
        "processor_ms_per_picture": round(median(1000 * run.processor / run.pictures for run in runs), 1),
        "runs": [run._asdict() for run in runs],
    }


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep processes of one thread each busy inside the `with` block."""
    processes = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
