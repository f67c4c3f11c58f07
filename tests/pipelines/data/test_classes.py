from pathlib import Path

import numpy as np
import pytest

from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes, voc_palette
from pipelines.data.synsets import SYNSET_CLASSES
from pipelines.errors import InputError


def rule_of(source: str) -> str:
    with pytest.raises(InputError) as caught:
        load_classes(source)
    return caught.value.rule


def test_the_palette_is_that_of_the_development_kit() -> None:
    colours = np.array(voc_palette()).reshape(256, 3)
    # from the colour map that VOC's label pictures are published with
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    for index, colour in known.items():
        assert tuple(colours[index]) == colour
    assert len({tuple(colour) for colour in colours}) == 256


def test_voc_has_its_twenty_classes_in_order() -> None:
    classes = load_classes("voc")
    assert classes.names == VOC_CLASSES
    assert classes.indices == tuple(range(1, 21))
    assert classes.n_outputs == 21


def test_a_subset_of_voc_keeps_the_indices_of_voc(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("cat\r\n\ncow\nperson \n")
    classes = load_classes(str(path))
    assert classes == ClassList(("cat", "cow", "person"), (8, 10, 15))
    assert classes.is_voc
    assert classes.n_outputs == 4


def test_other_classes_count_from_one(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("cat\nsea lion\n")
    classes = load_classes(str(path))
    assert classes == ClassList(("cat", "sea lion"), (1, 2))
    assert not classes.is_voc


def test_the_tables_lead_to_training_numbers_and_back() -> None:
    classes = ClassList.from_names(["person", "cat"])  # VOC's 15 and 8
    there, back = classes.to_train_table(), classes.from_train_table()
    label_map = np.array([0, 8, 15, 1, 255], np.uint8)
    assert there[label_map].tolist() == [0, 2, 1, 255, 255]
    assert back[there[label_map]].tolist() == [0, 8, 15, 255, 255]
    assert there.dtype == back.dtype == np.uint8
    assert (back[3:] == 255).all()


def test_a_name_gives_its_position_and_a_wrong_one_the_nearest() -> None:
    classes = ClassList.from_names(["cat", "horse"])
    assert classes.index_of("horse") == 1
    with pytest.raises(InputError, match=r"did you mean 'horse'\? \[class-unknown\]"):
        classes.index_of("hrose")
    with pytest.raises(InputError, match="known are cat, horse"):
        classes.index_of("zebra")


def test_a_list_survives_json() -> None:
    classes = ClassList.from_names(["dog", "cat"])
    assert classes.to_json() == ["dog", "cat"]
    assert ClassList.from_names(classes.to_json()) == classes


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "classes-count"),
        ("\n".join(f"c{number}" for number in range(255)), "classes-count"),
        ("cat\ndog\ncat\n", "classes-twice"),
        ("background\ncat\n", "classes-background"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(text: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    assert rule_of(str(path)) == rule


def test_the_longest_list_fills_a_byte() -> None:
    classes = ClassList.from_names([f"c{number}" for number in range(254)])
    assert classes.indices[-1] == 254
    assert classes.to_train_table().tolist() == list(range(256))


def test_a_missing_class_file_is_told(tmp_path: Path) -> None:
    assert rule_of(str(tmp_path / "none.txt")) == "file-missing"
    assert rule_of("vocc") == "file-missing"


def test_synsets_lead_to_voc_classes_alone() -> None:
    assert set(SYNSET_CLASSES.values()) == set(VOC_CLASSES)
    assert all(len(synset) == 9 and synset[0] == "n" and synset[1:].isdigit() for synset in SYNSET_CLASSES)
    names = list(SYNSET_CLASSES.values())
    # ImageNet-1k has 118 breeds of dogs, 5 of domestic cats and 59 birds; each class has its own synset besides
    assert (names.count("dog"), names.count("cat"), names.count("bird")) == (119, 6, 60)
    known = {"n02099601": "dog", "n02123045": "cat", "n02690373": "aeroplane", "n04285008": "car"}
    assert {synset: SYNSET_CLASSES[synset] for synset in known} == known
    assert not {"n02114367", "n02129165"} & SYNSET_CLASSES.keys()  # timber wolf, lion
