import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data import tar_shards
from pipelines.data.images import IMAGE_SUFFIXES, find_image_files, find_images, image_size, open_image
from pipelines.data.tar_shards import TarMember, index_tar, open_member, read_member
from pipelines.errors import InputError

ROOT = Path(__file__).parents[3]
Entry = tuple[str, bytes]


def picture(value: int = 0, kind: str = "PNG", side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side + 2), (value, 0, 0)).save(buffer, format=kind)
    return buffer.getvalue()


def write_tar(path: Path, *entries: Entry, form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_special(path: Path, info: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.addfile(info)
    return path


def refusal(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        find_images(folder)
    return caught.value


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_in_place_and_opened_like_files(form: int, tmp_path: Path) -> None:
    long = f"{'a' * 90}/{'b' * 60}/x.png"
    entries = [("one.png", picture(1)), ("n02123045/two.JPEG", picture(200, "JPEG")), (long, picture(3))]
    write_tar(tmp_path / "sub" / "shard-000000.tar", *entries, form=form)
    (tmp_path / "plain.png").write_bytes(picture(4))
    found = find_images(tmp_path)
    shard = "sub/shard-000000"
    assert list(found) == sorted(["plain", f"{shard}/one", f"{shard}/n02123045/two", f"{shard}/{long[:-4]}"])
    assert open_image(found[f"{shard}/one"])[0, 0].tolist() == [1, 0, 0]
    assert open_image(found[f"{shard}/{long[:-4]}"])[0, 0].tolist() == [3, 0, 0]
    assert abs(int(open_image(found[f"{shard}/n02123045/two"])[0, 0, 0]) - 200) < 5
    assert image_size(found[f"{shard}/one"]) == (10, 8)
    assert found[f"{shard}/one"].relative_to(tmp_path).as_posix() == f"{shard}/one.png"
    assert str(found[f"{shard}/one"]) == f"{tmp_path}/sub/shard-000000.tar:one.png"
    assert found[f"{shard}/one"].name == "shard-000000.tar:one.png"
    assert list(find_image_files(tmp_path)) == ["plain"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["plain.png", "shard-000000.tar", "sub"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_is_read_from_a_tar(kind: str, tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", ("pad.txt", b"x" * 700), ("a.png", picture(9, kind)), ("b.png", picture(5)))
    (tmp_path / "a.png").write_bytes(picture(9, kind))
    found = find_images(tmp_path)
    np.testing.assert_array_equal(open_image(found["s/a"]), open_image(found["a"]))


def test_a_picture_reads_its_own_bytes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(f"{number}.png", picture(number, side=200)) for number in range(50)]
    tar = write_tar(tmp_path / "s.tar", ("big.bin", bytes(5_000_000)), *entries)
    read: list[int] = []

    class Counting(tar_shards._Member):
        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            read.append(super().readinto(buffer))
            return read[-1]

    monkeypatch.setattr(tar_shards, "_Member", Counting)
    members, _ = index_tar(tar, IMAGE_SUFFIXES)
    assert len(members) == 50
    assert sum(read) < 52 * 2 * io.DEFAULT_BUFFER_SIZE < 5_000_000  # a buffer a header, and one behind each member
    read.clear()
    open_image(members[7])
    assert sum(read) <= members[7].size


def test_a_window_ends_where_its_member_ends(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "s.tar", ("a.png", b"abcdef"), ("b.png", b"XYZ"))
    (a, b), _ = index_tar(tar, IMAGE_SUFFIXES)
    with open_member(a) as file:
        assert file.read() == b"abcdef"
        assert file.seek(-2, io.SEEK_END) == 4
        assert file.read(9) == b"ef" and file.read(1) == b""
        assert file.seek(2) == 2 and file.seek(1, io.SEEK_CUR) == 3 and file.read(1) == b"d"
        assert file.seek(99) == 99 and file.read(1) == b""
        with pytest.raises(OSError, match="before"):
            file.seek(-1)
    assert read_member(b, 2) == b"XY"


def test_a_tar_for_each_synset_inside_one_tar_is_read_in_place(tmp_path: Path) -> None:
    inner = write_tar(tmp_path / "inner.tar", ("n02123045_1.JPEG", picture(7)), ("n02123045_2.JPEG", picture(8)))
    content = inner.read_bytes()
    inner.unlink()
    write_tar(tmp_path / "train.tar", ("n02123045.tar", content), ("n02084071.tar", content))
    found = find_images(tmp_path)
    assert list(found) == [f"train/{s}/n02123045_{i}" for s in ("n02084071", "n02123045") for i in (1, 2)]
    assert open_image(found["train/n02123045/n02123045_2"])[0, 0, 0] == 8


def test_hidden_members_folders_and_other_files_are_left_out(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./folder.png/")
    folder.type = tarfile.DIRTYPE
    names = ["._a.png", ".cache/b.png", "./c.png", "notes.md", "d/._e.png"]
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.addfile(folder)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(picture())
            archive.addfile(info, io.BytesIO(picture()))
    write_tar(tmp_path / "no-picture.tar", ("a.md", b""))
    assert list(find_images(tmp_path)) == ["s/c"]


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "../x.cls"])
def test_names_that_lead_out_of_the_tar_are_refused(name: str, tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", ("a.png", picture()), (name, b""))
    error = refusal(tmp_path)
    assert error.rule == "shard-path"
    assert f"s.tar:{name}" in str(error)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    write_special(tmp_path / "s.tar", info)
    error = refusal(tmp_path)
    assert error.rule == "shard-link" and "s.tar:a.jpg" in str(error) and "--dereference" in str(error)


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.tgz"])
@pytest.mark.parametrize("press", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_tars_are_refused_with_what_to_do(
    press: Callable[[bytes], bytes], name: str, tmp_path: Path
) -> None:
    content = write_tar(tmp_path / "plain.tar", ("a.png", picture())).read_bytes()
    (tmp_path / "plain.tar").unlink()
    (tmp_path / name).write_bytes(press(content))
    error = refusal(tmp_path)
    assert error.rule == "shard-compressed"
    assert name in str(error) and "cannot be read in place" in str(error) and "unpack it" in str(error)


def test_a_tar_cut_off_anywhere_is_refused_or_has_all_its_pictures(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", ("a.png", picture()), ("b.png", picture()))
    content = path.read_bytes()
    ends = 0
    for length in range(0, 4 * 512 + 1, 64):
        path.write_bytes(content[:length])
        try:
            # Each member is a header of 512 bytes and its content in one block of 512; a tar without its end mark
            # is taken, as tar itself does.
            assert len(find_images(tmp_path)) == length // 1024
            ends += 1
        except InputError as error:
            assert error.rule == "shard-damaged"
    assert ends == 2


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", ("a.png", picture()), ("b.png", picture()))
    content = bytearray(path.read_bytes())
    content[1024 + 10] ^= 1
    path.write_bytes(content)
    assert refusal(tmp_path).rule == "shard-damaged"


def test_a_header_that_points_backwards_ends_the_reading(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", ("a.png", b""), ("b.png", b""))
    content = bytearray(path.read_bytes())
    header = content[512:1024]
    header[124:136] = (-512).to_bytes(12, "big", signed=True)  # GNU's binary form of a size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[512:1024] = header
    path.write_bytes(content)
    assert refusal(tmp_path).rule == "shard-damaged"


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(b"<html>404</html>" * 100)
    assert refusal(tmp_path).rule == "shard-damaged"
    (tmp_path / "s.tar").write_bytes(b"")
    assert refusal(tmp_path).rule == "shard-damaged"


def test_a_tar_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shard-unreadable"):
        index_tar(tmp_path / "none.tar", IMAGE_SUFFIXES)
    with pytest.raises(InputError, match=r"none\.tar:a\.png.*image-missing"):
        open_image(TarMember(tmp_path / "none.tar", "a.png", 0, 9))


def test_a_tar_that_is_gone_leaves_no_half_made_file(tmp_path: Path) -> None:
    # From Python 3.13 on, an error while such a file is thrown away is printed. In development mode older ones do so.
    use = f"""
from pathlib import Path
from pipelines.data.tar_shards import TarMember, open_member
try:
    open_member(TarMember(Path({str(tmp_path / "none.tar")!r}), "a.png", 0, 9))
except FileNotFoundError:
    print("told")
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", use], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("told\n", "")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", *[(name, picture()) for name in ("a.png", "a.png", "b.png", "c.png", "c.png")])
    error = refusal(tmp_path)
    tar = tmp_path / "s.tar"
    assert (error.rule, error.message.partition(": ")[0]) == ("image-id-twice", f"{tar}:a.png, {tar}:c.png")
    write_tar(tmp_path / "s.tar", ("a.png", picture()))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.png").write_bytes(picture())  # unpacked beside its tar
    error = refusal(tmp_path)
    assert error.rule == "image-id-twice" and "s.tar:a.png" in str(error)


def test_limits_and_damage_are_those_of_files(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", ("cut.png", picture(side=99)[:-30]), ("none.png", b""), ("text.png", b"<html>"))
    found = find_images(tmp_path)
    for name, rule in (("cut", "image-damaged"), ("none", "image-damaged"), ("text", "image-format")):
        with pytest.raises(InputError, match=rf"s\.tar:{name}\.png: .*{rule}"):
            open_image(found[f"s/{name}"])
    with pytest.raises(InputError, match=r"s\.tar:cut\.png: picture is 99x101.*image-too-large"):
        open_image(found["s/cut"], max_pixels=99 * 101 - 1)


def test_names_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", ("bild_.png", picture()), form=tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    content[4] = 0xFF
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    assert list(find_images(tmp_path)) == ["s/bild\udcff"]


def test_a_damaged_byte_of_a_header_is_an_error_or_changes_what_it_says(tmp_path: Path) -> None:
    path, dice = write_tar(tmp_path / "a.tar", ("a.png", b"x" * 20), ("a.cls", b"1")), random.Random(0)
    whole = path.read_bytes()
    for place in dice.sample(range(512), 150) + dice.sample(range(1024, 1536), 50):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ dice.randrange(1, 256)]) + whole[place + 1 :])
        try:
            pictures, _ = index_tar(path, (".png",))
            assert all(len(read_member(one, 100)) <= 100 for one in pictures)
        except InputError as error:
            assert error.rule.startswith(("shard-", "image-id-")), place
