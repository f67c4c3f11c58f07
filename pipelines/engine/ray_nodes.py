"""What the machines of a Ray cluster must share, checked on each machine before it works on a picture.

A process of Ray runs in an environment of its machine, and opens files under the paths of the machine that started the
command. A machine with other files or other libraries would give other results, or would fail with every picture. So
each machine compares what it finds with what the first machine found.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.errors import MachineError
from pipelines.files import atomic_write, sha256_file
from pipelines.stores.address import Address

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "pycocotools", "safetensors")
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("pipelines", "s4net", "deeplab")
RULE = "ray-nodes"
"""Rule of the errors that tell what a machine lacks."""


@dataclass(frozen=True)
class Shared:
    """What each machine has to find as the machine did that started the command.

    Attributes:
        folder: The current folder, from which relative paths lead.
        files: (flag, path, what was found there); see `_look`.
        versions: Name -> version of Python, of each library and of this program.
    """

    folder: str
    files: tuple[tuple[str, Path, str], ...]
    versions: Mapping[str, str]

    @classmethod
    def found_here(cls, paths: Iterable[tuple[str, Path]]) -> "Shared":
        """Look at what is on this machine.

        Args:
            paths: (flag, path) of what the processes open.
        """
        files = tuple((flag, path, _look(path)) for flag, path in paths)
        return cls(str(Path.cwd()), files, installed())

    def enter(self) -> None:
        """Make relative paths mean what they mean on the machine that started the command."""
        if Path(self.folder).is_dir():
            os.chdir(self.folder)

    def faults(self) -> list[str]:
        """Return what is different on this machine, in words; none if all is the same."""
        faults = [
            f"{name} {self.versions.get(name)} expected, {found} found"
            for name, found in installed().items()
            if found != self.versions.get(name)
        ]
        for flag, path, expected in self.files:
            found = _look(path)
            if found != expected:
                faults.append(f"{flag} {path}: {expected} expected, {found} found")
        return faults


def fault_of(machine: str, faults: Iterable[str]) -> MachineError:
    """Return the error that tells what is different on a machine."""
    return MachineError(
        f"--engine ray: machine {machine}: {'; '.join(faults)}: all machines need the same files under the same paths, "
        "and the same environment; mount the folders there and install the same versions",
        RULE,
    )


@contextmanager
def mark(folder: Path) -> Iterator[Path]:
    """Put a file into a folder that other machines have to see, and remove it afterwards.

    A folder of the same name on a disk of its own lacks the file. A folder that was made for the mark alone is removed
    too.

    Args:
        folder: The folder; it need not exist.

    Raises:
        MachineError: The folder cannot be written to.
    """
    is_new = not isinstance(folder, Address) and not folder.exists()
    path = folder / f".ray-{os.urandom(8).hex()}.{os.getpid()}.tmp"
    atomic_write(path, lambda file: file.write(path.name.encode()))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


@cache
def installed() -> dict[str, str]:
    """Return the versions on this machine: of Python, of the libraries that compute, and of this program's text."""
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    text = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            text.update(path.relative_to(_ROOT).as_posix().encode() + path.read_bytes())
    return found | {"s4": text.hexdigest()[:12], "byte order": sys.byteorder}


def _look(path: Path) -> str:
    """Describe what lies at a path: a folder, a file with the hash of its bytes, or nothing.

    All machines ask the same store for an address. The size is enough there: a tar may be large.
    """
    try:
        if path.is_dir():
            return "a folder"
        if not path.is_file():
            return "nothing"
        size = f"a file of {path.stat().st_size} bytes"
        return size if isinstance(path, Address) else f"{size}, sha256 {sha256_file(path)[:12]}"
    except (OSError, MachineError) as error:
        return f"nothing that can be read ({error})"
