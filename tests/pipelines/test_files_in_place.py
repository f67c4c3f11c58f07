"""JSON written over the bytes of a file, where the disk has no room for a second one."""

import resource
from pathlib import Path

import pytest

from pipelines.errors import MachineError
from pipelines.files import write_json, write_json_in_place


def test_json_is_written_over_the_bytes_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for before in ("x" * 100, ""):
        path.write_text(before)
        number = path.stat().st_ino
        write_json_in_place(path, {"a": [1, float("nan")]})
        assert path.read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'
        assert path.stat().st_ino == number
    with pytest.raises(MachineError, match="write-failed"):
        write_json_in_place(tmp_path / "none.json", {})


@pytest.mark.parametrize("room", [0, 1, 40, 199])  # bytes that the disk has beside those of the file; 200 are needed
def test_a_disk_that_takes_a_part_of_the_bytes_is_told_and_the_old_ones_stay(tmp_path: Path, room: int) -> None:
    path = tmp_path / "status.json"
    write_json(path, "")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, hard))  # the system writes what fits, and says so
    try:
        with pytest.raises(MachineError, match=r"status\.json.*disk-full"):
            write_json_in_place(path, "x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
