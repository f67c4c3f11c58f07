"""A folder of pictures as people have them: whole, odd, damaged, and some that are no pictures. Seeded."""

import io
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {
    "jpg": {"format": "JPEG"},
    "jpeg": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
    "tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff": {"format": "TIFF", "compression": "jpeg"},
}
DAMAGES = ("cut", "flips", "header", "zeros", "gap")
ODD_NAMES = (
    b"caf\xe9.jpg",
    b"n" * 251 + b".jpg",
    b"m" * 250 + b".jpeg",
    "ü日本語 🐈.jpg".encode(),
    b"new\nline.jpg",
    b"-dash.jpg",
    b"quote\"'<b>.jpg",
    b"%s {0} $x^$.jpg",
)


def scene(generator: np.random.Generator, size: tuple[int, int] = (48, 64)) -> Image.Image:
    """Return a bright box on a dark ground with noise."""
    pixels = generator.integers(0, 60, (*size, 3), dtype=np.uint8)
    pixels[size[0] // 4 : -(size[0] // 4) or None, size[1] // 4 : -(size[1] // 4) or None] += 150
    return Image.fromarray(pixels)


def encoded(image: Image.Image, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **how)  # type: ignore[arg-type]
    return file.getvalue()


def damaged(content: bytes, damage: str, generator: np.random.Generator) -> bytes:
    """Damage the bytes of a file as disks, networks and editors do."""
    data = np.frombuffer(content, np.uint8).copy()
    if damage == "cut":
        return content[: int(generator.integers(1, len(data)))]
    if damage == "flips":
        data[generator.integers(0, len(data), 8)] ^= generator.integers(1, 256, 8, dtype=np.uint8)
        return data.tobytes()
    if damage == "header":
        data[generator.integers(0, min(64, len(data)), 3)] ^= generator.integers(1, 256, 3, dtype=np.uint8)
        return data.tobytes()
    start = int(generator.integers(0, len(data)))
    if damage == "zeros":
        data[start : start + 200] = 0
        return data.tobytes()
    return content[:start] + content[start + 50 :]


def write_good(folder: Path, seed: int = 0) -> None:
    """Write pictures that are all usable, however odd: modes, sizes, names, rotation, animation."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for suffix, how in FORMATS.items():
        (folder / f"plain-{suffix}.{suffix}").write_bytes(encoded(scene(generator), **how))
    exif = Image.Exif()
    exif[274] = 6
    odd = scene(generator)
    quantized = odd.quantize(16)
    wide = np.asarray(odd.convert("L")).astype(np.uint16) * 257
    made = {
        "cmyk.jpg": encoded(odd.convert("CMYK"), format="JPEG"),
        "sixteen.png": encoded(Image.fromarray(wide), format="PNG"),
        "palette-alpha.png": encoded(quantized, format="PNG", transparency=bytes(range(0, 256, 16))),
        "animated.gif": encoded(odd, format="GIF", save_all=True, append_images=[scene(generator)]),
        "rotated.jpg": encoded(odd, format="JPEG", exif=exif),
        "one.png": encoded(Image.new("RGB", (1, 1), "red"), format="PNG"),
        "flat.png": encoded(Image.new("RGB", (20000, 1), "red"), format="PNG"),
        "tall.png": encoded(Image.new("RGB", (1, 20000), "red"), format="PNG"),
        "large.png": encoded(Image.new("RGB", (2000, 1500), "blue"), format="PNG"),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    for name in ODD_NAMES:
        (folder / os.fsdecode(name)).write_bytes(encoded(scene(generator), format="JPEG"))


def write_bad(folder: Path, count: int, seed: int = 0) -> None:
    """Add pictures that are damaged, and things that are none; `count` is the number of damaged files."""
    generator = np.random.default_rng(seed + 1)
    for number in range(count):
        suffix = list(FORMATS)[number % len(FORMATS)]
        damage = DAMAGES[number // len(FORMATS) % len(DAMAGES)]
        content = damaged(encoded(scene(generator), **FORMATS[suffix]), damage, generator)
        (folder / f"damaged-{number:03}-{damage}.{suffix}").write_bytes(content)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "bomb.png").write_bytes(bomb(20000, 10000))
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "album.jpg").mkdir()
    os.mkfifo(folder / "fifo.jpg")
    (folder / "forbidden.jpg").write_bytes(encoded(scene(generator), format="JPEG"))
    (folder / "forbidden.jpg").chmod(0)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says to have many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def write_tar(tar: Path, seed: int = 0) -> None:
    """Write a tar with a plain name, one that is not UTF-8, and one that is longer than a name of a file may be."""
    generator = np.random.default_rng(seed + 2)
    with tarfile.open(tar, "w", errors="surrogateescape") as archive:
        for name in ("plain.jpg", os.fsdecode(b"caf\xe9.jpg"), "l" * 300 + ".jpg"):
            content = encoded(scene(generator), format="JPEG")
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
