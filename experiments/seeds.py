"""Mean mIoU of trainings with several seeds, and its ratio to that of other trainings, with intervals over pictures.

    python experiments/seeds.py VOC --networks RUN0 RUN1 RUN2 [--versus OTHER0 OTHER1 OTHER2] [--split val]

Every network judges the pictures of the list once, at one scale. Then the pictures are drawn anew 1,000 times, the same
for all networks. So the interval is that of the mean, and not a mean of intervals. It says nothing of other seeds: the
standard deviation over seeds does.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.config import EvaluateConfig
from pipelines.events import Events
from pipelines.metrics.bootstrap import Indices, interval
from pipelines.metrics.miou_bootstrap import JudgedMaps
from pipelines.scoring.semantic import network_overlaps


def judged(voc: Path, split: str, run: Path) -> JudgedMaps:
    """Return what a network gives for the pictures of the list."""
    config = EvaluateConfig(voc=voc, split=split, weights=run)
    return JudgedMaps(network_overlaps(config, Events()))


def mean(networks: Sequence[JudgedMaps], chosen: Indices) -> float:
    """Return the mean mIoU of networks over chosen pictures."""
    return float(np.mean([network.scores(chosen)["miou"] for network in networks]))


def figures(networks: Sequence[JudgedMaps], others: Sequence[JudgedMaps], chosen: Indices) -> dict[str, float]:
    """Return the mean mIoU of networks, and its ratio to and difference from that of others, if there are any."""
    own = mean(networks, chosen)
    other = mean(others, chosen) if others else np.nan
    return {"miou": own, **({"ratio": own / other, "difference": own - other} if others else {})}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voc", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="run folders, one for each seed")
    parser.add_argument("--versus", type=Path, nargs="+", default=[], help="run folders to compare with")
    given = parser.parse_args()
    sets = {run: judged(given.voc, given.split, run) for run in (*given.networks, *given.versus)}
    networks, others = [sets[run] for run in given.networks], [sets[run] for run in given.versus]
    count = len(networks[0].overlaps)
    every = np.arange(count)
    ends = interval(lambda chosen: figures(networks, others, chosen), count)
    for run in sets:
        print(f"{run}: mIoU {100 * sets[run].scores(every)['miou']:.1f}")
    scores = [network.scores(every)["miou"] for network in networks]
    spread = f", standard deviation {100 * np.std(scores, ddof=1):.1f}" if len(scores) > 1 else ""
    print(f"{len(networks)} trainings, {count} pictures{spread}; 95 % intervals over pictures:")
    for name, value in figures(networks, others, every).items():
        low, high = ends[name]
        print(f"{name} {value:.4f} ({low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
