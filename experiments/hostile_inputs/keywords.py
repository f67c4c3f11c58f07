"""Hostile tables of keywords, class lists and lists of pictures."""

import io
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest


def _npy(value: object, pickled: bool = True) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(value, dtype=object) if pickled else np.asarray(value), allow_pickle=pickled)
    return file.getvalue()


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch escaped",)


KEYWORDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "quotes open": (".csv", lambda: b'image,keywords\ntrain_00000,"star\n' + b"train_00001,disc\n" * 9),
    "a field of megabytes": (".csv", lambda: b"image,keywords\ntrain_00000," + b"x" * 3_000_000),
    "many keywords": (".csv", lambda: b"image,keywords\ntrain_00000," + b";".join(b"k%d" % n for n in range(100_000))),
    "mixed lines": (".csv", lambda: b"image,keywords\rtrain_00000,star\r\ntrain_00001,disc\ntrain_00002,ring\r"),
    "nul": (".csv", lambda: b"image,keywords\ntrain_00000,st\0ar\n"),
    "UTF-16 of half a letter": (".csv", lambda: "image,keywords\ntrain_00000,star\n".encode("utf-16")[:-1]),
    "UTF-32": (".csv", lambda: "image,keywords\ntrain_00000,star\n".encode("utf-32")),
    "a BOM twice": (".csv", lambda: b"\xef\xbb\xbf\xef\xbb\xbfimage,keywords\ntrain_00000,star\n"),
    "rows twice": (".csv", lambda: b"image,keywords\ntrain_00000,star\ntrain_00000,disc\ntrain_00000,star\n"),
    "paths": (
        ".csv",
        lambda: (
            b"image,keywords\n../../etc/passwd,star\n/train_00000,star\nC:\\train_00001.jpg,star\n./train_00002.jpg,disc\n"
        ),
    ),
    "formulas": (".csv", lambda: b"image,keywords\ntrain_00000,=1+1\ntrain_00001,@x\n"),
    "no header": (".csv", lambda: b"train_00000,star\ntrain_00001,disc\n"),
    "header alone": (".csv", lambda: b"image,keywords\n"),
    "columns": (".csv", lambda: b"image,keywords,keywords,image\n" + b"a,b,c,d,e,f,g\n,\n,,,,,,,\n"),
    "many columns": (".csv", lambda: b"image" + b",k" * 50_000 + b"\ntrain_00000" + b",1" * 50_000 + b"\n"),
    "separators": (".csv", lambda: b"sep=\0\nimage\0keywords\n"),
    "odd separator": (".csv", lambda: "sep=\U0001f408\nimage\U0001f408keywords\n".encode()),
    "lone surrogates": (".csv", lambda: b"image,keywords\ntrain_00000,\xed\xa0\xbd\n"),
    "confusables": (".csv", lambda: "image,keywords\ntrain_00000,\u0455tar\ntrain_00001,di\u200bsc\n".encode()),
    "npy payload": (".npy", lambda: _npy({"train_00000": _Payload()})),
    "npy numbers": (
        ".npy",
        lambda: _npy({2007_000_032: [float("nan")] * 8, -1: np.eye(8)[0], "train_00000": np.eye(8)[1]}),
    ),
    "npy lengths": (
        ".npy",
        lambda: _npy({"train_00000": np.ones(3), "train_00001": np.ones(3000), "train_00002": np.ones((8, 8))}),
    ),
    "npy kinds": (
        ".npy",
        lambda: _npy({"train_00000": "star", "train_00001": None, "train_00002": np.array(["a"] * 8)}),
    ),
    "npy values": (
        ".npy",
        lambda: _npy(
            {"train_00000": np.full(8, 0.5), "train_00001": np.full(8, -1), "train_00002": np.full(8, np.inf)}
        ),
    ),
    "npy plain": (".npy", lambda: _npy(np.ones((3, 8)), pickled=False)),
    "npy shape": (
        ".npy",
        lambda: (
            b"\x93NUMPY\x01\0v\0"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 8), }".ljust(117)
            + b"\n"
        ),
    ),
    "npy header": (
        ".npy",
        lambda: b"\x93NUMPY\x01\0v\0" + b"{'descr': __import__('os'), 'shape': 1}".ljust(117) + b"\n",
    ),
    "npy version": (".npy", lambda: b"\x93NUMPY\x09\x09v\0" + bytes(118)),
    "npy recursion": (
        ".npy",
        lambda: (
            b"\x93NUMPY\x01\0v\0"
            + b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117)
            + b"\n"
            + b"\x80\x04"
            + b"]" * 9
            + b"h\0" * 99
            + b"."
        ),
    ),
    "npy memo": (
        ".npy",
        lambda: (
            b"\x93NUMPY\x01\0v\0"
            + b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117)
            + b"\n"
            + b"\x80\x04r\xff\xff\xff\x7f]."
        ),
    ),
    "numbers": (".txt", lambda: b"train_00000 0 7 8 -1 99999999999999999999 1.5\ntrain_00001 x\n"),
    "numbers alone": (".txt", lambda: b"0 1 2\n\n \n" + b"1 " * 100_000),
    "JSON of keywords": (".json", lambda: b'{"train_00000": ["star"], "train_00000": 7}'),
    "COCO of keywords": (
        ".json",
        lambda: (
            b'{"images": [{"id": 1, "file_name": "train_00000.jpg"}, {"id": 1, "file_name": "../x"}], '
            b'"annotations": [{"image_id": 1, "category_id": 9}], '
            b'"categories": [{"id": 9}, {"id": 9, "name": 3}]}'
        ),
    ),
    "JSON deep": (".json", lambda: b'{"a":' * 50_000),
    "a pickle": (".csv", lambda: pickle.dumps({"train_00000": ["star"]})),
    "a zip": (".npy", lambda: b"PK\x03\x04" + bytes(99)),
}
CLASSES: dict[str, bytes] = {
    "255 names": "".join(f"c{number}\n" for number in range(255)).encode(),
    "300 names": "".join(f"c{number}\n" for number in range(300)).encode(),
    "names twice": b"disc\ndisc\nDisc\n",
    "names alike": b"light bulb\nlight_bulb\nlight-bulb\n",
    "a name of megabytes": b"x" * 3_000_000,
    "empty": b"",
    "lines alone": b"\n\r\n\r \t\n",
    "BOM and mixed": b"\xef\xbb\xbfdisc\rring\r\nsquare\n",
    "UTF-16": "disc\nring\n".encode("utf-16"),
    "nul": b"di\0sc\nring\n",
    "separators": b"disc;ring\nsquare,star\n",
    "markup": b"<script>\n$x^$\n{{ 7*7 }}\n%s\n../../x\n",
    "control": b"\x1b[31mdisc\n\x07\n",
    "background twice": b"background\ndisc\nbackground\n",
    "ids": b"1 disc\n2 ring\n2 star\n",
    "labelmap": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ndisc:999,-1,x::\ndisc:1,2,3::\n",
    "labelmap alike": b"# label:color_rgb:parts:actions\na:1,2,3::\nb:1,2,3::\nc:0,0,0::\n",
    "JSON": b'["disc", "ring"]',
    "noise": bytes(range(256)) * 20,
}
LISTS: dict[str, bytes] = {
    "paths": b"../../etc/passwd\n/etc/passwd\ntrain_00000\n",
    "twice": b"train_00000\ntrain_00000\n",
    "marks": b"train_00000 1\ntrain_00001 -1\ntrain_00002 0\ntrain_00003 x y z\n",
    "empty": b"",
    "nul": b"train_00000\0\n",
    "UTF-16": "train_00000\n".encode("utf-16"),
    "a name of megabytes": b"x" * 2_000_000,
    "glob": b"train_*\n[a-z]\n",
    "BOM and mixed": b"\xef\xbb\xbftrain_00000\rtrain_00001\r\n",
    "noise": bytes(range(256)),
}


