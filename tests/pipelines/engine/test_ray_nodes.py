import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.engine.ray_nodes import Shared, fault_of, mark


def test_a_machine_with_the_same_files_and_libraries_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    shared = Shared.found_here([("--weights", tmp_path / "net.pt"), ("--instances", tmp_path)])
    assert shared.faults() == [] and shared.folder == os.getcwd()
    assert {"Python", "torch", "numpy", "s4"} <= shared.versions.keys()


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (None, "nothing"),
        (b"wEights", "a file of 7 bytes, sha256 "),
        (b"weights2", "a file of 8 bytes"),
        ("", "a folder"),
    ],
)
def test_another_file_is_a_fault(tmp_path: Path, there: bytes | str | None, found: str) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"weights")
    shared = Shared.found_here([("--weights", path)])
    path.unlink()
    if isinstance(there, bytes):
        path.write_bytes(there)
    elif there is not None:
        path.mkdir()
    (fault,) = shared.faults()
    assert fault.startswith(f"--weights {path}: a file of 7 bytes, sha256 ")
    assert f"expected, {found}" in fault


def test_another_library_is_a_fault() -> None:
    shared = Shared.found_here([])
    other = replace(shared, versions=shared.versions | {"numpy": "1.0", "s4": "abc"})
    assert [fault.split(" expected")[0] for fault in other.faults()] == ["numpy 1.0", "s4 abc"]
    error = fault_of("10.0.0.2", other.faults())
    assert error.rule == "ray-nodes" and "machine 10.0.0.2: numpy 1.0 expected" in error.message


def test_relative_paths_lead_from_the_folder_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "a.jpg").write_bytes(b"1")
    shared = Shared.found_here([("--images", Path("a.jpg"))])
    monkeypatch.chdir(tmp_path)
    assert shared.faults() != []
    shared.enter()
    assert shared.faults() == [] and Path.cwd() == tmp_path / "here"


def test_a_mark_is_removed_and_a_folder_made_for_it_too(tmp_path: Path) -> None:
    with mark(tmp_path / "out") as path:
        assert path.parent == tmp_path / "out" and path.is_file()
    assert not (tmp_path / "out").exists()
    with mark(tmp_path / "out"):
        (tmp_path / "out" / "settings.json").touch()
    with mark(tmp_path / "out"):
        pass
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["settings.json"]
