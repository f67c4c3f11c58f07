"""Hostile tars of pictures, and hostile addresses of stores."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator

from experiments.hostile_inputs.commands import encoded, first_class, over_pictures, scene
from experiments.hostile_inputs.lines import filled
from experiments.hostile_inputs.place import Build, Place, Rest

COMMANDS = ("predict-s4net", "pseudo-label", "check", "init", "csv", "dry")


def _tar(*members: tuple[str, bytes], form: int = tarfile.GNU_FORMAT, **entries: object) -> bytes:
    """Return a tar with a good picture and these members, whose headers have these entries too."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, errors="surrogateescape") as archive:
        for number, (name, content) in enumerate([("good.png", encoded(scene(9), "PNG")), *members]):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in entries.items() if number else ():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return file.getvalue()


def _picture() -> bytes:
    return encoded(scene(1), "JPEG")


def _number(content: bytes, offset: int, number: bytes) -> bytes:
    """Put a number into the second header, and mend its checksum."""
    start = 512 + (len(encoded(scene(9), "PNG")) + 511) // 512 * 512
    header = bytearray(content[start : start + 512])
    header[offset : offset + len(number)] = number
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:start] + bytes(header) + content[start + 512 :]


def _pax(size: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x.jpg")
        info.pax_headers = {"size": size, "path": "y.jpg", "GNU.sparse.size": size, "mtime": "nan"}
        info.size = 600
        archive.addfile(info, io.BytesIO(bytes(600)))
    return file.getvalue()


TARS: dict[str, Callable[[random.Random], bytes]] = {
    "up": lambda choose: _tar(("../../../escaped.jpg", _picture())),
    "absolute": lambda choose: _tar(("/tmp/escaped.jpg", _picture())),
    "up inside": lambda choose: _tar(("a/../../x.jpg", _picture()), ("a/./b.jpg", _picture())),
    "symbolic link": lambda choose: _tar(("x.jpg", b""), type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda choose: _tar(("x.jpg", b""), type=tarfile.LNKTYPE, linkname="good.png"),
    "link to itself": lambda choose: _tar(("x.jpg", b""), type=tarfile.LNKTYPE, linkname="x.jpg"),
    "device": lambda choose: _tar(("x.jpg", b""), type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "pipe": lambda choose: _tar(("x.jpg", b""), type=tarfile.FIFOTYPE),
    "contiguous": lambda choose: _tar(("x.jpg", b""), type=tarfile.CONTTYPE),
    "unknown kind": lambda choose: _tar(("x.jpg", _picture()), type=b"Z"),
    "sparse": lambda choose: _number(
        _tar(("x.jpg", _picture()), type=tarfile.GNUTYPE_SPARSE), 386, b"77777777777 77777777777 "
    ),
    "pax huge": lambda choose: _pax("9" * 30),
    "pax negative": lambda choose: _pax("-5"),
    "pax no number": lambda choose: _pax("x"),
    "pax length": lambda choose: _pax("600").replace(b"14 path=y.jpg", b"99 path=y.jpg"),
    "size huge": lambda choose: _number(_tar(("x.jpg", _picture())), 124, b"77777777777\0"),
    "size of 2^63": lambda choose: _number(_tar(("x.jpg", _picture())), 124, b"\x80\0\0\0\x7f" + b"\xff" * 7),
    "size negative": lambda choose: _number(_tar(("x.jpg", _picture())), 124, b"\xff" * 12),
    "truncated": lambda choose: (lambda content: content[: choose.randrange(600, len(content) - 10241)])(
        _tar(("x.jpg", _picture()), ("y.jpg", _picture() * 20))
    ),
    "noise": lambda choose: bytes(
        b if choose.random() > 0.01 else choose.randrange(256) for b in _tar(("x.jpg", _picture()))
    ),
    "checksum": lambda choose: _tar(("x.jpg", _picture())).replace(b"ustar", b"xstar", 1),
    "twice": lambda choose: _tar(("good.png", _picture()), ("good.png", _picture()), ("good.jpg", _picture())),
    "long names": lambda choose: _tar(("d/" * 1000 + "x.jpg", _picture()), ("n" * 5000 + ".jpg", _picture())),
    "odd names": lambda choose: _tar(
        ("a\nb.jpg", _picture()),
        ("\udcff.jpg", _picture()),
        ("", _picture()),
        (".jpg", _picture()),
        ("x.jpg/", _picture()),
        ("-.jpg", _picture()),
        ("\u202ex.jpg", _picture()),
    ),
    "a thousand": lambda choose: _tar(*[(f"{number}.txt", b"x") for number in range(1000)]),
    "tars in tars": lambda choose: _tar(("in.tar", _tar(("deeper.tar", _tar(("x.jpg", _picture())))))),
    "itself": lambda choose: _tar(("self.tar", _tar(("good.png", _picture())))),
    "classes": lambda choose: _tar(
        ("x.jpg", _picture()), ("x.cls", b"9" * 5000), ("y.jpg", _picture()), ("y.cls", b"-1"), ("z.cls", b"\xff")
    ),
    "zeros": lambda choose: bytes(choose.choice([512, 1024, 10240, 5_000_000])),
    "empty": lambda choose: b"",
    "gzip": lambda choose: gzip.compress(_tar(("x.jpg", _picture()))),
    "gzip bomb": lambda choose: gzip.compress(bytes(100_000_000)),
    "bzip2 bomb": lambda choose: bz2.compress(bytes(50_000_000)),
    "xz bomb": lambda choose: lzma.compress(bytes(50_000_000), preset=0),
    "a zip": lambda choose: _zip(),
    "a picture": lambda choose: _picture(),
    "joined": lambda choose: _tar(("x.jpg", _picture())) + _tar(("z.jpg", _picture())),
}
SUFFIXES = {"gzip": ".tar.gz", "gzip bomb": ".tgz", "bzip2 bomb": ".tar.bz2", "xz bomb": ".tar.xz"}


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.jpg", _picture())
    return file.getvalue()


def hostile_tars(choose: random.Random) -> Iterator[Rest]:
    """Yield tars, each for two commands."""
    for name in TARS:
        for command in choose.sample(COMMANDS, 2):
            yield f"{name}, {command}", _over_tar(name, command)


def _over_tar(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        suffix = place.choose.choice([".tar", SUFFIXES.get(name, ".tar")])
        file = place.given / f"{first_class(place)}{suffix}"
        file.write_bytes(TARS[name](place.choose))
        return over_pictures(command, place, place.given if command == "init" else file)

    return build


ADDRESSES = (
    "memory://",
    "memory:///",
    "memory://nothing",
    "memory://a/../../x",
    "memory://a\0b",
    "memory://*",
    "memory://[",
    "local://",
    "local:///nowhere",
    "local://GIVEN",
    "file://GIVEN",
    "file://",
    "file://../x",
    "file:///dev/zero",
    "nope://x",
    "://x",
    "http://",
    "http://127.0.0.1:1/x",
    "https://127.0.0.1:1/",
    "http://[::1",
    "http://user:secret@127.0.0.1:1/x",
    "http://127.0.0.1:99999/x",
    "ftp://127.0.0.1:1/x",
    "sftp://127.0.0.1/x",
    "ssh://x",
    "s3://",
    "gs://",
    "hdfs://x/y",
    "github://",
    "data://",
    "data:image/png;base64,xx",
    "zip://",
    "zip://x::file://GIVEN/none.zip",
    "zip://::file://GIVEN/x.zip",
    "zip://x.jpg::file://GIVEN/x.zip",
    "zip://../x::file://GIVEN/x.zip",
    "tar://::file://GIVEN/x.zip",
    "simplecache::memory://x",
    "filecache::file://GIVEN",
    "blockcache::",
    "::",
    "a::b",
    "memory://x::memory://y",
    "zip://::zip://::zip://::file://GIVEN/x.zip",
    "reference://",
    "cached://x",
    "dir://GIVEN",
    "dir://",
    "asynclocal://GIVEN",
    "jupyter://x",
    "git://x",
    "libarchive://x",
    "dbfs://x",
    "smb://x/y",
    "webhdfs://127.0.0.1:1/x",
    "root://x",
    "oci://",
    "MEMORY://x",
    "memory://x" + "y" * 5000,
    "memory://\u202e\U0001f408",
    "memory://%00%2e%2e/x",
    "memory://x?y=z#w",
    "generic://x",
    "hf://",
    "az://",
    "abfs://x",
    "box://x",
    "lakefs://x",
    "oss://x",
    "wandb://x",
    "dropbox://x",
)


LINES = {
    "images": "predict {given} --weights {net} --out {out} PLAIN",
    "weights": "predict {voc}/JPEGImages --weights {given} --out {out} PLAIN",
    "keywords": "pseudo-label {voc}/JPEGImages --weights {net} --keywords {given} --out {out} CLASSES LABEL",
    "out": "predict {voc}/JPEGImages --weights {net} --out {output} PLAIN",
    "run": "train DRAWN --run {output} S4NET --dry-run",
    "labels": "evaluate --voc {voc} --labels {given} --split train PLAIN",
    "predictions": "evaluate --voc {voc} --predictions {given} PLAIN --json",
    "tar": "pseudo-label {given}/x.tar --weights {net} --out {out} CLASSES LABEL",
    "config": "config check {given}",
}


def hostile_addresses(choose: random.Random) -> Iterator[Rest]:
    """Yield addresses of stores as inputs and as outputs."""
    for address in ADDRESSES:
        for role in choose.sample(list(LINES), 2):
            # What is no address is a path in the current folder. fsspec keeps its caches until the program ends.
            rewrites = "cwd" if role in ("out", "run") else "tmp" if "cache" in address else None
            yield f"{address[:60]!r}, {role}", _address(address, role), None, None, rewrites


def _address(address: str, role: str) -> Build:
    def build(place: Place) -> list[str]:
        (place.given / "x.zip").write_bytes(_zip())
        (place.given / "x.jpg").write_bytes(_picture())
        given = address.replace("GIVEN", str(place.given))
        # A local address is a path like any other. These lead to `given`, which is to stay as it is, and beside it.
        output = place.out if "GIVEN" in address or address == "file://../x" else given
        return [part.replace("\0", "\\0") for part in filled(LINES[role], place, given=given, output=output)]

    return build
