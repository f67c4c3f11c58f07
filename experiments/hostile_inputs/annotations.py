"""COCO files that contradict themselves, and hostile run lengths and outlines."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from experiments.hostile_inputs.commands import encoded, over_pictures, scene, write_pictures
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest
from experiments.hostile_inputs.values import NUMBERS, THINGS, changed_json

RLES: list[Any] = [
    {"size": [48, 64], "counts": ""},
    {"size": [48, 64], "counts": "0" * 100_000},
    {"size": [48, 64], "counts": []},
    {"size": [48, 64], "counts": [10**12, 5]},
    {"size": [48, 64], "counts": [-5, 3077]},
    {"size": [48, 64], "counts": [1.5, 3070.5]},
    {"size": [48, 64], "counts": ["1", "3071"]},
    {"size": [0, 0], "counts": []},
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [48], "counts": [3072]},
    {"size": [64, 48], "counts": [0, 3072]},
    {"size": [48, 64], "counts": [0, 3073]},
    {"size": "48", "counts": "x"},
    {"size": [48, 64], "counts": "\x7f\x7f\x7f"},
    {"size": [48, 64], "counts": "ooooooooooooooooooooo"},
    {"size": [48, 64], "counts": "\u00e9\U0001f408"},
    {"size": [48, 64], "counts": "PPPPPPPPPPPPP"},
    {"size": [48, 64]},
    {"counts": [3072]},
    {"size": [float("nan"), 64], "counts": [1]},
    {"size": [-48, -64], "counts": [3072]},
    {"size": [48, 64], "counts": [1] * 3072},
    {"size": [48, 64], "counts": [0] * 100_000 + [3072]},
    {"size": [48.0, 64.0], "counts": [0, 3072]},
    {"size": [True, 64], "counts": None},
    [[1, 2]],
    [[1, 2, 3, 4]],
    [[]],
    [[float("nan")] * 8],
    [[float("inf"), 0, 1e308, 1, 5, 5, 1, 9]],
    [[1e30, 1e30, -1e30, 1e30, 0, -1e30]],
    [[0, 0] * 50_000],
    [["1", "2", "3", "4", "5", "6"]],
    [[1, 2, 3, 4, 5, 6, 7]],
    [None],
    "x",
    7,
    [[[1, 2], [3, 4], [5, 6]]],
    [[5, 5] * 4],
    [[-100, -100, 200, -100, 200, 200, -100, 200]],
    [[0, 0, 64, 0, 64, 48, 0, 48]] * 300,
    {},
    None,
    True,
]


def hostile_runs(choose: random.Random) -> Iterator[Rest]:
    """Yield run lengths and outlines that contradict themselves or the picture."""
    commands = ["train", "evaluate-instances", "explain", "voc", "labelme", "studio", "instances", "ablate", "check"]
    for number in range(len(RLES)):
        command = commands[number % len(commands)]
        yield f"{number}, {command}", _annotated(command, _segmented(RLES[number]))


def _segmented(value: Any) -> Callable[[dict[str, Any], random.Random], Any]:
    def change(content: dict[str, Any], choose: random.Random) -> None:
        content["annotations"][choose.randrange(len(content["annotations"]))]["segmentation"] = value

    return change


class Whole(NamedTuple):
    """What a file holds instead."""

    content: Any


Change = Callable[[dict[str, Any], random.Random], Any]
"""Changes annotations in place, or returns a `Whole`."""


def _each(part: str, **entries: Any) -> Change:
    return lambda content, choose: [one.update(entries) for one in content[part]]


def _one(part: str, **entries: Any) -> Change:
    return lambda content, choose: choose.choice(content[part]).update(entries)


CONTRADICTIONS: dict[str, Change] = {
    "one id": _each("images", id=1),
    "one name": _each("images", file_name="disc/good0.png"),
    "one annotation": _each("annotations", id=1),
    "no such picture": _each("annotations", image_id=99),
    "no such category": _each("annotations", category_id=99),
    "huge sizes": _each("images", width=10**9, height=10**9),
    "sizes of another": _one("images", width=63),
    "turned": _each("images", width=48, height=64),
    "no sizes": lambda content, choose: [one.pop("width") for one in content["images"]],
    "sizes of texts": _each("images", width="64", height="48"),
    "negative": _one("images", width=-64),
    "all crowds": _each("annotations", iscrowd=1),
    "crowd a text": _one("annotations", iscrowd="no"),
    "boxes outside": _each("annotations", bbox=[-5, -5, 1e9, 1e9]),
    "boxes of three": _one("annotations", bbox=[1, 2, 3]),
    "boxes of nan": _each("annotations", bbox=[float("nan")] * 4),
    "no box": _one("annotations", bbox=None),
    "area": _each("annotations", area=-1),
    "categories twice": lambda content, choose: content["categories"].append({"id": 1, "name": "ring"}),
    "category 0": lambda content, choose: content["categories"].append({"id": 0, "name": "x"}),
    "ids of texts": lambda content, choose: [one.update(id=str(one["id"])) for one in content["images"]],
    "ids of floats": lambda content, choose: [one.update(id=one["id"] + 0.5) for one in content["images"]],
    "ids of lists": _each("images", id=[1]),
    "huge ids": lambda content, choose: [one.update(id=one["id"] + 2**70) for one in content["images"]],
    "paths up": _one("images", file_name="../../../etc/passwd"),
    "root": _one("images", file_name="/etc/passwd"),
    "an address": _one("images", file_name="memory://x.png"),
    "a web address": _one("images", coco_url="http://x", file_name="http://127.0.0.1:1/x.png"),
    "names empty": _one("images", file_name=""),
    "names none": _one("images", file_name=None),
    "nul": _one("images", file_name="a\0b.png"),
    "surrogate": _one("images", file_name="\ud83d.png"),
    "scores": _each("annotations", score=float("nan")),
    "no images": lambda content, choose: content.update(images=[]),
    "images away": lambda content, choose: content.pop("images"),
    "no annotations": lambda content, choose: content.update(annotations=[]),
    "many": lambda content, choose: content.update(annotations=content["annotations"] * 2000),
    "dict for list": lambda content, choose: content.update(annotations={"0": content["annotations"][0]}),
    "a list": lambda content, choose: Whole(content["annotations"]),
    "a list with scores": lambda content, choose: Whole(
        [one | {"score": choose.choice(NUMBERS)} for one in content["annotations"]]
    ),
    "results": lambda content, choose: Whole(
        [
            one | {"score": 0.5, "image_id": choose.choice([1, "disc/good0", "x", None, 2.0])}
            for one in content["annotations"]
        ]
    ),
    "deep info": lambda content, choose: content.update(info=json.loads("[" * 400 + "]" * 400)),
    "keypoints": _each("annotations", keypoints=[1] * 51, num_keypoints="x", caption="x"),
    "names of numbers": lambda content, choose: content.update(categories=[{"id": 1, "name": 7}]),
    "no names": lambda content, choose: content.update(categories=[{"id": 1}]),
    **{
        f"changed {number}": lambda content, choose: Whole(
            json.loads(changed_json(json.dumps(content).encode(), choose))
        )
        for number in range(25)
    },
    **{
        f"changed thrice {number}": lambda content, choose: Whole(
            json.loads(changed_json(changed_json(changed_json(json.dumps(content).encode(), choose), choose), choose))
        )
        for number in range(15)
    },
    **{
        f"thing {number}": (lambda value: lambda content, choose: Whole(value))(THINGS[number])
        for number in (0, 1, 4, 8, 9, 11, 20)
    },
}


LINES = {
    "instances": "pseudo-label {pictures} --instances {annotations} --out {out} CLASSES LABEL",
    "keywords": "pseudo-label {pictures} --keywords {annotations} --instances {masks} --out {out} CLASSES LABEL",
    "check": "check {pictures} {annotations} --json",
    "init": "init {given} --out {out}/s4.toml",
}
COMMANDS = ["train", "evaluate-instances", "explain", "voc", "labelme", "studio", "ablate", *LINES]


def hostile_annotations(choose: random.Random) -> Iterator[Rest]:
    """Yield COCO files that contradict themselves."""
    for name in CONTRADICTIONS:
        for command in choose.sample(COMMANDS, 2):
            yield f"{name}, {command}", _annotated(command, CONTRADICTIONS[name])


def _annotated(command: str, change: Change) -> Build:
    def build(place: Place) -> list[str]:
        write_pictures(place, {"x.jpg": encoded(scene(3), "JPEG")})
        file = place.given / "instances.json"
        content = json.loads(file.read_text())
        changed = change(content, place.choose)
        file.write_text(json.dumps(changed.content if isinstance(changed, Whole) else content))
        if command not in LINES:
            return over_pictures(command, place)
        return filled(LINES[command], place, given=place.given)

    return build
