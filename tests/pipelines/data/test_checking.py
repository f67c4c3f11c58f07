from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.checking import Headers, check_pictures, require_same_size
from pipelines.data.notes import first_names
from pipelines.errors import InputError


def test_a_label_map_of_another_size_is_refused_with_both_files_and_sizes() -> None:
    require_same_size(Path("labels/a.png"), (3, 4), Path("a.jpg"), [3, 4])
    with pytest.raises(InputError) as caught:
        require_same_size(Path("labels/a.png"), (3, 4), Path("a.jpg"), (4, 3))
    # Sizes are (height, width) inside, and width x height in messages.
    message = "labels/a.png: label map is 4x3, expected 3x4 as in a.jpg; make both the same size"
    assert (caught.value.message, caught.value.rule) == (message, "label-size")


def test_the_message_can_name_another_kind_of_map() -> None:
    with pytest.raises(InputError, match=r"^c\.png: confidence map is 2x1, expected 2x2 as in a\.png;"):
        require_same_size(Path("c.png"), (1, 2), Path("a.png"), (2, 2), "confidence map")


def test_five_names_are_shown_and_dots_for_more() -> None:
    assert first_names(list("abcde")) == "a, b, c, d, e"
    assert first_names(list("abcdef")) == "a, b, c, d, e, ..."


def test_the_first_damaged_picture_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        Image.new("RGB", (2, 2)).save(path)
    check_pictures(paths, 2)
    for path in paths[1:3]:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"b\.png.*\(1 other pictures cannot be used either\).*image-damaged"):
        check_pictures(paths, 2)


def test_headers_are_read_once_and_tell_sizes_or_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, absent = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(np.zeros((2, 5), np.uint8)).save(picture)
    headers = Headers()
    first = headers.read([picture, absent, picture])
    assert first[picture] == (2, 5)
    assert isinstance(first[absent], InputError)
    monkeypatch.setattr(Headers, "_size", lambda headers, path: pytest.fail(f"{path} is read again"))
    assert headers.read([absent, picture]) == first


def test_only_decoding_finds_a_picture_that_was_cut_off(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    for path in (whole, cut):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    cut.write_bytes(cut.read_bytes()[:-500])
    assert Headers().read([whole, cut]) == {whole: (40, 50), cut: (40, 50)}
    found = Headers(whole=True).read([whole, cut])
    assert found[whole] == (40, 50)
    assert isinstance(found[cut], InputError) and found[cut].rule == "image-damaged"
