import os
from pathlib import Path

import pytest

from pipelines.data.output_names import require_short_name
from pipelines.errors import InputError


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "ü" * 125 + ".png", os.fsdecode(b"\xe9" * 251) + ".png"])
def test_a_name_that_fits_is_taken(tmp_path: Path, name: str) -> None:
    require_short_name(tmp_path / name)
    (tmp_path / name).touch()


@pytest.mark.parametrize("name", ["a" * 252 + ".png", "ü" * 126 + ".png", os.fsdecode(b"\xe9" * 252) + ".png"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"the name has 256 bytes, at most 255 expected.*name-too-long"):
        require_short_name(tmp_path / "sub" / name)
    with pytest.raises(OSError, match="too long"):
        (tmp_path / name).touch()


def test_a_path_that_is_too_long_is_refused() -> None:
    path = Path(*["d" * 200] * 21)  # 21 * 200 + 20 bytes
    with pytest.raises(InputError, match=r"4220 bytes, at most 4063 expected"):
        require_short_name(path)


def test_folders_that_are_too_many_are_refused(tmp_path: Path) -> None:
    deepest = Path(*["d"] * 256, "a.png")
    require_short_name(deepest)
    (tmp_path / deepest).parent.mkdir(parents=True)
    with pytest.raises(InputError, match=r"the name has 257 folders, at most 256 expected"):
        require_short_name("d" / deepest)
