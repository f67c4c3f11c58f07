from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.classes import ClassList, load_classes
from pipelines.data.label_folder import open_labels
from pipelines.data.shown_classes import require_classes
from pipelines.errors import InputError

THING, FRUIT, ANIMALS = (ClassList.from_names(names) for names in (["thing"], ["apple", "pear"], ["cat", "dog"]))


def maps(folder: Path, *maps_of_values: tuple[int, ...]) -> list[Path]:
    files = []
    for number, values in enumerate(maps_of_values):
        files.append(folder / f"{number}.png")
        Image.fromarray(np.array([values], np.uint8)).save(files[-1])
    return files


def refusal(files: list[Path], classes: ClassList | None, predicted: bool = False) -> InputError:
    with pytest.raises(InputError) as caught:
        require_classes(files, classes, predicted)
    return caught.value


def test_masks_of_0_and_255_are_refused_with_a_remedy(tmp_path: Path) -> None:
    error = refusal(maps(tmp_path, (0, 255), (0, 0)), THING)
    assert error.rule == "truth-binary"
    assert "2 label maps hold the values 0 and 255 alone" in str(error)
    assert "expected 1 (thing); save the number of the class where the object is" in str(error)
    assert refusal(maps(tmp_path, (255, 255)), load_classes("voc")).rule == "truth-binary"
    assert refusal(maps(tmp_path, (0, 255)), None).rule == "truth-binary"


def test_classes_that_are_numbered_in_another_way_are_refused(tmp_path: Path) -> None:
    # Labels of 1 and 2, as labelme numbers the list cat, dog. In VOC's palette these are aeroplane and bicycle.
    error = refusal(maps(tmp_path, (0, 1), (0, 2, 255)), ANIMALS)
    assert error.rule == "truth-binary"
    assert "hold the values 1 (aeroplane), 2 (bicycle) and no class in use" in str(error)
    assert "expected 8 (cat), 12 (dog); check --classes and how the classes are numbered" in str(error)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (((0, 255), (0, 255, 2)), FRUIT),  # one map of the list is enough
        (((0, 0), (0, 0)), FRUIT),  # background alone: nothing is left out
        (((0, 8, 255),), ANIMALS),
        (((0, 77, 255),), None),
    ],
)
def test_lists_that_show_a_class_or_hide_nothing_pass(
    values: tuple[tuple[int, ...], ...], classes: ClassList | None, tmp_path: Path
) -> None:
    require_classes(maps(tmp_path, *values), classes)


def test_reading_ends_with_the_first_map_that_shows_a_class(tmp_path: Path) -> None:
    require_classes([*maps(tmp_path, (0, 1)), tmp_path / "missing.png"], THING)


def test_predictions_may_show_other_classes_alone(tmp_path: Path) -> None:
    require_classes(maps(tmp_path, (0, 1, 255)), ANIMALS, predicted=True)
    assert refusal(maps(tmp_path, (0, 255)), ANIMALS, predicted=True).rule == "predictions-binary"


def test_ground_truth_may_have_any_suffix(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.tif", "c.bmp", "sub/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / name)
    labels = open_labels(tmp_path, "ground-truth", THING)
    assert labels.ids() == ["a", "b", "c", "sub/d"]
    assert [labels.read_label(image_id).tolist() for image_id in labels.ids()] == [[[0, 1]]] * 4
