import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.safe_npy import load_npy_dict
from pipelines.errors import InputError


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def save(path: Path, content: object, protocol: int) -> None:
    """What `numpy.save` writes, with a pickle protocol of choice: older NumPy used older ones."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol=protocol)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_a_dict_of_arrays_is_read_from_every_pickle_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    save(path, {"2007_000032": np.array([0, 1], np.float32), 7: [np.int64(1), 0.5, None]}, protocol)
    table = load_npy_dict(path)
    assert table["2007_000032"].tolist() == [0, 1]
    assert table[7] == [1, 0.5, None]


def test_a_dict_that_numpy_saved_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", {"x": np.ones(3)}, allow_pickle=True)  # type: ignore[arg-type]
    assert load_npy_dict(tmp_path / "a.npy")["x"].tolist() == [1, 1, 1]


def test_modules_of_the_first_numpy_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    save(path, {"x": np.array([0, 1], np.float32)}, 2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert load_npy_dict(path)["x"].tolist() == [0, 1]


def test_foreign_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "a.npy", tmp_path / "ran"
    save(path, {"x": Attack(marker)}, 2)
    with pytest.raises(InputError, match=r"asks for \w+\.mkdir, .*\[npy-unsafe\]"):
        load_npy_dict(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match="npy-damaged"):
        load_npy_dict(tmp_path / "a.npy")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    save(path, {"x": np.ones(3)}, 4)
    whole = path.read_bytes()
    for length in range(130, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="npy-damaged"):
            load_npy_dict(path)


def test_other_content_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.ones(3))
    save(tmp_path / "list.npy", ["a"], 4)
    for name in ("plain.npy", "list.npy"):
        with pytest.raises(InputError, match=r"content is no dict.*npy-damaged"):
            load_npy_dict(tmp_path / name)
    with pytest.raises(InputError, match="file-missing"):
        load_npy_dict(tmp_path / "none.npy")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_damaged_byte_is_refused_or_changes_the_content_alone(protocol: int, tmp_path: Path) -> None:
    """NumPy's own parts would read foreign memory here, and Python's fast reader would take memory without end."""
    path, dice = tmp_path / "a.npy", random.Random(protocol)
    save(path, {"a": np.array([0, 1], np.float32), "b": np.array(["x"]), "c": np.float64(1)}, protocol)
    content = path.read_bytes()
    for place in dice.sample(range(118, len(content)), 80):  # what lies before is the header of the format
        path.write_bytes(content[:place] + bytes([content[place] ^ dice.randrange(1, 256)]) + content[place + 1 :])
        try:
            assert isinstance(load_npy_dict(path), dict)
        except InputError as error:
            assert error.rule in ("npy-damaged", "npy-unsafe"), place


def test_an_array_has_the_values_that_its_shape_says(tmp_path: Path) -> None:
    save(tmp_path / "a.npy", {"x": np.array([1, 2], np.float32)}, 2)
    content = (tmp_path / "a.npy").read_bytes()
    one = content.index(b"K\x01K\x02\x85") + 3  # version 1, shape (2,)
    (tmp_path / "a.npy").write_bytes(content[:one] + b"\x03" + content[one + 1 :])
    with pytest.raises(InputError, match="npy-damaged"):
        load_npy_dict(tmp_path / "a.npy")
