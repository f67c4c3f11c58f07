import io
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from pipelines.data.images import find_images, image_size, open_image
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.events import Events


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def told(folder: Path) -> tuple[list[str], list[str]]:
    """Return the ids of the pictures in a folder, and the lines that were told."""
    stream = io.StringIO()
    notes = Notes(Events(stream))
    found = find_images(folder, notes)
    notes.tell()
    return list(found), stream.getvalue().replace(str(folder), "pictures").splitlines()


def test_ignored_files_are_counted_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.txt", "sub/c.txt", "d.CR2", "README", "e.xml", "Thumbs.db", ".DS_Store")
    assert told(tmp_path) == (
        ["a"],
        ["warning: pictures: 4 files ignored: 2 .txt, 1 without suffix, 1 .CR2 (convert to JPEG or PNG)"],
    )


def test_a_picture_without_its_decoder_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.data.images._has_decoder", lambda kind: False)
    touch(tmp_path, "a.jpg", "b.HEIC")
    assert told(tmp_path) == (
        ["a"],
        ["warning: pictures: 1 file ignored: .HEIC (install pillow-heif: pip install 's4-segmentation[heic]')"],
    )
    monkeypatch.setattr("pipelines.data.images._has_decoder", lambda kind: True)
    assert told(tmp_path) == (["a", "b"], [])


def test_nothing_is_told_of_pictures_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.JPG", "c.jfif", "d.Webp", "e.xml")
    assert told(tmp_path) == (["a", "b", "c", "d"], [])


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "album.jpg").mkdir()
    touch(tmp_path, "album.jpg/inside.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the path of a socket may have some hundred characters at most
        server.bind("socket.jpg")
    found, lines = told(tmp_path)
    assert found == ["a", "album.jpg/inside", "link"]
    kinds = (
        "album.jpg (a folder), fifo.jpg (a FIFO), gone.jpg (a link that leads nowhere), null.jpg (a device), "
        "self.jpg (a link to itself)"
    )
    assert lines == [f"warning: pictures: left out, because they are no files: 6 ({kinds}, ...)"]
    for read in (open_image, image_size):  # a list may name such a file
        for name in ("fifo.jpg", "null.jpg"):
            with pytest.raises(InputError, match=r"is a (FIFO|device), expected.*image-not-file"):
                read(tmp_path / name)


def test_all_names_that_are_there_twice_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "anim.gif", "anim.webp", "b.jpg", "sub/c.png", "sub/c.jpg", "sub/c.bmp")
    with pytest.raises(InputError) as caught:
        find_images(tmp_path)
    assert caught.value.rule == "image-id-twice"
    assert (
        "2 of the names stand for several pictures (anim.gif and anim.webp; sub/c.bmp and sub/c.jpg and sub/c.png)"
        in str(caught.value)
    )


def test_avif_and_jfif_are_read(tmp_path: Path) -> None:
    for name, kind in (("a.avif", "AVIF"), ("b.jfif", "JPEG")):
        Image.new("RGB", (30, 20), (200, 100, 50)).save(tmp_path / name, format=kind)
        assert open_image(tmp_path / name).shape == (20, 30, 3)
        assert abs(open_image(tmp_path / name).astype(int) - (200, 100, 50)).max() <= 6
    assert list(find_images(tmp_path)) == ["a", "b"]


def test_heic_is_read_with_its_decoder(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    stored = Image.new("RGB", (64, 32), (200, 100, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, seen standing
    heif.from_pillow(stored).save(tmp_path / "a.HEIC", exif=exif.tobytes())
    assert list(find_images(tmp_path)) == ["a"]
    assert open_image(tmp_path / "a.HEIC").shape[:2] == image_size(tmp_path / "a.HEIC")
