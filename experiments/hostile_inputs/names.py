"""Pictures and folders with hostile names."""

import os
import random
from collections.abc import Iterator

from experiments.hostile_inputs.commands import (
    OVER_PICTURES,
    encoded,
    first_class,
    over_pictures,
    scene,
    write_pictures,
)
from experiments.hostile_inputs.place import Build, Place, Rest

NAMES: dict[str, list[bytes]] = {
    "newline": [b"a\nb.jpg", b"\n.png", b"x\r\n.jpg"],
    "tab": [b"a\tb.jpg", b"\t.jpg"],
    "leading dash": [b"--help.jpg", b"-.png", b"--out.jpg"],
    "quotes": [b"a'b\"c`d.jpg", b'"quoted".png', b"'.jpg"],
    "percent": [b"%s%d%n.jpg", b"%2e%2e%2f.png", b"{0.__class__}.jpg"],
    "glob": [b"[a-z]*.jpg", b"?.png", b"**.jpg", b"{a,b}.jpg"],
    "unicode pairs": [
        "caf\u00e9.jpg".encode(),
        "cafe\u0301.jpg".encode(),
        "\u212b.jpg".encode(),
        "\u00c5.jpg".encode(),
    ],
    "right to left": ["\u202egpj.exe.jpg".encode(), "\u200f\u05d0.jpg".encode(), "\u2066x.png".encode()],
    "255 bytes": [b"n" * 251 + b".jpg", ("\u00fc" * 125 + ".png").encode(), b"m" * 255],
    "not UTF-8": [b"\xff\xfe.jpg", b"caf\xe9.png", b"\xed\xa0\x80.jpg"],
    "cases": [b"A.jpg", b"a.JPG", b"a.jpg", b"A.JPG", b"A.png", b"a.PNG"],
    "devices": [b"CON.jpg", b"nul.png", b"aux.jpg", b"COM1.png", b"LPT1.jpg", b"NUL"],
    "same stems": [b"a.jpg", b"a.png", b"a.webp", b"a.b.jpg", b"a.b.png"],
    "dots": [b"...jpg", b"..png", b".jpg", b".hidden.jpg", b"a..jpg", b"a.jpg.", b"a.jpg.jpg"],
    "spaces": [b" .jpg", b"a .jpg", b" a.jpg", b"  ", b"a.jpg "],
    "control": [b"\x01\x1b[31m.jpg", b"\x7f.png", b"\x1b]0;owned\x07.jpg", "\u2028.jpg".encode(), "\x85.jpg".encode()],
    "markup": [b"<script>alert(1)<!--.jpg", b"&amp;.png", b"]]>.jpg", b"</title>.jpg"],
    "formulas": [b"=1+1.jpg", b"@SUM(A1).png", b"+1.jpg", b"a,b;c.jpg", b'a",b.jpg'],
    "numbers": [b"007.jpg", b"7.jpg", b"7.0.png", b"1e3.jpg", b"nan.png", b"null.jpg", b"true.jpg"],
    "own names": [
        b"manifest.json.jpg",
        b"records.jsonl.png",
        b".s4.lock.jpg",
        b"labels.png",
        b"x.tmp.png",
        b".x.tmp.jpg",
    ],
    "zero width": ["\u200b.jpg".encode(), "a\u200bb.jpg".encode(), b"ab.jpg", "\ufeffa.jpg".encode()],
    "astral": ["\U0001f408.jpg".encode(), "\U000e0001.png".encode(), "\U0010ffff.jpg".encode()],
    "math": [b"$x^$.jpg", b"\\frac{.png", b"$\\notacommand$.jpg", b"_^_.jpg"],
    "backslash": [b"a\\b.jpg", b"..\\..\\x.png", b"C:\\x.jpg", b"\\\\host\\x.jpg"],
    "address": [b"memory:__x.jpg", b"file:x.jpg", b"a::b.jpg", b"s3:.png"],
}
FOLDERS = [
    b"a\nb",
    b"--x",
    b"%s",
    b"[x]",
    b"caf\xe9",
    b"n" * 255,
    "\u202ex".encode(),
    b"$x^$",
    b"x.jpg",
    b"labels",
    b" ",
    b"~",
]


def hostile_names(choose: random.Random) -> Iterator[Rest]:
    """Yield pictures with hostile names, and folders with hostile names, each for some commands."""
    for name in NAMES:
        for command in choose.sample(list(OVER_PICTURES), 5):
            yield f"{name}, {command}", _named(name, command)
    for folder in FOLDERS:
        for command in choose.sample(list(OVER_PICTURES), 2):
            yield f"folder {folder!r}, {command}", _foldered(folder, command)


def _named(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        form = {"png": "PNG", "webp": "WEBP"}
        files = {
            os.fsdecode(one): encoded(scene(number), form.get(os.fsdecode(one).lower().rpartition(".")[2], "JPEG"))
            for number, one in enumerate(NAMES[name])
        }
        write_pictures(place, files, good=1)
        return over_pictures(command, place)

    return build


def _foldered(name: bytes, command: str) -> Build:
    def build(place: Place) -> list[str]:
        where = f"{os.fsdecode(name)}/{first_class(place)}"
        folder = write_pictures(place, {"x.jpg": encoded(scene(3), "JPEG")}, where=where)
        return over_pictures(command, place, folder / os.fsdecode(name) if place.choose.random() < 0.5 else None)

    return build
