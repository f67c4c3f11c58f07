"""Keyword tables in every dialect and encoding, and names that are spelled in other ways."""

import codecs
import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipelines.data.class_names import NameMatcher, name_key
from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.keyword_csv import keyword_csv, read_keyword_csv
from pipelines.errors import InputError

ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
LETTERS = st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=";,|\t\"'\r\n\x85\u2028\u2029")
# A name may hold commas and quotes, which CSV can express; a word may not hold what parts words.
NAMES = st.text(st.one_of(LETTERS, st.sampled_from(",;\"'")), min_size=1, max_size=12).map(str.strip).filter(bool)
WORDS = st.text(LETTERS, min_size=1, max_size=8).map(str.strip).filter(bool)
TABLES = st.lists(st.tuples(NAMES, st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=6)


def read(content: bytes, name: str = "keywords.csv"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return read_keyword_csv(path) if name.endswith(".csv") else load_classes(str(path))


@given(
    TABLES,
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([";", ",", "|", None]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(list(ENCODINGS)),
    st.sampled_from(["", "sep=?\r\n", "\n\n"]),
)
def test_a_table_reads_the_same_in_every_dialect_and_encoding(
    table: list, delimiter: str, between: str | None, line: str, quoting: int, encoding: str, before: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line, quoting=quoting)
    writer.writerow(["image", "keywords"])
    for name, words in table:
        writer.writerow([name, *words] if between is None else [name, between.join(words)])
    whole = before.replace("?", delimiter) + text.getvalue()
    rows, faults = read(ENCODINGS[encoding] + whole.encode(encoding))
    assert faults == []
    assert rows == table


ANY_WORDS = st.text(st.one_of(LETTERS, st.sampled_from(",;|\t\"'")), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.dictionaries(NAMES, st.lists(ANY_WORDS, min_size=1, max_size=4), min_size=1, max_size=6))
@example({"a": ["salt, pepper", "x;y|z", '"', 'a "b", c', "cat"]})
def test_what_is_written_is_read_whatever_the_words_hold(table: dict[str, list[str]]) -> None:
    assert read(keyword_csv(table).encode()) == (list(table.items()), [])


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"image,keywords\n", b"\xff\xfe", b"\xef\xbb\xbfimage;keywords\r\n"])
)
def test_any_bytes_are_read_or_told(content: bytes, begin: bytes) -> None:
    try:
        rows, faults = read(begin + content)
    except InputError as error:
        assert error.rule == "text-damaged"
        return
    assert all(name and all(words) for name, words in rows)
    assert all("expected" in fault for fault in faults)


def respelled(name: str, data: st.DataObject) -> str:
    """The name in other letters, with other joints between them."""
    joints = st.text(st.sampled_from(" _-/"), max_size=2)
    parts = [data.draw(st.sampled_from([char.lower(), char.upper()])) + data.draw(joints) for char in name]
    return data.draw(joints) + "".join(parts)


@given(st.data())
def test_voc_names_match_without_regard_to_case_space_underscore_and_hyphen(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(VOC_CLASSES))
    assert NameMatcher(VOC_CLASSES).find(respelled(name, data)) == name


@given(st.lists(WORDS, min_size=1, max_size=6, unique=True), st.data())
def test_a_name_of_a_list_is_found_as_it_stands_and_never_taken_for_another(
    names: list[str], data: st.DataObject
) -> None:
    matcher = NameMatcher(names)
    assert [matcher.find(name) for name in names] == names
    name = data.draw(st.sampled_from(names))
    written = data.draw(st.sampled_from([name.swapcase(), name.replace(" ", "_"), f" {name}-"]))
    found = matcher.find(written)
    if written not in names and name_key(written) == name_key(name):
        same = [other for other in names if name_key(other) == name_key(name)]
        assert found == (name if len(same) == 1 else None)  # two that fit are none


@given(WORDS, st.lists(WORDS, min_size=1, max_size=4))
def test_what_is_found_is_a_name_of_the_list(word: str, names: list[str]) -> None:
    found = NameMatcher(names).find(word)
    assert found is None or found in names


@given(st.lists(WORDS, min_size=1, max_size=8, unique=True), st.sampled_from(list(ENCODINGS)), st.booleans())
def test_class_lists_come_back_from_every_encoding(names: list[str], encoding: str, spread: bool) -> None:
    assume(not any(name.startswith("#") or ":" in name or "background" in name or "ignore" in name for name in names))
    text = ("\n\n" if spread else "\r\n").join(names)
    classes = read(ENCODINGS[encoding] + text.encode(encoding), "classes.txt")
    assert classes == ClassList.from_names(names)


@pytest.mark.parametrize("text", ["", "\n \n", "cat\ncat\n", "cat\nbackground\n", "\n".join(map(str, range(255)))])
def test_lists_of_no_class_too_many_or_one_twice_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text.encode(), "classes.txt")
    assert caught.value.rule in ("classes-count", "classes-twice", "classes-background")
