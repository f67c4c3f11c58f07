"""Compare a file of `s4 export` with PyTorch: differences and speed on the same pictures, in the same run.

    python benchmarks/onnx_speed.py RUN NETWORK.onnx PICTURES [--count 20]

Both read decoded pictures, in turn, with one thread. The machine's load is printed, as it decides the times.
"""

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch

from pipelines import load_deeplab, load_s4net
from pipelines.data.images import find_image_files, open_image
from pipelines.networks.load import network_kind

LIMIT = 1e-3


def main() -> None:
    """Print a line for each picture, then the largest differences and the median times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("network", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(given.network), options, providers=["CPUExecutionProvider"])
    is_salient = network_kind(Path(given.run)) == "s4net"
    load: Any = load_s4net if is_salient else load_deeplab
    network = load(given.run, device="cpu", precision="fp32")
    answer = network if is_salient else network.probabilities
    compare = instances_apart if is_salient else maps_apart
    found = list(find_image_files(given.pictures).values())
    found = found[:: max(1, len(found) // given.count)][: given.count]
    rows = [measured(session, answer, compare, open_image(path)) for path in found]
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:24} median {median(values):.3g}  largest {max(values):.3g}")
    print(
        f"pictures {len(rows)}, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, 1 thread each"
    )
    if max(value for row in rows for name, value in row.items() if not name.endswith(" s")) > LIMIT:
        raise SystemExit(f"a difference is above {LIMIT}")


def measured(session: Any, answer: Any, compare: Any, pixels: np.ndarray) -> dict[str, float]:
    """Return differences and seconds of one picture [H, W, 3]; each network reads it twice, and the second counts."""
    given = {"picture": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}
    for _ in range(2):
        start = time.perf_counter()
        ours = answer(pixels)
        middle = time.perf_counter()
        theirs = session.run(None, given)
        end = time.perf_counter()
    return {**compare(ours, theirs), "PyTorch s": middle - start, "onnxruntime s": end - middle}


def instances_apart(ours: Any, theirs: list[np.ndarray]) -> dict[str, float]:
    """Return how far instances are apart: boxes in longer sides of the picture, masks in pixels."""
    n, (boxes, scores, masks) = len(ours), theirs
    longest = max(masks.shape[1:])
    return {
        "boxes": float(np.abs(boxes[:n] - ours.boxes.numpy()).max(initial=0)) / longest,
        "scores": float(np.abs(scores[:n] - ours.scores.numpy()).max(initial=0)),
        "slots without instance": float(scores[n:].max(initial=0)),
        "pixels of masks": float(((masks[:n] > 0.5) != ours.masks.numpy()).mean()) if n else 0.0,
    }


def maps_apart(ours: np.ndarray, theirs: list[np.ndarray]) -> dict[str, float]:
    """Return how far probabilities are apart."""
    return {"probabilities": float(np.abs(theirs[0] - ours).max())}


if __name__ == "__main__":
    main()