def hostile_keywords(choose: random.Random) -> Iterator[Rest]:
    """Yield tables of keywords, class lists and lists of pictures."""
    commands = ["label", "csv", "check", "dry"]
    for name in KEYWORDS:
        for command in choose.sample(commands, 2):
            yield f"{name}, {command}", _keywords(name, command)
    for name in CLASSES:
        for command in choose.sample(["label", "csv", "deeplab", "evaluate", "check"], 2):
            yield f"classes: {name}, {command}", _classes(name, command)
    for name in LISTS:
        for command in choose.sample(["evaluate", "predict", "deeplab", "csv"], 2):
            yield f"list: {name}, {command}", _list(name, command)


LINES = {
    "label": "pseudo-label {images} ASKED --instances {voc}/SegmentationClass --out {out} LABEL",
    "dry": "pseudo-label {images} ASKED --weights {net} --out {out} LABEL --dry-run --json",
    "csv": "convert --to csv --images {images} ASKED --out {out}/k.csv",
    "check": "check {voc} {keywords} {classes}",
    "deeplab": "deeplab-train TRUE --classes {classes} --run {out} DEEPLAB",
    "evaluate": "evaluate --voc {voc} --weights {deeplab} --classes {classes} PLAIN",
}
LIST_LINES = {
    "evaluate": "evaluate --voc {voc} --split hostile --weights {deeplab} CLASSES PLAIN --json",
    "predict": "predict --voc {voc} --split hostile --weights {deeplab} --out {out} PLAIN",
    "deeplab": "deeplab-train TRUE CLASSES --run {out} DEEPLAB --list {list}",
    "csv": "convert --to csv --images KEYWORDS --split hostile --out {out}/k.csv",
}


def _line(command: str, place: Place, keywords: Path, classes: Path) -> list[str]:
    line = LINES[command].replace("ASKED", "--keywords {keywords} --classes {classes}")
    return filled(line, place, images=place.voc("JPEGImages"), keywords=keywords, classes=classes)


def _keywords(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        suffix, make = KEYWORDS[name]
        file = place.given / f"keywords{suffix}"
        file.write_bytes(make())
        return _line(command, place, file, place.voc("classes.txt"))

    return build


def _classes(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        file = place.given / "classes.txt"
        file.write_bytes(CLASSES[name])
        return _line(command, place, place.voc("keywords_train.csv"), file)

    return build


def _list(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        voc = place.copied("voc")
        file = voc / "ImageSets/Segmentation/hostile.txt"
        file.write_bytes(LISTS[name])
        return filled(LIST_LINES[command], place, voc=voc, list=file)

    return build
