"""Versions of Python and of packages, folders that stand in the way of packages, and the encoding of texts."""

import importlib.metadata
import locale
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.engine.version import __version__
from pipelines.machine.advice import Advice, advice

NEEDED = (
    "torch", "torchvision", "timm", "numpy", "pillow", "scipy", "pycocotools", "click", "safetensors", "matplotlib",
    "Jinja2", "tqdm",
)  # fmt: skip
EXTRAS = ("scikit-image", "pillow-heif", "ray", "onnx", "onnxruntime", "fastapi", "uvicorn")
_OWN = ("s4cli", "pipelines", "s4net", "deeplab")
_MODULES = ("torch", "torchvision", "timm", "numpy", "PIL", "scipy", "pycocotools", "click", "safetensors", "tqdm")
_OLDEST, _NEWEST = (3, 11), (3, 13)


def versions() -> dict[str, str | None]:
    """Return the versions of s4, Python and packages; None for one that is not installed."""
    found: dict[str, str | None] = {"s4": __version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in (*NEEDED, *EXTRAS)}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def software_advice(found: Mapping[str, str | None], python: tuple[int, int] | None = None) -> list[Advice]:
    """Return what is wrong with the versions.

    Args:
        found: As `versions` returns it.
        python: Major and minor version of Python; None for this one.
    """
    told = []
    python = python or (sys.version_info.major, sys.version_info.minor)
    if not _OLDEST <= python <= _NEWEST:
        wanted = f"{'.'.join(map(str, _OLDEST))} to {'.'.join(map(str, _NEWEST))}"
        shown = ".".join(map(str, python))
        told.append(advice("python-version", f"Python: {shown}", wanted, "make an environment with such a Python"))
    missing = [name for name in NEEDED if found.get(name) is None]
    if missing:
        remedy = "install s4 anew: pip install s4-segmentation"
        told.append(advice("package-missing", f"packages: {', '.join(missing)} not installed", "all of them", remedy))
    return told


def shadow_advice(folder: Path) -> list[Advice]:
    """Return what in a folder hides a package from Python scripts that are started there.

    Args:
        folder: The current folder.
    """
    told = []
    for entry in sorted(os.listdir(folder)):
        path = folder / entry
        name = entry.removesuffix(".py")
        is_module = entry.endswith(".py") and path.is_file()
        known = name in (*_OWN, *_MODULES) or name in sys.stdlib_module_names
        # Without __init__.py a folder hides nothing that is installed, but s4 may run from its sources.
        is_package = path.is_dir() and ((path / "__init__.py").is_file() or name in _OWN)
        if known and (is_module or is_package) and not _is_ours(path):
            what = f"{path}: has the name of the package {name}, which scripts and python -m started here take first"
            told.append(advice("package-hidden", what, "another name", "rename it, or start Python elsewhere"))
    return told


def _is_ours(path: Path) -> bool:
    """Return whether a folder is the package itself, as in the sources of s4."""
    return path.resolve() == Path(__file__).resolve().parents[2] / path.name


def encoding() -> dict[str, str]:
    """Return the encodings of texts, of names of files, and of what is printed."""
    return {
        "texts": locale.getpreferredencoding(False),
        "file_names": sys.getfilesystemencoding(),
        "output": str(getattr(sys.__stdout__, "encoding", None) or "unknown"),
    }


def encoding_advice(found: Mapping[str, str]) -> list[Advice]:
    """Return what is wrong with the encodings: `found` is as `encoding` returns it."""
    other = {
        name: code for name, code in found.items() if code.lower().replace("-", "") != "utf8" and code != "unknown"
    }
    if not other:
        return []
    shown = ", ".join(f"{name} in {code}" for name, code in other.items())
    return [advice("locale-not-utf8", f"locale: {shown}", "UTF-8", "export LC_ALL=C.UTF-8, or PYTHONUTF8=1")]
