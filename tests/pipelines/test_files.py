import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from pipelines import files
from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.files import (
    atomic_write,
    copy_file,
    is_number,
    open_regular,
    plain,
    read_json,
    read_text,
    remove_file,
    remove_stale_temporaries,
    sha256_file,
    sha256_lines,
    write_json,
    write_json_in_place,
    write_text,
)
from pipelines.journal import Journal
from pipelines.stores.paths import to_path


def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_written_file_has_its_content_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    atomic_write(path, lambda file: file.write(b"123"))
    assert path.read_bytes() == b"123"
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


def test_the_temporary_lies_beside_its_destination_and_names_the_process(tmp_path: Path) -> None:
    seen = []

    def write(file: object) -> None:
        seen.extend(path.name for path in tmp_path.iterdir())

    atomic_write(tmp_path / "a.bin", write)
    assert seen == [f".a.bin.{os.getpid()}.tmp"]


def test_at_an_address_the_whole_content_is_sent(tmp_path: Path) -> None:
    path = to_path("memory://of-files/a.json")
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    assert remove_stale_temporaries(to_path("memory://of-files")) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full_is_told_also_if_the_writer_swallows_the_error(tmp_path: Path) -> None:
    def swallowing(file: BinaryIO) -> None:
        try:
            file.write(b"x" * 100_000)
        except OSError:
            pass

    (tmp_path / f".a.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(MachineError, match=r"at least 100000 bytes needed, \d+ bytes free"):
        atomic_write(tmp_path / "a", swallowing)
    assert not list(tmp_path.iterdir())


def test_what_a_failed_write_took_counts_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[list[str]] = []
    monkeypatch.setattr(
        files, "write_error", lambda *given: there.append(os.listdir(tmp_path)) or ConfigError("m", "r")
    )
    with pytest.raises(ConfigError):
        atomic_write(tmp_path / "a", lambda file: os.close(99_999))
    assert there == [[]]


def test_a_copy_has_the_bytes_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff1")
    (tmp_path / "b").write_bytes(b"old")
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"\xff1"
    with pytest.raises(MachineError, match=r"none.*read-failed"):
        copy_file(tmp_path / "none", tmp_path / "b")


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, coding: str) -> None:
    (tmp_path / "a").write_bytes("größe\n".encode(coding))
    assert read_text(tmp_path / "a") == "größe\n"


