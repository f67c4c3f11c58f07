"""Annotations of every format with a damaged file."""

import random
from collections.abc import Iterator
from itertools import cycle, product

from experiments.hostile_inputs.commands import FORMS
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.made import FILE_DAMAGES
from experiments.hostile_inputs.place import Build, Place, Rest

_BILLION = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %s "%s">' % (bytes([98 + n]), b"&%s;" % bytes([97 + n]) * 10) for n in range(9))
    + b"]><annotation><object><name>&j;</name></object></annotation>"
)
_OUTSIDE = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><object><name>&x;</name></object></annotation>'
)
XMLS = [
    _BILLION,
    _OUTSIDE,
    b"<annotation>" * 20_000,
    b"<annotation/>",
    b'<?xml version="1.0" encoding="nope"?><annotation/>',
    b"<annotation><size><width>1e9</width><height>-1</height></size><object><name></name></object></annotation>",
    b"<annotation><object><name>star</name><bndbox><xmin>nan</xmin><ymin>inf</ymin><xmax/></bndbox></object></annotation>",
    "<annotation><filename>../../x.jpg</filename></annotation>".encode("utf-16"),
    b"\0" * 99,
]
SOURCES = {
    "as-voc": "voc",
    "as-labelme": "labelme",
    "as-cvat-voc": "cvat-voc",
    "as-cvat-coco": "cvat-coco",
    "as-yolo-seg": "yolo-seg",
    "as-masks": "masks",
    "coco": "coco",
    "as-studio.json": "label-studio",
    "as.pkl": "s4net-pickle",
    "predictions": "predictions",
    "found": "predictions",
    "labels": "labels",
}
LINE = "convert {given} --from {source} --to {target} --images {voc}/JPEGImages CLASSES --out {out}/x{suffix}"
POLYGONS = {"labelme", "coco", "label-studio", "cvat-coco"}
"""Formats that --polygons changes."""


def hostile_formats(choose: random.Random) -> Iterator[Rest]:
    """Yield annotations of every format with one damaged file, converted into every other format."""
    targets = cycle(choose.sample(list(FORMS), len(FORMS)))
    for source, damage in product(SOURCES, [*FILE_DAMAGES, "XML"]):
        yield f"{source}, {damage}", _format(source, damage, next(targets))


def _format(source: str, damage: str, target: str) -> Build:
    def build(place: Place) -> list[str]:
        given = place.copied(source)
        files = sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]
        texts_only = [path for path in files if path.suffix not in (".png", ".jpg")]
        chosen = texts_only if texts_only and place.choose.random() < 0.75 else files
        file = place.choose.choice(chosen)
        if damage == "XML":
            file.write_bytes(place.choose.choice(XMLS))
        else:
            FILE_DAMAGES[damage](file, place.choose)
        path = given / "found.json" if source == "coco" else given
        form = SOURCES[source] if place.choose.random() < 0.7 else "auto"
        line = filled(LINE, place, given=path, source=form, target=target, suffix=FORMS[target])
        return [*line, "--polygons"] if target in POLYGONS and place.choose.random() < 0.5 else line

    return build
