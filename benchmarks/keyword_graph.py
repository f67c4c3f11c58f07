"""Time and memory of keywords for a whole set: `--assign graph` on as many synthetic instances as you like.

Instances are points around the centres of their classes in feature space. Half of the pictures have one keyword, the
others two or three. Prints one JSON object: seconds of each part, peak memory of the process, and shares of right
keywords in pictures with several: of the attention alone, of the classifier, and of the graph.

    python benchmarks/keyword_graph.py --instances 50000
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.labels.assign_in_set import (
    NEIGHBOURS,
    NOISE_PROBABILITY,
    UNARY_WEIGHT,
    InstanceSet,
    keyword_probabilities,
    unit,
)
from pipelines.labels.graph import assign_graph, mutual_neighbours

CLASSES, DIMENSIONS = 20, 320  # of VOC, and of the last stage of EfficientNet-Lite0


def synthetic(n: int, seed: int) -> tuple[InstanceSet, np.ndarray]:
    """Return N instances and their true classes [N]."""
    generator = np.random.default_rng(seed)
    true = generator.integers(CLASSES, size=n)
    centres = generator.normal(size=(CLASSES, DIMENSIONS))
    features = (centres[true] + 4 * generator.normal(size=(n, DIMENSIONS))).astype(np.float32)
    pictures = np.arange(n) // 3  # three instances a picture
    counts = generator.choice([1, 2, 3], p=[0.5, 0.3, 0.2], size=pictures[-1] + 1)
    allowed = np.zeros((n, CLASSES), bool)
    allowed[np.arange(n), true] = True
    for extra in (1, 2):
        more = generator.integers(CLASSES, size=n)
        wanted = counts[pictures] > extra
        allowed[np.flatnonzero(wanted), more[wanted]] = True
    attention = (generator.normal(size=(n, CLASSES)) + 1.5 * (np.arange(CLASSES) == true[:, None])).astype(np.float32)
    return InstanceSet(features, attention, allowed, pictures.astype(np.int64)), true


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    instances, true = synthetic(arguments.instances, arguments.seed)
    several = instances.allowed.sum(axis=1) > 1
    start = time.monotonic()
    probability = keyword_probabilities(instances)
    learned = time.monotonic()
    edges = mutual_neighbours(unit(instances.features), instances.pictures, instances.allowed, NEIGHBOURS)
    joined = time.monotonic()
    keyword = assign_graph(probability, instances.allowed, edges, UNARY_WEIGHT, NOISE_PROBABILITY)
    end = time.monotonic()

    def right(found: np.ndarray) -> float:
        return round(float((found == true)[several].mean()), 4)

    result = {
        "instances": arguments.instances,
        "edges": len(edges.weight),
        "seconds": {
            "classifier": round(learned - start, 1),
            "neighbours": round(joined - learned, 1),
            "graph": round(end - joined, 1),
            "all": round(end - start, 1),
        },
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "right": {
            "attention": right(np.where(instances.allowed, instances.attention, -np.inf).argmax(axis=1)),
            "classifier": right(probability.argmax(axis=1)),
            "graph": right(keyword),
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
