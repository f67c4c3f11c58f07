import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.errors import InputError, MachineError
from pipelines.file_errors import free_bytes, full_disk, read_error, require_space, write_error
from pipelines.stores.paths import to_path

PATH = Path("/x/a.png")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk with 100 bytes free, which notes what it was asked for."""
    state = SimpleNamespace(free=100, total=1000, asked=[], error=None)

    def usage(place: Path) -> SimpleNamespace:
        state.asked.append(Path(place))
        if state.error:
            raise state.error
        return state

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return state


def test_free_space_is_that_of_the_nearest_folder_that_exists(disk: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert free_bytes(tmp_path / "here" / "none" / "a.png") == 100
    assert free_bytes(tmp_path) == 100
    assert disk.asked == [tmp_path / "here", tmp_path]


def test_free_space_is_that_of_the_current_folder_for_a_relative_path(
    disk: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_bytes(Path("none/a.png")) == 100
    assert disk.asked == [tmp_path]


def test_a_file_system_that_does_not_tell_has_no_number(disk: SimpleNamespace, tmp_path: Path) -> None:
    disk.total = 0
    assert free_bytes(tmp_path) is None
    require_space(tmp_path, 10**9)
    disk.error = OSError(errno.EIO, "Input/output error")
    assert free_bytes(tmp_path) is None
    disk.asked.clear()
    assert free_bytes(to_path("memory://a/b")) is None
    assert disk.asked == []


def test_as_much_room_as_needed_is_enough_and_a_byte_less_is_not(disk: SimpleNamespace, tmp_path: Path) -> None:
    require_space(tmp_path, 100)
    with pytest.raises(MachineError) as caught:
        require_space(tmp_path, 101)
    assert str(caught.value) == (
        f"{tmp_path}: too little space on the disk, 101 bytes needed, 100 bytes free; make room or choose another "
        "folder, and start again [disk-full]"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_found_behind_causes_and_contexts(number: int) -> None:
    full = OSError(number, "full")
    middle, outer = ValueError(), RuntimeError()
    middle.__context__ = full
    outer.__cause__ = middle
    assert full_disk(full) is full and full_disk(middle) is full and full_disk(outer) is full


def test_a_cause_counts_before_a_context_and_circles_end() -> None:
    first, second = ValueError(), OSError(errno.EIO, "Input/output error")
    first.__cause__, second.__context__ = second, first
    assert full_disk(first) is None
    assert full_disk(None) is None
    both = RuntimeError()
    both.__cause__, both.__context__ = ValueError(), OSError(errno.ENOSPC, "full")
    assert full_disk(both) is None


ROOM = "make room or choose another folder, and start again [disk-full]"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_told_with_what_is_needed_and_free(disk: SimpleNamespace, number: int) -> None:
    error = OSError(number, os.strerror(number))
    reason = os.strerror(number)
    told = write_error(PATH, error)
    assert str(told) == f"/x/a.png: {reason}, room for the file needed, 100 bytes free; {ROOM}"
    assert str(write_error(PATH, error, 7)) == f"/x/a.png: {reason}, at least 7 bytes needed, 100 bytes free; {ROOM}"
    assert isinstance(told, MachineError)
    disk.total = 0
    assert str(write_error(PATH, error, 7)) == f"/x/a.png: {reason}, at least 7 bytes needed; {ROOM}"


def test_an_error_without_words_of_the_system_is_told_as_it_is() -> None:
    full, other = OSError("no room on tape"), OSError("odd")
    full.errno = errno.ENOSPC
    assert str(write_error(PATH, full)).startswith("/x/a.png: no room on tape, room for the file needed")
    assert str(write_error(PATH, other)) == (
        "/x/a.png: odd, expected to write the file; check the path and the disk [write-failed]"
    )
    assert str(read_error(PATH, other)) == (
        "/x/a.png: odd, expected a readable file; check its rights and its disk [read-failed]"
    )


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (errno.ENAMETOOLONG, InputError, "a shorter one expected; rename the picture or choose another folder "
         "[name-too-long]"),
        (errno.EACCES, MachineError, "expected a folder that may be written to; change its rights or the path "
         "[no-permission]"),
        (errno.EPERM, MachineError, "expected a folder that may be written to; change its rights or the path "
         "[no-permission]"),
        (errno.EROFS, MachineError, "expected a folder that may be written to; change its rights or the path "
         "[no-permission]"),
        (errno.EIO, MachineError, "expected to write the file; check the path and the disk [write-failed]"),
    ],
)  # fmt: skip
def test_other_refusals_are_told_by_their_kind(number: int, kind: type, expected: str) -> None:
    error = write_error(PATH, OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert str(error) == f"/x/a.png: {os.strerror(number)}, {expected}"


def test_what_cannot_be_read_is_told_with_the_words_of_the_system() -> None:
    error = read_error(PATH, OSError(errno.EIO, "Input/output error"))
    assert isinstance(error, MachineError)
    assert (
        str(error)
        == "/x/a.png: Input/output error, expected a readable file; check its rights and its disk [read-failed]"
    )
