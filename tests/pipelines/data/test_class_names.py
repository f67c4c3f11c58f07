import io

import pytest

from pipelines.data.class_names import NameMatcher, name_key
from pipelines.data.classes import VOC_CLASSES
from pipelines.data.notes import Notes
from pipelines.events import Events

VOC = NameMatcher(VOC_CLASSES)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cat", "cat"),
        ("Cat", "cat"),
        (" CAT ", "cat"),
        ("cats", "cat"),
        ("dining table", "diningtable"),
        ("Dining_Table", "diningtable"),
        ("dining-tables", "diningtable"),
        ("tv/monitor", "tvmonitor"),
        ("tv_monitor", "tvmonitor"),
        ("TV", "tvmonitor"),
        ("tvs", "tvmonitor"),
        ("potted plant", "pottedplant"),
        ("airplane", "aeroplane"),
        ("Airplanes", "aeroplane"),
        ("motorcycle", "motorbike"),
        ("couch", "sofa"),
        ("couches", "sofa"),
        ("people", "person"),
        ("persons", "person"),
        ("buses", "bus"),
        ("sheep", "sheep"),
        ("horses", "horse"),
        ("catz", None),
        ("zebra", None),
        ("bu", None),
        ("", None),
    ],
)
def test_words_find_the_classes_of_voc(word: str, name: str | None) -> None:
    assert VOC.find(word) == name


@pytest.mark.parametrize(
    ("names", "word", "name"),
    [
        (["airplane", "couch"], "aeroplane", "airplane"),  # COCO's names in the list, VOC's in the files
        (["airplane", "couch"], "Sofa", "couch"),
        (["Dogs", "cats"], "dog", "Dogs"),
        (["puppies", "knives"], "puppy", "puppies"),
        (["puppy", "knife", "wolf"], "knives", "knife"),
        (["puppy", "knife", "wolf"], "wolves", "wolf"),
        (["dog", "Dog"], "dog", "dog"),
        (["dog", "Dog"], "DOG", None),  # which one is not known
        (["glass", "glasses"], "Glasses", "glasses"),
        (["äpfel"], "A\u0308pfel", "äpfel"),  # as macOS writes the names of folders
    ],
)
def test_words_find_the_classes_of_a_list(names: list[str], word: str, name: str | None) -> None:
    assert NameMatcher(names).find(word) == name


def test_a_key_leaves_out_what_people_write_in_different_ways() -> None:
    assert name_key("  TV / Monitor-2_x ") == "tvmonitor2x"


def test_what_was_matched_is_told_in_one_line() -> None:
    stream = io.StringIO()
    notes = Notes(Events(stream))
    matcher = NameMatcher(["cat", "dog"])
    for word in ("Cat", "dogs", "cat", "zebra", "Cat"):
        matcher.find(word)
    matcher.tell(notes)
    matcher.tell(notes)
    assert stream.getvalue() == "names of classes that are spelled otherwise: 'Cat' is cat, 'dogs' is dog\n"
