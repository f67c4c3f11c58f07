"""Pickled tables of class vectors, as weakly supervised segmentation exchanges them, read without running code."""

import math
import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.regular_files import open_regular

_MODULES = {
    "numpy",
    "numpy.core.multiarray",
    "numpy.core.numeric",
    "numpy._core.multiarray",
    "numpy._core.numeric",
}
"""Where NumPy 1 and 2 keep what arrays are rebuilt with. A pickle that asks for any other name could run any code."""
_PLAIN_TYPE = re.compile(r"\?|[biufc]\d{1,2}|O\d?|[SU]\d{1,9}")
_ORDERS = ("<", ">", "=", "|")


def _no_bytes() -> bytes:
    return b""


def _encoded(text: str, coding: str) -> bytes:
    """Return a byte string of protocol 2, which is a call of an encoder."""
    if coding != "latin1":
        raise ValueError(f"bytes as {coding}")
    return text.encode("latin1")


class _Type:
    """Stands for NumPy's dtype while a pickle is read: NumPy does not check what it is told, and reads other memory."""

    def __init__(self, name: str, *_: object) -> None:
        if not _PLAIN_TYPE.fullmatch(name):
            raise ValueError(f"numbers of type {name}")
        self._type = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes; all else follows from the name."""
        order = state[1]
        if order not in _ORDERS:
            raise ValueError(f"byte order {order}")
        self._type = self._type.newbyteorder(order)

    def of(self, values: Any, count: int) -> tuple["np.dtype[Any]", Any]:
        """Return NumPy's type, and values in it, of which there must be so many.

        Raises:
            ValueError: There are not.
        """
        if isinstance(values, str):
            values = values.encode("latin1")  # of Python 2
        if isinstance(values, list) != self._type.hasobject or not isinstance(values, list | bytes | bytearray):
            raise ValueError("values of another kind")
        if len(values) != count * (1 if self._type.hasobject else self._type.itemsize):
            raise ValueError("more or fewer values than the shape says")
        return self._type, values


class _Array(np.ndarray[Any, "np.dtype[Any]"]):
    """An array that takes nothing from a pickle but what fits together."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, type and values."""
        _version, shape, kind, is_fortran, values = state
        kind, values = kind.of(values, _count(shape))
        super().__setstate__((1, shape, kind, bool(is_fortran), values))  # type: ignore[arg-type]


class _ArrayName:
    """Stands for the name of NumPy's class of arrays."""


def _reconstruct(*_: object) -> "_Array":
    return _Array((0,), np.int8)


def _scalar(kind: _Type, value: Any) -> Any:
    real, values = kind.of(value, 1)
    return np.frombuffer(values, real)[0]


def _from_buffer(values: Any, kind: _Type, shape: tuple[int, ...], order: Any, axes: Any = None) -> NDArray[Any]:
    real, values = kind.of(values, _count(shape))
    flat = np.frombuffer(values, real)
    return flat.reshape(shape).transpose(axes) if order == "K" else flat.reshape(shape, order=order)


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("no shape of an array")
    return math.prod(shape)


_PARTS = {
    "_reconstruct": _reconstruct, "scalar": _scalar, "_frombuffer": _from_buffer, "ndarray": _ArrayName, "dtype": _Type,
}  # fmt: skip


class _ArrayUnpickler(pickle._Unpickler):
    """Knows NumPy arrays and plain containers only.

    It is the one in Python: that in C takes as much memory as a damaged number says.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands here for a name that the pickle asks for.

        Raises:
            UnpicklingError: It is no part of an array.
        """
        if module in ("__builtin__", "builtins") and name == "bytes":
            return _no_bytes  # of an array without elements, in protocol 2
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        if module in _MODULES and name in _PARTS:
            return _PARTS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_arrays(file: BinaryIO) -> Any:
    """Load a pickle of plain containers and NumPy arrays; texts of Python 2 are Latin-1.

    Raises:
        UnpicklingError: The pickle asks for anything else, which the message names.
        Exception: It is damaged, in as many ways as there are instructions.
    """
    return _ArrayUnpickler(file, encoding="latin1").load()


def load_npy_dict(path: Path) -> dict[Any, Any]:
    """Read a dict that `numpy.save` wrote.

    Args:
        path: An `.npy` file with one dict of plain values and arrays.

    Raises:
        InputError: The file is missing [file-missing], is damaged or no dict [npy-damaged], or holds other objects
            than arrays and plain values [npy-unsafe].
    """
    try:
        with open_regular(path) as file:
            major, _minor = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            _shape, _order, dtype = read_header(file)
            content = load_arrays(file) if dtype.hasobject else None
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, expected a table of keywords; check the path", "file-missing"
        ) from error
    except pickle.UnpicklingError as error:
        if "it asks for" in str(error):
            raise InputError(
                f"{path}: {error}, expected arrays of numbers alone; do not open files from where you do not trust",
                "npy-unsafe",
            ) from error
        raise _damaged(path, str(error)) from error
    except Exception as error:  # a damaged pickle fails in as many ways as there are instructions
        raise _damaged(path, f"{type(error).__name__} while reading") from error
    if isinstance(content, np.ndarray) and content.shape == () and content.dtype == object:
        content = content.item()
    if not isinstance(content, dict):
        raise _damaged(path, "content is no dict")
    return content


def _damaged(path: Path, found: str) -> InputError:
    return InputError(
        f"{path}: {found}, expected a dict that numpy.save wrote; restore the file or use a CSV table", "npy-damaged"
    )
