from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.palette import voc_palette
from pipelines.data.synsets import class_of_synset, is_synset, synset_of_picture
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


@pytest.mark.parametrize(
    "head", ["_background_\n", "__ignore__\n_background_\n", "background\n", "\ufeff__ignore__\n_background_\n"]
)
def test_lists_of_labelme_begin_with_what_is_no_class(head: str, tmp_path: Path) -> None:
    path = tmp_path / "class_names.txt"
    path.write_text(head + "aeroplane\nbicycle\n")
    assert load_classes(str(path)) == ClassList(("aeroplane", "bicycle"), (1, 2))
    path.write_text(head + "apple\npear\n")
    assert load_classes(str(path)) == ClassList(("apple", "pear"), (1, 2))


def test_a_labelmap_is_a_class_list(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ntable tennis:1,2,3::\ncat:::\n")
    assert load_classes(str(path)).names == ("table tennis", "cat")


def test_palette_indices_become_positions_and_come_back() -> None:
    classes = ClassList.from_names(["person", "cat"])  # VOC's 15 and 8
    label_map = classes.from_palette(np.array([0, 8, 15, 1, 255], np.uint8))
    assert label_map.tolist() == [0, 2, 1, 255, 255]
    assert classes.to_palette(label_map).tolist() == [0, 8, 15, 255, 255]
    assert label_map.dtype == classes.to_palette(label_map).dtype == np.uint8
    assert (classes.to_palette(np.arange(3, 256, dtype=np.uint8)) == 255).all()


def test_keywords_have_positions_and_places_among_themselves() -> None:
    keywords = ClassList.from_names(["cat", "dog", "horse"]).keywords(["horse", "cat"])
    assert (keywords.names, keywords.positions, len(keywords)) == (("horse", "cat"), (3, 1), 2)
    assert keywords.columns(np.array([1, 3, 2, 255])).tolist() == [1, 0, -1, -1]
    with pytest.raises(InputError, match=r"did you mean 'horse'\? \[class-unknown\]"):
        ClassList.from_names(["cat", "horse"]).keywords(["cat", "hrose"])


def test_a_name_gives_its_position_and_a_wrong_one_the_nearest() -> None:
    classes = ClassList.from_names(["cat", "horse"])
    assert classes.position("horse") == 2 and classes.name_of(2) == "horse"
    with pytest.raises(InputError, match=r"did you mean 'horse'\? \[class-unknown\]"):
        classes.position("hrose")
    with pytest.raises(InputError, match="known are cat, horse"):
        classes.position("zebra")


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
        ("cat\nbackground\n", "classes-background"),
        ("cat\n_background_\n", "classes-background"),
        ("_background_\n", "classes-count"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(text: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    assert rule_of(str(path)) == rule


def test_the_longest_list_fills_a_byte() -> None:
    classes = ClassList.from_names([f"c{number}" for number in range(254)])
    assert classes.indices[-1] == 254
    assert classes.from_palette(np.arange(256, dtype=np.uint8)).tolist() == list(range(256))


def test_a_missing_class_file_is_told(tmp_path: Path) -> None:
    assert rule_of(str(tmp_path / "none.txt")) == "file-missing"
    assert rule_of("vocc") == "file-missing"


def imagenet_synsets(name: str) -> list[str]:
    """A list of synsets as the timm library has it, which is not where the table of this project comes from."""
    return (resources.files("timm") / "data" / "_info" / f"{name}_synsets.txt").read_text().split()


def test_synsets_of_imagenet_lead_to_voc_classes() -> None:
    # ImageNet-1k counts its classes so that those of one kind follow each other: 7 cock to 24 great grey owl,
    # 80 black grouse to 100 black swan, 127 white stork to 146 albatross; 151 Chihuahua to 268 Mexican hairless;
    # 281 tabby to 285 Egyptian cat.
    kinds = {"bird": [*range(7, 25), *range(80, 101), *range(127, 147)], "dog": range(151, 269), "cat": range(281, 286)}
    classes = [class_of_synset(synset) for synset in imagenet_synsets("imagenet")]
    for kind, numbers in kinds.items():
        assert [number for number, name in enumerate(classes) if name == kind] == list(numbers)
    assert set(classes) == {None, *VOC_CLASSES}


def test_breeds_outside_of_imagenet_1k_are_known_by_their_branch() -> None:
    known = {
        "n02084071": "dog",  # dog
        "n02113335": "dog",  # poodle
        "n02122948": "cat",  # kitten
        "n02386968": "horse",  # Clydesdale
        "n02407390": "cow",  # Holstein
        "n02412440": "sheep",  # lamb
        "n01625562": "bird",  # barn owl
        "n02690373": "aeroplane",
        "n04285008": "car",
    }
    assert {synset: class_of_synset(synset) for synset in known} == known


@pytest.mark.parametrize(
    "word",
    # wolf, lion, wildcat, donkey, zebra, yak, buffalo, goat, amphibian; then no synsets at all
    [
        *("n02114100", "n02129165", "n02124623", "n02389559", "n02391049", "n02405302", "n02407959", "n02416519"),
        *("n01627424", "n0208407", "n020840710", "dog", "", "N02084071"),
    ],
)
def test_neighbours_of_a_class_do_not_belong_to_it(word: str) -> None:
    assert class_of_synset(word) is None


def test_synsets_are_known_by_their_form() -> None:
    assert is_synset("n01440764") and not is_synset("n1440764") and not is_synset("person")
    assert synset_of_picture("n02084071_1234") == "n02084071"
    assert synset_of_picture("n02084071") is None and synset_of_picture("x_n02084071_1") is None
