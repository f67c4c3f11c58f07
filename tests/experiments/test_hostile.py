"""The inputs of `experiments/hostile.py`: many, of all kinds, and the same for the same seed."""

import json
import random
from pathlib import Path

import pytest

from experiments.hostile_inputs import (
    FAMILIES,
    annotations,
    formats,
    keywords,
    masks,
    settings_files,
    surroundings,
    tars,
    world,
)
from experiments.hostile_inputs.commands import FORMS, OVER_LABELS, OVER_PICTURES, OVER_WEIGHTS
from experiments.hostile_inputs.flags import OTHERS
from experiments.hostile_inputs.keywords import LIST_LINES
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.made import OVER_RUN, RESUME, SHARDED
from experiments.hostile_inputs.place import Place
from experiments.hostile_inputs.talk import _ADDRESS
from experiments.hostile_inputs.values import VALUES, changed_json, places_of
from pipelines.config import STAGES


def names(family: str, seed: int) -> list[str]:
    return [str(rest[0]) for rest in FAMILIES[family](random.Random(seed))]


def test_the_inputs_are_many_and_belong_to_the_seed() -> None:
    found = {family: names(family, 7) for family in FAMILIES}
    assert sum(map(len, found.values())) >= 2500
    for family, own in found.items():
        assert len(set(own)) >= 0.95 * len(own) >= 20, family
        assert names(family, 7) == own
    assert names("flags", 8) != found["flags"]


MODULES = (annotations, keywords, masks, settings_files, surroundings, tars)
LINES = [
    *(line for module in MODULES for line in module.LINES.values()),
    *(line for lines in (OVER_PICTURES, OVER_LABELS, OVER_WEIGHTS, LIST_LINES, OTHERS) for line in lines.values()),
    *(line for lines in (RESUME, OVER_RUN, SHARDED) for line in lines.values()),
    formats.LINE,
    *world.LINES,
]
MORE = ["chain", "images", "keywords", "classes", "list", "made", "output", "file", "source", "target", "suffix"]


def test_every_command_and_every_format_has_inputs(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "world", random.Random(0))
    asked = "--keywords {keywords} --classes {classes}"
    lines = [
        filled(line.replace("ASKED", asked), place, given=tmp_path, **dict.fromkeys(MORE, tmp_path)) for line in LINES
    ]
    assert not [word for line in lines for word in line if "{" in word or word.isupper()]
    flagged = {name.split()[0] for name in names("flags", 0)}
    assert {line[0] for line in lines} | flagged >= {*STAGES} - {"demo", "bench"}
    assert {"voc", "coco", "labelme", "cvat-voc", "cvat-coco", "label-studio", "yolo-seg", "masks"} <= {*FORMS}


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_json_is_another_json(seed: int) -> None:
    content = {"images": [{"id": 1, "size": [4, 5]}, {"id": 2}], "info": None}
    before = json.dumps(content).encode()
    after = changed_json(before, random.Random(seed))
    assert json.loads(after) is not None and len(places_of(content)) == 9
    assert changed_json(before, random.Random(seed)) == after
    assert changed_json(b"[]", random.Random(seed)) in VALUES


def test_the_address_of_the_page_is_found_in_what_review_says() -> None:
    said = b"the page is open on this machine: http://127.0.0.1:4711/a_B-9/\nmore\n"
    found = _ADDRESS.search(said)
    assert found is not None and (found[1], found[2]) == (b"4711", b"a_B-9")
