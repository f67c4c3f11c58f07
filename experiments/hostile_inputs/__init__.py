"""Hostile inputs, by family: see `experiments/hostile.py`."""

import random
from collections.abc import Callable, Iterator

from experiments.hostile_inputs import (
    annotations,
    flags,
    formats,
    keywords,
    links,
    made,
    masks,
    names,
    pictures,
    requests,
    settings_files,
    surroundings,
    tars,
    weights,
)
from experiments.hostile_inputs.place import Rest

FAMILIES: dict[str, Callable[[random.Random], Iterator[Rest]]] = {
    "pictures": pictures.damaged_pictures,
    "names": names.hostile_names,
    "links": links.hostile_links,
    "labels": made.damaged_labels,
    "runs": made.damaged_runs,
    "results": made.damaged_results,
    "weights": weights.damaged_weights,
    "shards": made.damaged_shards,
    "settings files": settings_files.hostile_settings_files,
    "keywords": keywords.hostile_keywords,
    "formats": formats.hostile_formats,
    "run lengths": annotations.hostile_runs,
    "annotations": annotations.hostile_annotations,
    "masks": masks.hostile_masks,
    "tars": tars.hostile_tars,
    "addresses": tars.hostile_addresses,
    "flags": flags.hostile_flags,
    "requests": requests.hostile_requests,
    "surroundings": surroundings.hostile_surroundings,
}
"""Family -> its inputs, without the name of the family."""
