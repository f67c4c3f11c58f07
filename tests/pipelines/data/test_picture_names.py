import io

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


def test_what_was_matched_by_its_base_name_is_told() -> None:
    stream = io.StringIO()
    notes = Notes(Events(stream))
    PictureNames(IDS, notes).match(["a.jpg", "q/b.jpg", "c d.jpg"], "found.json")
    notes.tell()
    what = "found.json: names of pictures matched without their folder, case or suffix: 2"
    assert stream.getvalue() == f"{what} (q/b.jpg is sub/b, c d.jpg is sub/C d)\n"
