"""Folders as people name them: which say a class, which a part of a data set, and which say nothing."""

import io
import tarfile
from pathlib import Path

import pytest

from pipelines.data.classes import ClassList, load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.events import Events

VOC = load_classes("voc")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / "pictures" / (name if "." in name else f"{name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root / "pictures"


def read(folder: Path, classes: ClassList = VOC, allow: bool = True) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the keywords, and the lines that were told."""
    stream = io.StringIO()
    notes = Notes(Events(stream))
    table = read_keywords("auto", find_images(folder), folder, classes, None, notes, allow)
    notes.tell()
    return table, stream.getvalue().replace(str(folder), "pictures").splitlines()


def rule_of(folder: Path, classes: ClassList = VOC, allow: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, classes, allow)
    return caught.value.rule


def test_folders_are_named_as_people_do(tmp_path: Path) -> None:
    names = ["cat", "Dog", "dogs", "dining table", "tv_monitor", "n02084071"]
    table, told = read(touch(tmp_path, *(f"{name}/a" for name in names)), allow=False)
    words = ["cat", "dog", "dog", "diningtable", "tvmonitor", "dog"]
    assert table == {f"{name}/a": (word,) for name, word in zip(names, words, strict=True)}
    spelled = "'Dog' is dog, 'dining table' is diningtable, 'dogs' is dog, 'tv_monitor' is tvmonitor"
    assert told == [f"names of classes that are spelled otherwise: {spelled}"]


def test_parts_of_a_data_set_are_no_classes(tmp_path: Path) -> None:
    folder = touch(tmp_path, "train/dog/1", "train/Dog/1", "train/zebra/1", "train/n01440764/1", "train/n02123045/1")
    touch(tmp_path, "val/dog/1", "val/zebra/1", "val/2")
    table, told = read(folder)
    assert table == {
        "train/dog/1": ("dog",),
        "train/Dog/1": ("dog",),
        "train/n02123045/1": ("cat",),
        "val/dog/1": ("dog",),
    }
    assert "pictures: 1 pictures of classes that are not in use are left out (train/n01440764 1)" in told
    left = "3 of 8 pictures are in folders that name no class of the list (train/zebra 1; val 1; val/zebra 1)"
    assert f"warning: pictures: {left}; they are left out" in told


@pytest.mark.parametrize(
    "names",
    [
        ("train/images/1", "valid/images/2"),  # YOLO
        ("train/1", "val/2"),
        ("train/zebra/1",),
        ("images/train/1", "images/val/2"),
        ("Train/1", "Test/2"),
    ],
)
def test_layouts_of_data_sets_say_no_class(names: tuple[str, ...], tmp_path: Path) -> None:
    assert rule_of(touch(tmp_path, *names)) == "keywords-none"


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("train/1",), VOC),  # nothing else names a class
        (("train/1", "bus/2", "car/3"), VOC),  # a folder beside those of other classes
        (("train/1", "val/2"), ClassList.from_names(["train", "val"])),  # somebody chose these names
    ],
)
def test_a_class_may_be_named_like_a_part_of_a_data_set(
    names: tuple[str, ...], classes: ClassList, tmp_path: Path
) -> None:
    table, _ = read(touch(tmp_path, *names), classes)
    assert table == {name: (name.split("/")[0],) for name in names}


def test_a_chosen_list_takes_its_word_only_where_pictures_lie_in_the_folder(tmp_path: Path) -> None:
    classes = ClassList.from_names(["train", "dog"])
    table, _ = read(touch(tmp_path, "train/dog/1", "train/zebra/1", "val/dog/1"), classes)
    assert table == {"train/dog/1": ("dog",), "val/dog/1": ("dog",)}


def test_tars_named_like_parts_leave_the_word_to_the_text_beside(tmp_path: Path) -> None:
    folder = touch(tmp_path)
    folder.mkdir()
    for name in ("train", "val"):
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for member, content in (("0001.jpg", b""), ("0001.cls", b"Cat")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    assert read(folder)[0] == {"train/0001": ("cat",), "val/0001": ("cat",)}
    (folder / "val.tar").unlink()  # alone, its name might be the class
    assert read(folder)[0] == {"train/0001": ("cat",)}


def test_a_tenth_of_the_pictures_may_be_left_out(tmp_path: Path) -> None:
    folder = touch(tmp_path, *(f"cat/{number}" for number in range(9)), "zebra/1")
    table, told = read(folder, allow=False)
    assert len(table) == 9
    left = "1 of 10 pictures are in folders that name no class of the list (zebra 1)"
    assert told == [f"warning: pictures: {left}; they are left out"]
    touch(tmp_path, "dgo/2")
    with pytest.raises(InputError) as caught:
        read(folder, allow=False)
    assert caught.value.rule == "keywords-unplaced"
    message = str(caught.value)
    assert "2 of 11 pictures" in message and "dgo 1, did you mean dog?; zebra 1" in message
    assert "--allow-unplaced" in message
    assert len(read(folder, allow=True)[0]) == 9


def test_pictures_of_known_other_classes_do_not_count(tmp_path: Path) -> None:
    names = [f"n01440764/{number}" for number in range(5)] + ["sofa/1", "cat/1"]
    table, told = read(touch(tmp_path, *names), ClassList.from_names(["cat", "dog"]), allow=False)
    assert table == {"cat/1": ("cat",)}
    assert told == ["pictures: 6 pictures of classes that are not in use are left out (n01440764 5; sofa 1)"]


def test_pictures_beside_the_folders_are_told(tmp_path: Path) -> None:
    folder = touch(tmp_path, *(f"cat/{number}" for number in range(9)), "1")
    assert "1 of 10 pictures are in folders that name no class of the list (no folder 1)" in read(folder)[1][0]


def test_folders_of_own_classes_are_named(tmp_path: Path) -> None:
    folder = touch(tmp_path, "fruit/apple/1", "fruit/pear/2")
    with pytest.raises(InputError, match=r"folders apple, pear name no class of the list.*--classes.*keywords-none"):
        read(folder)
    fruit = ClassList.from_names(["Apple", "Pears"])
    assert read(folder, fruit)[0] == {"fruit/apple/1": ("Apple",), "fruit/pear/2": ("Pears",)}
