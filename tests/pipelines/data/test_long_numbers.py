"""Numbers in files that are longer than Python reads, or larger than a float: told, never an error of Python."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.classes import load_classes
from pipelines.data.coco_file import as_key
from pipelines.data.colour_tables import read_colour_table
from pipelines.data.images import Frame
from pipelines.data.instance_sources.yolo_names import read_names
from pipelines.data.keyword_tables import read_table
from pipelines.data.notes import Notes
from pipelines.data.palette import indices_of_colours
from pipelines.data.placement import Placement, drawn_before_exif, placement
from pipelines.data.rle import MaskSizeError, usable_polygons
from pipelines.errors import InputError
from pipelines.survey.keyworded import _xml_names

MANY = "9" * 5000  # digits; `int` refuses more than 4,300
HUGE = 10**400


def test_an_id_of_thousands_of_digits_is_a_text() -> None:
    assert as_key(MANY) == MANY
    assert as_key("123456789012345678") == 123456789012345678
    assert as_key("1234567890123456789") == "1234567890123456789"
    assert as_key(HUGE) == HUGE


@pytest.mark.parametrize("number", [MANY, "20", "\u00b2", "-1", "1.0"])
def test_a_class_number_that_is_none_is_told(number: str, tmp_path: Path) -> None:
    (tmp_path / "train_cls.txt").write_text(f"a 19\nb {number}\n")
    named, _ = read_table(tmp_path / "train_cls.txt", ["a", "b"], load_classes("voc"), Notes())
    with pytest.raises(InputError, match="line 2") as caught:
        list(named)
    assert caught.value.rule == "keywords-file"


@pytest.mark.parametrize("colour", ["\u00b2,0,0", f"{MANY},0,0", "256,0,0", "0001,0,0", "1,0", "-1,0,0"])
def test_a_colour_that_is_none_is_told(colour: str, tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(f"background:0,0,0::\ncat:{colour}::\n")
    with pytest.raises(InputError, match="line 2") as caught:
        read_colour_table(tmp_path / "labelmap.txt")
    assert caught.value.rule == "labelmap-damaged"


def test_a_table_without_colours_knows_no_pixel(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("# nothing here\n")
    table = read_colour_table(tmp_path / "labelmap.txt")
    assert indices_of_colours(np.zeros((2, 2, 3), np.uint8), table.colours) == (0, 0)


def test_254_labels_are_numbered_and_no_more(tmp_path: Path) -> None:
    lines = [f"class{i}:{i // 250},{i % 250},1::" for i in range(255)]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines[:254]))
    assert read_colour_table(tmp_path / "labelmap.txt").indices(None).tolist() == list(range(1, 255))
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match="255 labels, expected at most 254") as caught:
        read_colour_table(tmp_path / "labelmap.txt").indices(None)
    assert caught.value.rule == "labelmap-damaged"


@pytest.mark.parametrize("value", [HUGE, -HUGE, 81, -41, float("nan"), float("inf")])
def test_a_corner_of_any_size_is_far_outside(value: float) -> None:
    usable, faults = usable_polygons([[1, 1, 9, 1, value, 9], [0, 0, 80, -30, 40, 60]], height=30, width=40)
    assert usable == [[0, 0, 80, -30, 40, 60]]  # as far as the picture's size beyond it, on each side
    assert faults == ["a polygon has a corner far outside of the picture"]


def test_a_size_of_any_number_is_another_shape() -> None:
    frame = Frame((30, 40), (30, 40))
    for size in ((HUGE, HUGE), (3 * 2**40, 4 * 2**40), (30, HUGE)):
        with pytest.raises(MaskSizeError):
            placement(size, frame)
        assert not drawn_before_exif(size, frame)
    assert placement((3000, 4000), frame) == Placement((3000, 4000), (30, 40))


@pytest.mark.parametrize("text", ["names:\n  99999999999: cat\n", "names: {100000: cat}\n"])
def test_a_class_number_without_end_takes_no_memory(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError, match="expected numbers below 100000") as caught:
        read_names(tmp_path / "data.yaml")
    assert caught.value.rule == "yolo-names"


def test_a_number_of_thousands_of_digits_is_no_class_number(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(f"names:\n  0: cat\n  {MANY}: dog\n")
    assert read_names(tmp_path / "data.yaml") == ["cat"]


def test_an_xml_of_an_unknown_encoding_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<?xml version="1.0" encoding="martian"?><annotation/>')
    assert _xml_names(tmp_path / "a.xml") == set()
