"""Pickled tables of class vectors, as weakly supervised segmentation exchanges them, read without running code."""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipelines.errors import InputError
from pipelines.regular_files import open_regular

# What a NumPy array of numbers is rebuilt with, under the module names of NumPy 1 and 2. A pickle that asks for any
# other name could run any code.
_ARRAY_PARTS = {"_reconstruct", "scalar", "_frombuffer", "ndarray", "dtype"}
_ARRAY_MODULES = {
    "numpy",
    "numpy.core.multiarray",
    "numpy.core.numeric",
    "numpy._core.multiarray",
    "numpy._core.numeric",
}
# In a pickle of protocol 2, a byte string is a call of this encoder.
_TEXT_PARTS = {("_codecs", "encode")}


def _no_bytes() -> bytes:
    return b""


class _ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy arrays and plain containers only."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up what the pickle asks to be called.

        Raises:
            UnpicklingError: It is no part of an array.
        """
        if module in ("__builtin__", "builtins") and name == "bytes":
            return _no_bytes  # of an array without elements, in protocol 2
        if (module in _ARRAY_MODULES and name in _ARRAY_PARTS) or (module, name) in _TEXT_PARTS:
            return super().find_class(module, name)
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
