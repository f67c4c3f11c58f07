"""Masks of wrong sizes, modes and values."""

import random
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from experiments.hostile_inputs.commands import (
    encoded,
    mask,
    over_pictures,
    scene,
    write_pictures,
)
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest


def _map(values: np.ndarray, mode: str = "L") -> bytes:
    return encoded(Image.fromarray(values).convert(mode), "PNG")


def _palette(colours: list[int]) -> bytes:
    image = mask()
    image.putpalette(colours)
    return encoded(image, "PNG")


MASKS: dict[str, Callable[[], bytes]] = {
    "all unknown": lambda: _map(np.full((48, 64), 255, np.uint8)),
    "all background": lambda: _map(np.zeros((48, 64), np.uint8)),
    "no such class": lambda: _map(np.full((48, 64), 200, np.uint8)),
    "one pixel": lambda: _map(np.ones((1, 1), np.uint8)),
    "turned": lambda: encoded(mask(64, 48), "PNG"),
    "larger": lambda: encoded(mask(480, 640), "PNG"),
    "long": lambda: _map(np.ones((1, 60000), np.uint8)),
    "16 bit": lambda: encoded(Image.fromarray(np.full((48, 64), 300, np.uint16)), "PNG"),
    "16 bit, small": lambda: encoded(Image.fromarray(np.ones((48, 64), np.uint16)), "PNG"),
    "32 bit": lambda: encoded(Image.fromarray(np.full((48, 64), -7, np.int32)), "TIFF"),
    "float": lambda: encoded(Image.fromarray(np.full((48, 64), np.nan, np.float32)), "TIFF"),
    "one bit": lambda: encoded(mask().convert("1"), "PNG"),
    "RGB": lambda: encoded(mask().convert("RGB"), "PNG"),
    "RGB of noise": lambda: encoded(scene(5), "PNG"),
    "RGBA": lambda: encoded(mask().convert("RGBA"), "PNG"),
    "grey and alpha": lambda: encoded(mask().convert("LA"), "PNG"),
    "JPEG": lambda: encoded(mask().convert("RGB"), "JPEG"),
    "short palette": lambda: _palette([0, 0, 0, 128, 0, 0]),
    "grey palette": lambda: _palette([index for index in range(256) for _ in range(3)]),
    "palette of one colour": lambda: _palette([7, 7, 7] * 256),
    "palette turned": lambda: _palette([*range(255, -1, -1)] * 3),
    "transparent": lambda: encoded(mask(), "PNG", transparency=1),
    "animated": lambda: encoded(mask(), "GIF", save_all=True, append_images=[mask(index=2)]),
    "empty": lambda: b"",
    "cut": lambda: encoded(mask(), "PNG")[:120],
    "text": lambda: b"0 0 0\n",
    "50 MP": lambda: encoded(Image.new("L", (7000, 7000), 1), "PNG"),
    "bomb": lambda: encoded(Image.new("L", (30000, 10000), 1), "PNG"),
    "CMYK": lambda: encoded(mask().convert("RGB").convert("CMYK"), "TIFF"),
    "noise": lambda: _map(np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8)),
    "chess": lambda: _map((np.indices((48, 64)).sum(0) % 2).astype(np.uint8)),
    "rotated": lambda: encoded(
        mask(), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ),
}


LINES = {
    "check": "check {pictures} {masks}",
    "predictions": "evaluate --masks {masks} --predictions {masks} CLASSES PLAIN",
    "coco": "convert {masks} --from masks --to coco --images {pictures} CLASSES --out {out}/x.json --polygons",
    "labels": "evaluate --voc {voc} --split train --labels {made} CLASSES PLAIN --allow-missing",
    "told": "evaluate --voc {voc} --split train --predictions {made} CLASSES PLAIN --allow-missing",
    "server": "convert --to voc-server --predictions {made} --voc {voc} --split train --out {out}/r.tar.gz",
}
OF_PICTURES = ["evaluate-masks", "deeplab-train", "from-masks", "yolo"]
"""Commands over the pictures that the masks belong to."""


def hostile_masks(choose: random.Random) -> Iterator[Rest]:
    """Yield masks of wrong sizes, modes and values, each for some commands."""
    for name in MASKS:
        for command in choose.sample([*OF_PICTURES, "check", "predictions", "labels", "server", "coco"], 3):
            yield f"{name}, {command}", _masked(name, command)


def _masked(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        write_pictures(place, {"x.jpg": encoded(scene(3), "JPEG")})
        for target in sorted((place.given / "masks").rglob("*.png"))[: place.choose.choice([1, 1, 9])]:
            target.write_bytes(MASKS[name]())
        if command in OF_PICTURES:
            return over_pictures(command, place)
        if command in ("labels", "server"):
            labels = place.copied("labels" if command == "labels" else "predictions")
            sorted(labels.rglob("*.png"))[-1].write_bytes(MASKS[name]())
            line = command if command == "labels" or place.choose.random() >= 0.5 else "told"
            return filled(LINES[line], place, made=labels)
        return filled(LINES[command], place)

    return build