def test_processes_are_known_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    assert files.is_running(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert files.is_running(process.pid)
        process.communicate(b"\n")
        assert process.returncode == 0  # nothing was sent to it
    assert not files.is_running(gone_pid())
    assert not files.is_running(10**30)
    monkeypatch.setattr(os, "kill", forbidden)
    assert files.is_running(1)  # somebody else's


def test_a_failing_writer_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write(file) -> None:  # type: ignore[no-untyped-def]
        file.write(b"half of the ne")
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        atomic_write(path, write)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_bytes_are_on_the_disk_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch) -> None:
    order = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        order.append("folder" if is_folder else f"file of {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    if sys.platform == "linux":
        opened = os.listdir("/proc/self/fd")
        write_text(tmp_path / "a", "x")
        assert order == ["file of 1", "rename", "folder"]
        write_json_in_place(tmp_path / "a", 12)
        assert order[3:] == ["file of 3"]
        assert os.listdir("/proc/self/fd") == opened


@pytest.mark.parametrize(
    ("number", "rule"),
    [(errno.ENOSPC, "disk-full"), (errno.EACCES, "no-permission"), (errno.EIO, "write-failed")],
)
def test_what_the_machine_refuses_is_told_with_the_path(number: int, rule: str, tmp_path: Path) -> None:
    def write(file: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(MachineError) as caught:
        atomic_write(tmp_path / "a.png", write)
    assert caught.value.rule == rule
    assert str(tmp_path / "a.png") in str(caught.value)
    assert ("room for the file needed" in str(caught.value)) == (rule == "disk-full")  # nobody knows how much


def test_a_parent_that_is_a_file_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="write-failed"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_file_is_removed_and_what_is_no_file_is_told(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    for _ in range(2):
        remove_file(tmp_path / "a")
        assert not (tmp_path / "a").exists()
    (tmp_path / "failures.jsonl").mkdir()
    with pytest.raises(MachineError, match=r"failures\.jsonl: .*\[(write-failed|no-permission)\]"):
        remove_file(tmp_path / "failures.jsonl")


def test_json_comes_back_equal_also_with_names_that_are_not_utf8(tmp_path: Path) -> None:
    value = {"name": os.fsdecode(b"bild\xff.jpg"), "numbers": [1, 2.5, None], "word": "größe"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_values_are_plain() -> None:
    value = {
        1: Path("a") / "b",
        "scores": (np.float32(0.5), np.int64(3), float("nan"), float("inf")),
        "deep": [{"flag": np.bool_(True), "none": None, "zero": np.float64("nan")}],
    }
    assert plain(value) == {
        "1": "a/b",
        "scores": [0.5, 3, None, None],
        "deep": [{"flag": True, "none": None, "zero": None}],
    }


def test_what_is_no_finite_number_is_null_in_every_json(tmp_path: Path) -> None:
    value = {"miou": float("nan"), "ends": (float("-inf"), np.float32("nan"), 0.5), "deep": [{"x": float("inf")}]}
    expected = {"miou": None, "ends": [None, None, 0.5], "deep": [{"x": None}]}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == expected
    Journal(tmp_path / "a.jsonl").append(value)
    assert Journal(tmp_path / "a.jsonl").read() == [expected]


def test_json_is_that_of_the_standard_library_otherwise(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, "ö", True, None, {}], "1": {"b": (1e-9, -3)}}
    write_json(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_text() == json.dumps(value, indent=2) + "\n"
    write_json(tmp_path / "a.json", value, indent=None)
    assert (tmp_path / "a.json").read_text() == json.dumps(value) + "\n"


def test_json_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert not list(tmp_path.iterdir())


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"a": 1', "json-damaged"),
        (b"", "json-damaged"),
        (b"[" * 100_000, "json-damaged"),
        (b"9" * 10_000, "json-damaged"),
        (b"\xff\xfe\x00", "text-damaged"),
    ],
)
def test_damaged_json_is_an_input_error(content: bytes, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert caught.value.rule == rule
    assert str(caught.value).startswith(f"{path}: ")


def test_damaged_json_is_located(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n "a": }')
    with pytest.raises(InputError, match="line 2, column 7"):
        read_json(tmp_path / "a.json")


def test_a_missing_text_file_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError) as caught:
            read_text(path)
        assert caught.value.rule == "file-missing"


def test_a_text_file_that_the_machine_does_not_give_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "open_regular", refuse)
    with pytest.raises(MachineError, match=r"a\.txt: .*read-failed"):
        read_text(tmp_path / "a.txt")


def test_hashes_are_those_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # SHA-256 of "abc" as FIPS 180-2, appendix B.1, gives it
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_lines(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    assert sha256_lines(["ab"]) != sha256_lines(["a", "b"])
    assert sha256_lines(["caf\udce9"]) == hashlib.sha256(b"caf\xe9\n").hexdigest()
    with pytest.raises(MachineError, match="read-failed"):
        sha256_file(tmp_path / "none")


def test_only_temporaries_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = gone_pid()
    stale = [tmp_path / f".a.png.{gone}.tmp", tmp_path / "sub" / "deep" / f".a.png.{gone}.tmp"]
    kept = [tmp_path / f".a.png.{os.getpid()}.tmp", tmp_path / ".notes.tmp", tmp_path / "a.png"]
    for path in (*stale, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert remove_stale_temporaries(tmp_path, ["sub", "none"]) == 2
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


def test_the_sweep_looks_only_where_it_was_told_to(tmp_path: Path) -> None:
    """Below a run may lie whatever people put there, links to other disks too."""
    name = f".a.png.{gone_pid()}.tmp"
    run, other = tmp_path / "run", tmp_path / "other"
    kept = [run / "mine" / name, other / name, other / "sub" / name]
    for path in (*kept, run / "checkpoints" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (run / "labels").symlink_to(other, target_is_directory=True)
    (run / "checkpoints" / "link").symlink_to(other, target_is_directory=True)
    assert remove_stale_temporaries(run, ["checkpoints", "labels"], lambda: False) == 0
    assert remove_stale_temporaries(run, ["checkpoints", "labels"]) == 1
    assert all(path.exists() for path in kept)
    assert remove_stale_temporaries(run, ["."]) == 1  # all below, without links
    assert [path.exists() for path in kept] == [False, True, True]


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"state": "old"})
    code = (
        "import os, sys; from pathlib import Path; from pipelines.files import atomic_write\n"
        "atomic_write(Path(sys.argv[1]), lambda file: (file.write(b'{'), file.flush(), os.kill(os.getpid(), 9)))"
    )
    root = str(Path(files.__file__).parents[1])
    process = subprocess.run([sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": root})
    assert process.returncode == -9
    assert json.loads(path.read_text()) == {"state": "old"}
    assert len(list(tmp_path.iterdir())) == 2
    assert remove_stale_temporaries(tmp_path) == 1


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path) -> None:
    names = ["a" * 255, "a" * 254 + "b", "ü" * 127, os.fsdecode(b"\xe9" * 255)]
    for name in names:
        write_text(tmp_path / name, name[-1])
    assert sorted(os.listdir(tmp_path)) == sorted(names)  # none wrote into the temporary file of another
    assert [(tmp_path / name).read_bytes() for name in names] == [b"a", b"b", "ü".encode(), b"\xe9"]


def test_temporary_names_stay_short_and_apart_and_are_swept(tmp_path: Path) -> None:
    seen = []

    def look(file: BinaryIO) -> None:
        seen.append(os.path.basename(os.fsencode(file.name)))

    for name in ("x.png", "a" * 250, "a" * 249 + "b"):
        atomic_write(tmp_path / name, look)
    assert seen[0] == b".x.png.%d.tmp" % os.getpid()
    assert all(len(name) <= 255 for name in seen)
    assert len(set(seen)) == 3
    end = f".{os.getpid()}.tmp".encode()
    longest = 255 - 1 - len(end)  # with the dot before it
    for length in (longest, longest + 1):
        atomic_write(tmp_path / ("b" * length), look)
    mark = hashlib.sha256(b"b" * (longest + 1)).hexdigest()[:16].encode()
    assert seen[3:] == [b".%b%b" % (b"b" * longest, end), b".%b%b%b" % (b"b" * (longest - 16), mark, end)]
    gone = gone_pid()
    for name in seen[:3]:
        stale = os.fsdecode(name).replace(f".{os.getpid()}.tmp", f".{gone}.tmp")
        (tmp_path / (stale if len(stale) <= 255 else f".{stale[4:]}")).touch()  # that id may have more digits
    assert remove_stale_temporaries(tmp_path) == 3


def test_a_name_that_is_too_long_is_the_fault_of_the_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"too long.*name-too-long"):
        write_text(tmp_path / ("a" * 256), "")


@pytest.mark.parametrize("read", [read_text, read_json, sha256_file, open_regular])
def test_only_regular_files_are_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path / "fifo", "a FIFO"), (Path("/dev/zero"), "a device")):
        with pytest.raises(InputError, match=f"is {kind}, expected a file.*not-regular"):
            read(path)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [(0, True), (-1.5, True), (1e100, True), (10**100, True), (10**101, False), (-1e101, False), (10**400, False),
     (float("nan"), False), (float("-inf"), False), (True, False), ("1", False), (None, False), ([], False)],
)  # fmt: skip
def test_numbers_of_json_files(value: object, is_one: bool) -> None:
    assert is_number(value) is is_one
