"""R10: two hundred damaged annotation files. Each is used as far as it can be, or refused with a rule; none crashes."""

import copy
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.classes import load_classes
from pipelines.data.coco import encode_masks, load_coco
from pipelines.data.images import find_images, picture_frame
from pipelines.data.instance_sources.opening import open_instances
from pipelines.data.keywords_files import read_keywords
from pipelines.data.label_maps import encode_palette_map, read_label_map
from pipelines.errors import S4Error
from s4cli.main import main

HEIGHT, WIDTH = 30, 40
HUGE = 10**400  # has no float, and fewer digits than Python refuses to read
ODD = [None, "", "x", "9" * 5000, "../../x.png", "/etc/passwd", -1, 0, 1.5, HUGE, 2**63, True, [], {}, [[]], [HUGE] * 8]
ODD_TEXT = ["NaN", "-Infinity", "1e999", "[" * 3000 + "]" * 3000, "9" * 4000]  # what json.dumps would not write


def content() -> dict[str, Any]:
    masks = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    masks[0, 2:9, 3:20], masks[1, 12:28, 5:33] = 1, 1
    rles = encode_masks(masks)
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
            {"id": 2, "file_name": "b.png", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "score": 0.5, "segmentation": rles[0]},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 20, 1, 20, 9, 1, 9]], "iscrowd": 0},
            {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [9, 1191]}},
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        Image.new("RGB", (WIDTH, HEIGHT), "gray").save(tmp_path / "pictures" / f"{name}.png")
    return tmp_path


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


def with_changed(path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    made: Any = content()
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return made


def mutants() -> list[bytes]:
    """Two hundred files: values replaced, doubled and taken away, text cut, turned and marked; by a fixed seed."""
    generator = random.Random(0)
    paths = [path for path in places(content()) if path]
    whole = json.dumps(content()).encode()
    made = []
    for path, odd in generator.sample(list(itertools.product(paths, ODD)), 110):
        made.append(json.dumps(with_changed(path, lambda parent, key, odd=odd: parent.__setitem__(key, odd))).encode())
    for path in generator.sample(paths, 25):
        made.append(json.dumps(with_changed(path, lambda parent, key: parent.pop(key))).encode())
    for path, odd in generator.sample(list(itertools.product(paths, ODD_TEXT)), 25):
        marked = with_changed(path, lambda parent, key: parent.__setitem__(key, "@@"))
        made.append(json.dumps(marked).replace('"@@"', odd).encode())
    for name in ("images", "annotations", "categories"):
        doubled = content()
        doubled[name] += copy.deepcopy(doubled[name])
        made.append(json.dumps(doubled).encode())
    made += [whole[: len(whole) * part // 20] for part in range(20)]
    made += [b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16"), whole.decode().encode("utf-32")]
    made += [whole + b"x", b"\0" * 500, b"[]", b"null", b"{}", b'{"images": {}, "annotations": {}}', whole * 2]
    for _ in range(7):  # bytes of chance
        place = generator.randrange(len(whole))
        made.append(whole[:place] + generator.randbytes(3) + whole[place + 3 :])
    return made


def read_in_every_way(folder: Path, file: Path) -> Iterator[str]:
    """The rule of each reader, or "used"."""
    images = find_images(folder / "pictures")

    def instances() -> None:
        source = open_instances(file, images)
        for image_id, place in images.items():
            found = source(image_id, picture_frame(place))
            assert found.masks.shape[1:] == (HEIGHT, WIDTH) and len(found.scores) == len(found.masks)
            assert found.scores.ndim == 1

    def salient() -> None:
        for picture in load_coco(file, folder / "pictures"):
            assert picture.masks().shape[1:] == (HEIGHT, WIDTH)

    def keywords() -> None:
        assert set(read_keywords(str(file), images, folder / "pictures", load_classes("voc")).values()) == {("cat",)}

    for read in (salient, instances, keywords):
        try:
            read()
        except S4Error as error:
            assert error.exit_code == 3 and error.rule and "expected" in error.message, error
            yield error.rule
        else:
            yield "used"


def test_two_hundred_damaged_files_are_used_or_refused_with_a_rule(folder: Path) -> None:
    made = mutants()
    assert len(made) == 200
    file = folder / "given.json"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcomes = []
    for text in made:
        file.write_bytes(text)
        outcomes += read_in_every_way(folder, file)
    assert 60 < outcomes.count("used") < 500 and len(set(outcomes)) > 8  # harm of many kinds, and harmless changes
    file.unlink()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("images",), None, "coco-structure"),
        (("images", 0, "id"), [], "coco-structure"),
        (("images", 0, "file_name"), 5, "coco-structure"),
        (("images", 0, "file_name"), "../../gone.png", "coco-picture-missing"),
        (("images", 1, "file_name"), "gone.png", "coco-picture-missing"),
        (("images", 1, "id"), 1, "coco-image-twice"),
        (("images", 0, "height"), HUGE, "coco-picture-size"),
        (("images", 0, "height"), -3, "coco-structure"),
        (("annotations", 0, "segmentation", "size"), [31, 40], "coco-mask"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_rule(
    path: tuple[Any, ...], value: Any, rule: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = folder / "given.json", folder / "run"
    file.write_text(json.dumps(with_changed(path, lambda parent, key: parent.__setitem__(key, value))))
    with pytest.raises(S4Error) as caught:
        load_coco(file, folder / "pictures")
    assert caught.value.rule == rule
    line = ["train", "--images", f"{folder / 'pictures'}", "--annotations", f"{file}", "--run", f"{run}"]
    assert main([*line, "--trunk-weights", "none", "--steps", "1"]) == 3
    assert f"[{rule}]" in capsys.readouterr().err
    assert sorted(entry.name for entry in folder.iterdir()) == ["given.json", "pictures"]


def test_a_mask_of_a_size_without_end_is_left_out_with_its_picture(folder: Path) -> None:
    file, size = folder / "given.json", ("annotations", 2, "segmentation", "size")
    file.write_text(json.dumps(with_changed(size, lambda parent, key: parent.__setitem__(key, [HUGE, 40]))))
    assert [picture.image_id for picture in load_coco(file, folder / "pictures")] == ["a"]


@pytest.mark.parametrize("value", [HUGE, "9" * 5000, [1, 2], float("nan"), "x", {}])
def test_a_score_that_is_none_is_refused_and_named(value: Any, folder: Path) -> None:
    file = folder / "given.json"
    file.write_text(json.dumps(with_changed(("annotations", 0, "score"), lambda p, key: p.__setitem__(key, value))))
    source = open_instances(file, find_images(folder / "pictures"))
    with pytest.raises(S4Error, match="scores of 0 to 1 expected") as caught:
        source("a", picture_frame(folder / "pictures" / "a.png"))
    assert caught.value.rule == "coco-mask"


def test_damaged_label_maps_are_used_or_refused_with_a_rule(folder: Path) -> None:
    classes, generator = load_classes("voc"), random.Random(1)
    whole = encode_palette_map(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 21)
    file, rules = folder / "map.png", set()
    for number in range(200):
        damaged = bytearray(whole)
        for _ in range(generator.choice([1, 3, 20])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        file.write_bytes(damaged if number % 4 else damaged[: generator.randrange(len(damaged))])
        try:
            assert read_label_map(file, classes).dtype == np.uint8
        except S4Error as error:
            assert error.exit_code == 3
            rules.add(error.rule)
    assert {"image-damaged", "image-format"} <= rules
