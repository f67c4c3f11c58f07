import io
from pathlib import Path

import pytest

from pipelines.data.notes import Notes
from pipelines.data.picture_names import PictureNames
from pipelines.events import Events

IDS = ["a", "sub/b", "sub/C d", "x/same", "y/same"]


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("a", "a"),
        ("a.jpg", "a"),
        ("./a.PNG", "a"),
        ("/JPEGImages/a.jpg", "a"),
        ("sub\\b.jpg", "sub/b"),
        ("SUB/B.JPG", "sub/b"),
        ("sub/c%20d.jpg", "sub/C d"),
        ("b.jpg", "sub/b"),
        ("train/b.jpg", "sub/b"),
        ("C:\\pictures\\B.jpg", "sub/b"),
        ("https://host/?d=upload/c%20D.png", "sub/C d"),
        ("x/same.jpg", "x/same"),
        ("z/same.jpg", None),  # two pictures have this base name
        ("c.jpg", None),
    ],
)
def test_a_name_finds_its_picture(name: str, image_id: str | None) -> None:
    assert PictureNames(IDS).match([name], "file").get(name) == image_id


def test_a_base_name_must_be_unique_in_the_file_too() -> None:
    assert PictureNames(IDS).match(["p/b.jpg", "q/b.jpg"], "file") == {}
    # A picture that is named exactly takes no second name.
    assert PictureNames(IDS).match(["sub/b.jpg", "q/b.jpg"], "file") == {"sub/b.jpg": "sub/b"}


@pytest.mark.parametrize(
    ("file", "names", "own"),
    [
        (None, ["a.jpg", "a.png"], []),
        ("a.jpg", ["a.jpg", "a.png"], ["a.jpg"]),
        ("a.jpg", ["a.PNG", "a.JPG"], ["a.JPG"]),
        ("a.bmp", ["a.jpg", "a.png"], []),
        ("a.bmp", ["a.jpg"], ["a.jpg"]),  # another suffix, and nothing else that it could be
        (None, ["a", "a.jpg"], []),
        (None, ["JPEGImages/a.jpg", "a.jpg"], []),
        ("a.jpg", ["JPEGImages/a.jpg", "a.jpg"], ["a.jpg"]),
        ("a.jpg", ["a", "a.JPG"], ["a.JPG"]),
    ],
)
def test_two_names_never_mean_one_picture(file: str | None, names: list[str], own: list[str]) -> None:
    stream = io.StringIO()
    notes = Notes(Events(stream))
    ids = ["a"] if file is None else {"a": Path(file)}
    assert PictureNames(ids, notes).match(names, "found.json") == dict.fromkeys(own, "a")
    notes.tell()
    left = [name for name in names if name not in own]
    why = "another one means the same picture" if own else "several mean one picture, and none is its file"
    what = f"warning: found.json: names left out, because {why}"
    assert stream.getvalue() == (f"{what}: {len(left)} ({', '.join(left)})\n" if left else "")


def test_several_spellings_count_where_they_are_asked_for() -> None:
    names = PictureNames({"a": Path("a.jpg")})
    assert names.match(["a", "a.jpg", "./a.jpg", "a.png"], "file", spellings=True).keys() == {"a", "a.jpg", "./a.jpg"}


def test_what_was_matched_by_its_base_name_is_told() -> None:
    stream = io.StringIO()
    notes = Notes(Events(stream))
    PictureNames(IDS, notes).match(["a.jpg", "q/b.jpg", "c d.jpg"], "found.json")
    notes.tell()
    what = "found.json: names of pictures matched without their folder, case or suffix: 2"
    assert stream.getvalue() == f"{what} (q/b.jpg is sub/b, c d.jpg is sub/C d)\n"
