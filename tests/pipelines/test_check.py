"""`s4 check`: a clean folder of every kind gives no finding, and a made-up folder for each rule gives that rule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.rle import encode_masks
from tests.pipelines.checked_data import (
    NONE,
    SOUND,
    H,
    W,
    class_folders,
    coco,
    errors,
    found,
    here,
    labels,
    lists,
    mask,
    picture,
    rewrite,
    salient,
    shards,
    table,
    voc,
    warnings,
)

__all__ = ["here"]  # a fixture


@pytest.mark.parametrize("kind", SOUND)
def test_a_clean_folder_gives_no_finding(kind: str) -> None:
    SOUND[kind]()
    assert found() == NONE


def copy(source: str, target: str) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(Path(source).read_bytes())


def smaller(source: str, target: str) -> None:
    Image.open(source).resize((W // 2, H // 2)).save(target)


def with_annotations(change: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    def spoil() -> None:
        content = salient()
        change(content)
        rewrite("data/train.json", content)

    return spoil


def spoiled(make: Callable[[], Any], *changes: Callable[[], Any]) -> Callable[[], None]:
    def spoil() -> None:
        make()
        for change in changes:
            change()

    return spoil


def empty_mask(content: dict[str, Any]) -> None:
    (content["annotations"][0]["segmentation"],) = encode_masks(np.zeros((1, H, W), np.uint8))


def many_cats() -> None:
    for number in range(30):
        picture(f"data/cat/{100 + number}.png", 100 + number)
    for number in range(3):
        picture(f"data/dog/{number}.png", number)


def class_list() -> None:
    Path("data/classes.txt").write_text("cat\ndog\nsheep\n")


def train_and_val() -> None:
    for number in range(10):
        picture(f"data/{'train' if number < 5 else 'val'}/cat/{number}.png", number)


def colours() -> None:
    for number in range(6):
        path = f"data/SegmentationClass/{number}.png"
        Image.open(path).convert("RGB").save(path)


SPOILED: dict[str, tuple[Callable[[], None], dict[str, list[str]]]] = {
    "a file that nothing reads": (
        spoiled(class_folders, lambda: Path("data/cat/film.mp4").write_bytes(b"film")),
        warnings("files-ignored"),
    ),
    "a picture without a class": (
        spoiled(class_folders, lambda: picture("data/99.png", 99)),
        warnings("pictures-unplaced"),
    ),
    "a damaged picture in a folder of a class": (
        spoiled(class_folders, lambda: Path("data/cat/1.png").write_bytes(Path("data/cat/3.png").read_bytes()[:90])),
        warnings("image-damaged"),
    ),
    "the same picture twice": (
        spoiled(class_folders, lambda: copy("data/cat/1.png", "data/cat/1-copy.png")),
        warnings("picture-duplicate"),
    ),
    "the same pixels in another format": (
        spoiled(class_folders, lambda: Image.open("data/cat/1.png").save("data/cat/1-copy.bmp")),
        warnings("picture-duplicate"),
    ),
    "a smaller copy": (
        spoiled(class_folders, lambda: smaller("data/cat/1.png", "data/cat/1-small.png")),
        warnings("picture-near-duplicate"),
    ),
    "a copy in the other split": (
        spoiled(train_and_val, lambda: copy("data/train/cat/1.png", "data/val/cat/77.png")),
        warnings("split-pictures"),
    ),
    "a smaller copy in the other split": (
        spoiled(train_and_val, lambda: smaller("data/train/cat/1.png", "data/val/cat/77.png")),
        warnings("split-pictures"),
    ),
    "a rare class": (spoiled(many_cats), warnings("class-rare")),
    "a class without a picture": (spoiled(class_folders, class_list), warnings("class-absent")),
    "a word outside the list": (
        spoiled(table, lambda: Path("data/keywords.csv").write_text("image,keywords\n0.jpg,cat\n1.jpg,catt\n")),
        errors("class-unknown"),
    ),
    "a broken line of a table": (
        spoiled(table, lambda: Path("data/keywords.csv").write_text("image,keywords\n0.jpg,cat\n,dog\n")),
        {"errors": ["keywords-file"], "warnings": ["pictures-unplaced"]},
    ),
    "a mask of another size": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", size=(H, W + 1))),
        errors("label-size"),
    ),
    "a mask with an unknown index": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", 77)),
        errors("label-value"),
    ),
    "a mask without a class": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", 255)),
        warnings("mask-empty"),
    ),
    "masks in VOC's colours": (spoiled(voc, colours), warnings("mask-colours")),
    "a photograph for a mask": (
        spoiled(voc, lambda: picture("data/SegmentationClass/0.png", 3)),
        errors("label-mode"),
    ),
    "a picture that a list names and that is gone": (
        spoiled(voc, lambda: Path("data/JPEGImages/0.jpg").unlink()),
        errors("image-missing"),
    ),
    "a mask that is gone": (
        spoiled(voc, lambda: Path("data/SegmentationClass/0.png").unlink()),
        errors("truth-missing"),
    ),
    "a damaged picture of a VOC list": (
        spoiled(voc, lambda: Path("data/JPEGImages/0.jpg").write_bytes(b"")),
        errors("image-damaged"),
    ),
    "an id in two splits": (spoiled(voc, lambda: lists("val", "345")), warnings("split-names")),
    "an id twice in a list": (spoiled(voc, lambda: lists("train", "01230")), errors("list-twice")),
    "a picture of a COCO file that is gone": (
        spoiled(salient, lambda: rewrite("data/train.json", coco("data/train.json", ["0.jpg", "9.jpg"]))),
        errors("coco-picture-missing"),
    ),
    "a picture listed with another size": (
        with_annotations(lambda content: content["images"][0].update(width=50)),
        errors("coco-picture-size"),
    ),
    "a mask without a pixel": (with_annotations(empty_mask), warnings("coco-mask-empty")),
    "a polygon without an area": (
        with_annotations(lambda content: content["annotations"][0].update(segmentation=[[1, 1, 5, 5, 9, 9]])),
        warnings("coco-mask-empty"),
    ),
    "an annotation of no picture": (
        with_annotations(lambda content: content["annotations"][0].update(image_id=99)),
        warnings("coco-unknown-image", "coco-no-instance"),
    ),
    "an unknown category": (
        with_annotations(lambda content: content["annotations"][0].update(category_id=9)),
        warnings("coco-category-unknown"),
    ),
    "a picture without an annotation": (
        with_annotations(lambda content: content["annotations"].pop()),
        warnings("coco-no-instance"),
    ),
    "COCO files that share a picture": (
        spoiled(salient, lambda: coco("data/val.json", ["2.jpg", "3.jpg"])),
        warnings("split-names"),
    ),
    "a tar that is cut off": (
        spoiled(shards, lambda: Path("data/cat.tar").write_bytes(Path("data/cat.tar").read_bytes()[:700])),
        errors("shard-damaged"),
    ),
    "labels without a manifest": (
        spoiled(labels, lambda: Path("data/manifest.json").unlink()),
        errors("labels-unmarked"),
    ),
    "a label of another size": (
        spoiled(labels, lambda: mask("data/labels/0.png", 8, (H, W + 1))),
        errors("label-size"),
    ),
    "labels whose picture is gone": (
        spoiled(labels, lambda: Path("pictures/3.png").unlink()),
        errors("image-missing"),
    ),
    "a label map that is gone": (spoiled(labels, lambda: Path("data/labels/3.png").unlink()), errors("label-missing")),
    "labels that never show a class": (
        spoiled(labels, *(lambda number=number: mask(f"data/labels/{number}.png", 8) for number in (1, 3))),
        warnings("class-unlabelled"),
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_folder_with_one_fault_gives_its_rule_alone(name: str) -> None:
    spoil, expected = SPOILED[name]
    spoil()
    assert found() == expected
