"""Any value in any place of COCO JSON is read or told: by `s4 init`, `s4 check`, `s4 convert` and as instances."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from pipelines.audit.annotations import check_annotations
from pipelines.audit.findings import Findings
from pipelines.data.instance_sources.opening import open_instances
from pipelines.data.notes import Notes
from pipelines.data.rle import encode_masks
from pipelines.errors import S4Error
from pipelines.survey.folder import survey
from tests.pipelines.formats.annotated_scene import run

SIZE = (6, 8)
RLE = encode_masks(np.ones((1, *SIZE), np.uint8))[0]
FILE: dict[str, Any] = {
    "info": {"description": "x"},
    "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": RLE, "iscrowd": 0, "score": 0.5},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [6, 8], "counts": [40, 8]}},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]], "bbox": [0, 0, 4, 4]},
    ],
    "categories": [{"id": 1, "name": "cat"}],
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        yield (*path, key)
        yield from places(below, (*path, key))


NUMBERS = st.sampled_from([-1, 0, 2, 5, 1e308, -0.5, 10**30, 10**400, float("nan"), float("inf"), 2**63, -(2**31)])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(["", "a", "a.png", "\0", "\ud800", "1", "\x7f"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.sampled_from(["id", "size", "counts", "name"]), inner, max_size=3),
    ),
    max_leaves=7,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Image.new("RGB", SIZE[::-1]).save(Path(name, "a.png"))
        yield Path(name)


@given(st.lists(st.tuples(st.sampled_from(list(places(FILE))), VALUES), min_size=1, max_size=2))
@example([(("categories",), None)])
@example([(("categories",), 5)])
@example([(("annotations", 1, "segmentation", "size"), [10**30, 5])])
@example([(("annotations", 1, "segmentation", "size"), [-1, 5])])
@example([(("annotations", 2, "segmentation", 0, 0), 10**400)])
def test_any_value_in_any_place_is_read_or_told(folder: Path, changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    content = json.loads(json.dumps(FILE))
    for path, value in changes:
        target = content
        try:
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = value
        except (TypeError, LookupError):  # the other change took the place away
            continue
    file = folder / "c.json"
    file.write_text(json.dumps(content))
    survey(folder)
    check_annotations(file, folder, Findings(folder))
    images = {"a": folder / "a.png"}
    with tempfile.TemporaryDirectory() as out:
        for read in (
            lambda: open_instances(file, images, Notes()),
            lambda: run(file, "coco", Path(out, "out.json"), images=(folder,), from_="coco"),
        ):
            try:
                read()
            except S4Error as error:
                assert error.rule
