"""`--classes auto`: the class list of each kind of keywords, and of each way to spell names."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.classes import VOC_CLASSES
from pipelines.data.keyword_classes import classes_of_words
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.notes import Notes
from pipelines.errors import InputError
from pipelines.events import Events


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / "pictures" / (name if "." in name else f"{name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root / "pictures"


def read(
    folder: Path,
    source: Path | str = "auto",
    classes: str | None = "auto",
    split: str | None = None,
    allow: bool = True,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], list[str]]:
    """Return the classes, the keywords, and the lines that were told."""
    stream = io.StringIO()
    notes = Notes(Events(stream))
    found, table = KeywordedPictures([folder], [str(source)], split, notes).read(classes, allow)
    notes.tell()
    return found.names, table, stream.getvalue().replace(str(folder), "pictures").splitlines()


def refusal(folder: Path, source: Path | str = "auto", classes: str | None = "auto") -> InputError:
    with pytest.raises(InputError) as caught:
        read(folder, source, classes, allow=False)
    return caught.value


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["pear/1", "apple/2"], ("apple", "pear")),
        (["fruit/pear/1", "fruit/apple/2"], ("apple", "pear")),
        (["train/pear/1", "val/pear/2", "val/apple/3", "test/kiwi/4"], ("apple", "kiwi", "pear")),
        (["apple/images/1", "pear/images/2"], ("apple", "pear")),
        (["n02123045/1", "n02084071/2", "bus/3"], ("bus", "cat", "dog")),  # synsets of VOC have VOC's names
        (["n02123045/1", "n01440764/2"], ("cat", "n01440764")),  # another synset is what it is called
        (["sample/n02123045_7", "sample/n02084071_8"], ("cat", "dog")),  # ImageNet names pictures after their synset
        (["n01440764_7", "n01440764_8", "n07739125_9"], ("n01440764", "n07739125")),
        (["bus/1", "car/2", "train/3"], ("bus", "car", "train")),  # a folder beside those of other classes
        (["bus/1", "car/2", "train/3", "val/4"], ("bus", "car")),  # a part of a data set beside another one
        (["Cats/1", "dogs/2"], ("cat", "dog")),  # all mean classes of VOC
        (["Cats/1", "hamsters/2"], ("Cats", "hamsters")),
        (
            ["apple/1", "apple/2", "Apple/3", "red_pear/4", "Red Pear/5", "red pear/6", "red pear/7"],
            ("apple", "red pear"),
        ),
    ],
)
def test_folders_name_the_classes(names: list[str], classes: tuple[str, ...], tmp_path: Path) -> None:
    found, table, told = read(touch(tmp_path, *names))
    assert found == classes
    listed = f"{len(classes)} classes ({', '.join(classes)})"
    assert told[0] == f"--classes auto: {listed}, as the keywords name them"
    assert {word for words in table.values() for word in words} == set(classes)
    assert set(names) - set(table) == {
        name for name in names if name == "val/4" or (name == "train/3" and "val/4" in names)
    }


def test_a_part_that_is_taken_for_a_class_is_told(tmp_path: Path) -> None:
    told = read(touch(tmp_path, "bus/1", "car/2", "train/3"))[2]
    assert "pictures: folders named like a part of a data set, taken for folders of a class: 1 (train)" in told
    classes, table, _ = read(touch(tmp_path / "more", "train/bus/1", "train/car/2", "train/3"))
    assert (classes, set(table)) == (("bus", "car"), {"train/bus/1", "train/car/2"})


def test_spellings_of_one_class_are_told(tmp_path: Path) -> None:
    classes, table, told = read(touch(tmp_path, "apple/1", "apple/2", "Apple/3", "pear/4"))
    assert (classes, table["Apple/3"]) == (("apple", "pear"), ("apple",))
    assert "names of classes that are spelled otherwise: 'Apple' is apple" in told


@pytest.mark.parametrize("name", ["background", "Background", "_background_", "__ignore__"])
def test_a_folder_of_background_names_no_class(name: str, tmp_path: Path) -> None:
    folder = touch(tmp_path, "apple/1", "pear/2", f"{name}/3")
    classes, table, told = read(folder)
    assert (classes, set(table)) == (("apple", "pear"), {"apple/1", "pear/2"})
    assert any(f"name no class of the list ({name} 1" in line for line in told)
    assert refusal(folder).rule == "keywords-unplaced"  # a third of the pictures would be left out


@pytest.mark.parametrize("names", [["1", "2"], ["train/1", "val/2"], ["images/1"], ["background/1"]])
def test_without_any_name_there_is_no_list(names: list[str], tmp_path: Path) -> None:
    error = refusal(touch(tmp_path, *names))
    assert error.rule == "keywords-none" and "names expected with --classes auto" in error.message


def test_no_more_classes_than_a_label_file_can_count() -> None:
    words = {f"kind{number}": 1 for number in range(254)}
    assert len(classes_of_words(words, "here").names) == 254
    with pytest.raises(InputError, match=r"here: 255 names.*at most 254 with --classes auto; .*\[classes-count\]"):
        classes_of_words({**words, "one more": 1}, "here")


def write_tar(path: Path, members: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))


def test_tars_name_classes_themselves_or_in_texts_beside(tmp_path: Path) -> None:
    write_tar(tmp_path / "a" / "apple.tar", {"1.jpg": ""})
    write_tar(tmp_path / "a" / "pear.tar", {"2.jpg": ""})
    assert read(tmp_path / "a")[:2] == (("apple", "pear"), {"apple/1": ("apple",), "pear/2": ("pear",)})
    write_tar(
        tmp_path / "b" / "shard-000000.tar", {"1.jpg": "", "1.cls": "kiwi;n02084071", "2.jpg": "", "2.txt": "fig"}
    )
    assert read(tmp_path / "b")[1] == {"shard-000000/1": ("dog", "kiwi"), "shard-000000/2": ("fig",)}
    write_tar(tmp_path / "c" / "fruit.tar", {"1.jpg": "", "1.cls": "kiwi"})
    assert read(tmp_path / "c")[1] == {"fruit/1": ("kiwi",)}  # the text says more than the tar
    write_tar(tmp_path / "d" / "shard-000000.tar", {"1.jpg": "", "1.cls": "7"})
    assert refusal(tmp_path / "d").rule == "keywords-file"


def test_lists_and_xml_of_voc_name_classes(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a", "b", "c")
    (tmp_path / "Annotations").mkdir()
    for name, word in (("a", "kiwi"), ("b", "Kiwi")):
        text = f"<annotation><object><name>{word}</name><part><name>stem</name></part></object></annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
    assert read(folder)[:2] == (("Kiwi",), {"a": ("Kiwi",), "b": ("Kiwi",)})
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for word, shown in (("sea_lion", "a"), ("fig", "b"), ("kiwi", "")):
        (main / f"{word}_train_aug.txt").write_text("".join(f"{i} {1 if i == shown else -1}\n" for i in "ab"))
    # A list of a class that no picture shows gives no class.
    assert read(folder)[:2] == (("fig", "sea_lion"), {"a": ("sea_lion",), "b": ("fig",)})
    (tmp_path / "ImageSets" / "Segmentation").mkdir()
    (tmp_path / "ImageSets" / "Segmentation" / "train_aug.txt").write_text("a\n")
    assert read(folder, split="train_aug")[1] == {"a": ("sea_lion",)}


def test_tables_name_classes(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a", "b", "c")
    table = tmp_path / "t.csv"
    table.write_text("image,keywords\na,kiwi;Fig\nb,fig\nc,background\n")
    classes, words, told = read(folder, table)
    assert (classes, words) == (("Fig", "kiwi"), {"a": ("Fig", "kiwi"), "b": ("Fig",)})
    assert any("words that name no class of the list are passed over, with pictures: background 1" in t for t in told)
    content = {
        "images": [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("ab")],
        "categories": [{"id": 5, "name": "airplane"}, {"id": 9, "name": "zebra"}, {"id": 11, "name": "unused"}],
        "annotations": [{"image_id": 0, "category_id": 5}, {"image_id": 1, "category_id": 9}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert read(folder, tmp_path / "coco.json")[:2] == (("airplane", "zebra"), {"a": ("airplane",), "b": ("zebra",)})
    content["annotations"] = [{"image_id": 0, "category_id": 5}]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert read(folder, tmp_path / "coco.json")[0] == ("aeroplane",)  # VOC's name where all are VOC's classes


@pytest.mark.parametrize("name", ["cls_labels.npy", "train_cls.txt"])
def test_numbers_are_no_names(name: str, tmp_path: Path) -> None:
    folder = touch(tmp_path, "a")
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, {"a": np.eye(20)[7]}, allow_pickle=True)  # type: ignore[arg-type]
    else:
        path.write_text("a 7\n")
    error = refusal(folder, path)
    assert error.rule == "classes-numbers" and "does not name them, names expected with --classes auto" in error.message
    assert read(folder, path, None)[:2] == (VOC_CLASSES, {"a": ("cat",)})  # unset, they count VOC's classes


def test_a_list_left_out_is_that_of_voc_or_of_the_keywords(tmp_path: Path) -> None:
    fruit = touch(tmp_path, "apple/1", "pear/2")
    classes, table, told = read(fruit, classes=None)
    assert (classes, set(table)) == (("apple", "pear"), {"apple/1", "pear/2"})
    assert len(told) == 1 and told[0].startswith("--classes: not given, and no keyword is a class of VOC")
    assert told[0].endswith("as with --classes auto: 2 classes (apple, pear)")
    error = refusal(fruit, classes="voc")
    assert "folders apple, pear name no class" in error.message and "--classes auto" in error.message
    touch(tmp_path, "cat/3")
    assert refusal(fruit, classes=None).rule == "keywords-unplaced"  # VOC's list, which leaves most out
    assert read(fruit, classes=None)[:2] == (VOC_CLASSES, {"cat/3": ("cat",)})


def test_a_table_of_own_words_needs_no_list(tmp_path: Path) -> None:
    folder, table = touch(tmp_path, "a", "b"), tmp_path / "t.csv"
    table.write_text("image,keywords\na,kiwi\nb,fig\n")
    assert read(folder, table, None)[0] == ("fig", "kiwi")
    table.write_text("image,keywords\na,kiwi\nb,fig\nz,fig\n")
    assert refusal(folder, table, None).rule == "keywords-picture-missing"  # words are no faults any more
    table.write_text("image,keywords\na,kiwi\nb,dgo;cat\n")
    error = refusal(folder, table, None)
    assert error.rule == "class-unknown" and "did you mean 'dog'" in error.message and "auto" in error.message


def test_one_strange_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    error = refusal(touch(tmp_path, "holiday/1", "2"), classes=None)
    assert error.rule == "keywords-none" and "folders holiday name no class" in error.message


def test_faults_are_those_of_the_list_that_will_be_used(tmp_path: Path) -> None:
    folder = touch(tmp_path, "apple/1", "pear/2")
    pictures = KeywordedPictures([folder], ["auto"], None, Notes())
    assert pictures.faults(None) == pictures.faults("auto") == []
    assert [fault.rule for fault in pictures.faults("voc")] == ["keywords-none"]
    touch(tmp_path, "3", "4")
    pictures = KeywordedPictures([folder], ["auto"], None, Notes())
    assert [fault.rule for fault in pictures.faults("auto", allow_unplaced=False)] == ["keywords-unplaced"]
    nothing = KeywordedPictures([touch(tmp_path / "flat", "1")], ["auto"], None, Notes())
    assert [fault.rule for fault in nothing.faults("auto") + nothing.faults(None)] == ["keywords-none"] * 2
