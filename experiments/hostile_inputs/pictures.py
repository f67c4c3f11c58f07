"""Damaged pictures of all formats that Pillow writes."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import cycle, product

from PIL import Image, ImageCms, PngImagePlugin

from experiments.hostile_inputs.commands import (
    HEIGHT,
    OVER_PICTURES,
    WIDTH,
    encoded,
    over_pictures,
    scene,
    write_pictures,
)
from experiments.hostile_inputs.place import Build, Place, Rest


def _exif(value: object) -> bytes:
    exif = Image.Exif()
    exif[274] = value
    return exif.tobytes()


_TEXT_FOR_SIX = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0"


def _text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 40_000_000, zip=True)
    return encoded(scene(1), "PNG", pnginfo=info)


def _png(
    width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes | None = None, interlace: int = 0
) -> bytes:
    """Return a PNG with a header of any numbers."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = zlib.compress(bytes(100) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _tiff(tags: list[tuple[int, int, int, int]], tail: bytes = bytes(64)) -> bytes:
    """Return a little-endian TIFF with these entries: tag, type, count, value."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tail


def _frames(count: int = 3) -> list[Image.Image]:
    return [scene(number + 10, size=(HEIGHT, WIDTH)) for number in range(count)]


_BASIC = [
    (256, 4, 1, 8),
    (257, 4, 1, 8),
    (258, 3, 1, 8),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, 120),
    (278, 4, 1, 8),
]
MADE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jpeg": (".jpg", lambda: encoded(scene(1), "JPEG")),
    "jpeg-progressive": (".jpeg", lambda: encoded(scene(1), "JPEG", progressive=True, subsampling=2)),
    "jpeg-cmyk": (".jpg", lambda: encoded(scene(1, "CMYK"), "JPEG")),
    "jpeg-grey": (".jfif", lambda: encoded(scene(1, "L"), "JPEG")),
    "mpo": (".jpg", lambda: encoded(scene(1), "MPO", save_all=True, append_images=_frames())),
    "png": (".png", lambda: encoded(scene(1), "PNG")),
    "png-16": (".png", lambda: encoded(scene(1, "I;16"), "PNG")),
    "png-palette": (".png", lambda: encoded(scene(1).quantize(7), "PNG", transparency=bytes(range(7)))),
    "png-1": (".png", lambda: encoded(scene(1, "1"), "PNG")),
    "png-alpha": (".png", lambda: encoded(scene(1, "LA"), "PNG")),
    "apng": (".png", lambda: encoded(scene(1), "PNG", save_all=True, append_images=_frames())),
    "webp": (".webp", lambda: encoded(scene(1), "WEBP")),
    "webp-lossless": (".webp", lambda: encoded(scene(1, "RGBA"), "WEBP", lossless=True)),
    "webp-animated": (".webp", lambda: encoded(scene(1), "WEBP", save_all=True, append_images=_frames())),
    "avif": (".avif", lambda: encoded(scene(1), "AVIF")),
    "avif-animated": (".avif", lambda: encoded(scene(1), "AVIF", save_all=True, append_images=_frames())),
    "gif": (".gif", lambda: encoded(scene(1, "P"), "GIF", save_all=True, append_images=_frames())),
    "tiff-pages": (".tif", lambda: encoded(scene(1), "TIFF", save_all=True, append_images=_frames())),
    "tiff-16": (".tiff", lambda: encoded(scene(1, "I;16"), "TIFF")),
    "tiff-float": (".tif", lambda: encoded(scene(1, "F"), "TIFF")),
    "tiff-cmyk": (".tif", lambda: encoded(scene(1, "CMYK"), "TIFF", compression="tiff_deflate")),
    "tiff-lab": (".tif", lambda: encoded(_lab(), "TIFF")),
    "tiff-g4": (".tif", lambda: encoded(scene(1, "1"), "TIFF", compression="group4")),
    "tiff-jpeg": (".tif", lambda: encoded(scene(1), "TIFF", compression="jpeg")),
    "tiff-big": (".tif", lambda: encoded(scene(1), "TIFF", big_tiff=True)),
    "bmp": (".bmp", lambda: encoded(scene(1), "BMP")),
    "bmp-palette": (".bmp", lambda: encoded(scene(1, "P"), "BMP")),
    "ppm": (".png", lambda: encoded(scene(1), "PPM")),
    "ico": (".png", lambda: encoded(scene(1), "ICO")),
    "jpeg-2000": (".jpg", lambda: encoded(scene(1), "JPEG2000")),
    "tga": (".bmp", lambda: encoded(scene(1), "TGA")),
    "icns": (".png", lambda: encoded(scene(1, size=(64, 64)), "ICNS")),
    "eps": (".jpg", lambda: encoded(scene(1), "EPS")),
    "dds": (".tif", lambda: encoded(scene(1), "DDS")),
}


def _lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(scene(1), ImageCms.buildTransform(*profiles, "RGB", "LAB"))  # type: ignore[return-value]


def _sized(content: bytes, choose: random.Random) -> bytes:
    """Say in the header that the picture is huge or empty."""
    for form in (">I", "<I", ">H", "<H"):
        for value in (WIDTH, HEIGHT):
            place = content.find(struct.pack(form, value))
            if 0 <= place < 300:
                number = choose.choice([0, 1, 65535, 40000, *([2**31 - 1, 2**32 - 1] if form[1] == "I" else [])])
                content = content[:place] + struct.pack(form, number) + content[place + struct.calcsize(form) :]
    return content


def _flipped(content: bytes, choose: random.Random, first: int | None = None) -> bytes:
    data = bytearray(content)
    for _ in range(choose.choice([1, 4, 16])):
        data[choose.randrange(min(len(data), first or len(data)))] ^= 1 << choose.randrange(8)
    return bytes(data)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "whole": lambda content, choose: content,
    "truncated": lambda content, choose: content[: choose.randrange(1, len(content))],
    "almost whole": lambda content, choose: content[: -choose.randrange(1, 12)],
    "bits flipped": _flipped,
    "header flipped": lambda content, choose: _flipped(content, choose, 80),
    "zeros": lambda content, choose: bytes(len(content)),
    "sizes": _sized,
    "tail": lambda content, choose: content + choose.randbytes(5000),
    "twice": lambda content, choose: content + content,
    "head of another": lambda content, choose: b"GIF89a" + content[6:],
    "numbers": lambda content, choose: _numbers(content, choose),
    "middle away": lambda content, choose: content[: len(content) // 3] + content[len(content) // 2 :],
}


def _numbers(content: bytes, choose: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(3):
        place = choose.randrange(max(1, len(data) - 4))
        data[place : place + 4] = choose.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4)])
    return bytes(data)


SPECIAL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "orientation 0": (".jpg", lambda: encoded(scene(1), "JPEG", exif=_exif(0))),
    "orientation 9": (".jpg", lambda: encoded(scene(1), "JPEG", exif=_exif(9))),
    "orientation 65535": (".webp", lambda: encoded(scene(1), "WEBP", exif=_exif(65535))),
    "orientation a text": (".jpg", lambda: encoded(scene(1), "JPEG", exif=_TEXT_FOR_SIX)),
    "orientations": (".jpg", lambda: encoded(scene(1), "JPEG", exif=_exif((6, 8, 3)))),
    "exif is noise": (".jpg", lambda: encoded(scene(1), "JPEG", exif=b"Exif\0\0" + bytes(range(256)) * 4)),
    "exif of TIFF loops": (
        ".jpg",
        lambda: encoded(
            scene(1), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\x08\0\0\0\x08\0\0\0"
        ),
    ),
    "exif in PNG": (".png", lambda: encoded(scene(1), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")),
    "ICC is noise": (".jpg", lambda: encoded(scene(1), "JPEG", icc_profile=bytes(range(256)) * 100)),
    "ICC is huge": (".png", lambda: encoded(scene(1), "PNG", icc_profile=bytes(30_000_000))),
    "ICC in TIFF": (".tif", lambda: encoded(scene(1), "TIFF", icc_profile=b"x")),
    "text bomb": (".png", _text_bomb),
    "PNG 2^31": (".png", lambda: _png(2**31 - 1, 2**31 - 1)),
    "PNG of no width": (".png", lambda: _png(0, 5)),
    "PNG just over": (".png", lambda: _png(7072, 7071)),
    "PNG just under": (".png", lambda: _png(7071, 7071, rows=bytes((7071 * 3 + 1) * 7071))),
    "PNG of 16 bit, 48 MP": (".png", lambda: _png(6900, 6900, 16, 6, bytes((6900 * 8 + 1) * 6900))),
    "PNG interlaced, 48 MP": (".png", lambda: _png(6900, 6900, 8, 0, bytes(6900 * 6901), 1)),
    "PNG of depth 3": (".png", lambda: _png(8, 8, 3)),
    "PNG of colour 9": (".png", lambda: _png(8, 8, 8, 9)),
    "PNG wide": (".png", lambda: _png(49_000_000, 1, 8, 0, bytes(49_000_001))),
    "PNG too much data": (".png", lambda: _png(8, 8, rows=bytes(100_000_000))),
    "GIF of 65535": (
        ".gif",
        lambda: b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;",
    ),
    "GIF of 7000": (".gif", lambda: encoded(Image.new("P", (7000, 7000)), "GIF")),
    "WebP of 16383": (".webp", lambda: encoded(Image.new("RGB", (16383, 3000)), "WEBP", quality=1, method=0)),
    "JPEG of 7000": (".jpg", lambda: encoded(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True)),
    "TIFF of a circle": (".tif", lambda: _tiff(_BASIC)[:-68] + struct.pack("<I", 8) + bytes(64)),
    "TIFF of 2^32 strips": (".tif", lambda: _tiff([*_BASIC[:5], (273, 4, 2**32 - 1, 8), (278, 4, 1, 1)])),
    "TIFF without strips": (".tif", lambda: _tiff(_BASIC[:5])),
    "TIFF of 200 channels": (".tif", lambda: _tiff([*_BASIC, (277, 3, 1, 200)])),
    "TIFF of tiles": (
        ".tif",
        lambda: _tiff([*_BASIC[:5], (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 9)]),
    ),
    "TIFF with JPEG 1992": (".tif", lambda: _tiff([*_BASIC[:3], (259, 3, 1, 6), *_BASIC[4:]])),
    "TIFF without tags": (".tif", lambda: b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "TIFF in a TIFF": (".tif", lambda: _tiff([*_BASIC, (330, 4, 2**30, 8), (34665, 4, 1, 8)])),
    "BMP of negative height": (
        ".bmp",
        lambda: encoded(scene(1), "BMP")[:22] + struct.pack("<i", -(2**31)) + encoded(scene(1), "BMP")[26:],
    ),
    "BMP of RLE": (
        ".bmp",
        lambda: (
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 30000, 1600, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(40)
        ),
    ),
    "ICO in ICO": (
        ".ico",
        lambda: b"\0\0\1\0\1\0" + b"\0\0\0\0\1\0\x20\0" + struct.pack("<II", 30, 6) + b"\0\0\1\0\1\0",
    ),
    "AVIF of a circle": (".avif", lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\0\0\0\1meta" + b"\xff" * 8),
    "SVG": (".png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9e9' height='9e9'/>"),
    "a tar": (".jpg", lambda: bytes(10240)),
    "a byte": (".jpg", lambda: b"\xff"),
    "JPEG of no picture": (".jpg", lambda: b"\xff\xd8\xff\xd9"),
    "JPEG of many markers": (".jpg", lambda: b"\xff\xd8" + b"\xff\xfe\xff\xff" * 200_000 + b"\xff\xd9"),
    "JPEG, quantiser away": (".jpg", lambda: encoded(scene(1), "JPEG").replace(b"\xff\xdb", b"\xff\xfe")),
    "JPEG of 12 bits": (
        ".jpg",
        lambda: encoded(scene(1), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    ),
    "JPEG lossless": (".jpg", lambda: encoded(scene(1), "JPEG").replace(b"\xff\xc0\0", b"\xff\xc3\0")),
    "MPO of a wrong index": (
        ".jpg",
        lambda: encoded(scene(1), "MPO", save_all=True, append_images=_frames()).replace(b"MPF\0", b"MPF\0\xff\xff"),
    ),
}


def damaged_pictures(choose: random.Random) -> Iterator[Rest]:
    """Yield pictures of every format, damaged, each for a command."""
    commands = cycle(choose.sample(list(OVER_PICTURES), len(OVER_PICTURES)))
    for (form, damage), command in zip(product(MADE, DAMAGES), commands, strict=False):
        yield f"{form}, {damage}, {command}", _one_picture(form, damage, command)
    for name in SPECIAL:
        for command in choose.sample(list(OVER_PICTURES), 2):
            yield f"{name}, {command}", _special(name, command)


def _one_picture(form: str, damage: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        suffix, make = MADE[form]
        content = DAMAGES[damage](make(), place.choose)
        files = {f"first{suffix}": content, f"zzz{place.choose.choice(['.jpg', '.png', '.tif', suffix])}": content}
        write_pictures(place, files, good=place.choose.choice([0, 2, 2, 2]))
        return over_pictures(command, place)

    return build


def _special(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        suffix, make = SPECIAL[name]
        write_pictures(place, {f"special{suffix}": make()})
        return over_pictures(command, place)

    return build
