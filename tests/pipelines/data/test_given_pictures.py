"""Pictures named one by one, by patterns, and by their folders."""

import io
import tarfile
from pathlib import Path

import fsspec
import pytest

from pipelines.data.given_pictures import given_pictures
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.stores.paths import to_path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat/a.jpg", "cat/b.JPG", "cat/notes.txt", "dog/a.png", "dog/in/c.webp", "e.jpg"):
        path = Path("pictures", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(*inputs: str) -> tuple[str, list[str]]:
    """The folder from which the ids lead, and the ids."""
    root, pictures, _ = given_pictures([Path(one) for one in inputs])
    assert all(str(place).startswith(str(root)) for place in pictures.values())
    return str(root.absolute().relative_to(Path.cwd())), list(pictures)


def test_ids_of_one_folder_lead_from_that_folder() -> None:
    assert found("pictures/cat") == ("pictures/cat", ["a", "b"])
    assert found("pictures") == ("pictures", ["cat/a", "cat/b", "dog/a", "dog/in/c", "e"])


def test_a_single_picture_has_its_name_whatever_its_suffix() -> None:
    assert found("pictures/cat/a.jpg") == ("pictures/cat", ["a"])
    assert found("pictures/cat/notes.txt") == ("pictures/cat", ["notes"])  # the content decides


def test_ids_of_several_inputs_lead_from_the_folder_that_holds_all() -> None:
    assert found("pictures/cat/a.jpg", "pictures/dog/a.png") == ("pictures", ["cat/a", "dog/a"])
    assert found("pictures/dog", "pictures/cat") == ("pictures", ["cat/a", "cat/b", "dog/a", "dog/in/c"])
    assert found("pictures/e.jpg", "pictures/dog/in") == ("pictures", ["dog/in/c", "e"])


def test_a_picture_that_is_named_twice_is_one_picture() -> None:
    assert found("pictures/cat/a.jpg", "pictures/dog/../cat/a.jpg", "pictures/cat") == ("pictures/cat", ["a", "b"])


def test_patterns_stand_for_pictures_and_folders_alone() -> None:
    assert found("pictures/cat/*") == ("pictures/cat", ["a", "b"])
    assert found("pictures/*") == ("pictures", ["cat/a", "cat/b", "dog/a", "dog/in/c", "e"])
    assert found("pictures/**/*.png") == ("pictures/dog", ["a"])
    with pytest.raises(InputError, match=r"\*\.txt: fits 1 files and no picture.*\[folder-empty\]"):
        found("pictures/cat/*.txt")


def test_what_is_not_there_is_an_error() -> None:
    for name in ("pictures/none.jpg", "pictures/*.gif"):
        with pytest.raises(InputError, match=r"no such picture or folder.*\[image-missing\]"):
            found(name)


@pytest.mark.parametrize("others", [(), ("memory://folder/b.jpg",)])
def test_a_picture_at_the_top_of_a_store_is_an_error(others: tuple[str, ...]) -> None:
    store = fsspec.filesystem("memory")
    for name in ("a.jpg", "folder/b.jpg"):
        store.pipe(f"/{name}", b"")
    try:
        with pytest.raises(InputError, match=r"memory://a\.jpg: is in no folder of its store.*\[image-missing\]"):
            given_pictures([to_path(name) for name in ("memory://a.jpg", *others)])
    finally:
        store.rm("/a.jpg"), store.rm("/folder", recursive=True)


def test_two_pictures_of_one_name_are_an_error() -> None:
    for name in ("a.png", "a.gif", "f.jpg", "f.PNG"):
        (Path("pictures/cat") / name).touch()
    pairs = r"2 of the names .*\(cat/a\.gif and cat/a\.jpg and cat/a\.png; cat/f\.PNG and cat/f\.jpg\)"
    with pytest.raises(InputError, match=rf"/pictures: {pairs}.*\[image-id-twice\]"):
        found("pictures/cat/*", "pictures/cat/a.jpg", "pictures/e.jpg")


def test_a_tar_without_a_picture_is_told() -> None:
    tarfile.open("pictures/x.tar", "w").close()
    with pytest.raises(InputError, match=r"no picture in it.*\[folder-empty\]"):
        found("pictures/x.tar")


def test_a_tar_counts_as_a_folder_of_its_name() -> None:
    with tarfile.open("pictures/x.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("k.jpg"), io.BytesIO())
    assert found("pictures/x.tar") == ("pictures", ["x/k"])
    assert found("pictures/x.tar", "pictures/e.jpg") == ("pictures", ["e", "x/k"])


def test_ignored_files_are_told_by_suffix_in_folders_tars_and_patterns() -> None:
    Path("pictures/cat/x.NEF").touch()
    with tarfile.open("pictures/x.tar", "w") as tar:
        for name in ("k.jpg", "k.csv"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    for given, line in (
        ("pictures/cat", "pictures/cat: 2 files ignored: 1 .txt, 1 .NEF (convert to JPEG or PNG)"),
        ("pictures/cat/*", "pictures/cat/*: 2 files ignored: 1 .txt, 1 .NEF (convert to JPEG or PNG)"),
        ("pictures/x.tar", "x.tar: 1 file ignored: .csv"),
    ):
        told = io.StringIO()
        given_pictures([Path(given)], Notes(Events(told)))
        assert line in told.getvalue()
