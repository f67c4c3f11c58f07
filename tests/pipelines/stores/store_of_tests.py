"""A store in memory that can be told to fail, and that counts the questions."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class FlakyStore(MemoryFileSystem):
    """`flaky://`: files in memory, as `memory://` has them, apart from those."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    asked: ClassVar[Counter[str]] = Counter()
    before: Callable[[str, str], None] = staticmethod(lambda question, key: None)

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return MemoryFileSystem._strip_protocol(str(path).replace("flaky://", "memory://"))

    def _ask(self, question: str, key: str) -> None:
        type(self).asked[question] += 1
        type(self).before(question, key)

    def info(self, path: str, **named: Any) -> Any:
        self._ask("info", path)
        return super().info(path, **named)

    def find(self, path: str, *given: Any, **named: Any) -> Any:
        self._ask("find", path)
        return super().find(path, *given, **named)

    def cat_file(self, path: str, *given: Any, **named: Any) -> Any:
        self._ask("cat_file", path)
        return super().cat_file(path, *given, **named)

    def pipe_file(self, path: str, value: bytes, *given: Any, **named: Any) -> Any:
        self._ask("pipe_file", path)
        return super().pipe_file(path, value, *given, **named)


@contextmanager
def empty_stores() -> Iterator[None]:
    """Give `memory://` and `flaky://` without any file, and leave them so."""
    fsspec.register_implementation("flaky", FlakyStore, clobber=True)
    for cls in (MemoryFileSystem, FlakyStore):
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
    FlakyStore.asked.clear()
    FlakyStore.before = staticmethod(lambda question, key: None)
    try:
        yield
    finally:
        MemoryFileSystem.store.clear()
        FlakyStore.store.clear()
        FlakyStore.before = staticmethod(lambda question, key: None)


def copy_in(folder: Path, store: str, key: str) -> None:
    """Copy the files of a folder into a store."""
    system = fsspec.filesystem(store)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.is_file():
            inside = path.relative_to(folder).as_posix() if folder.is_dir() else ""
            MemoryFileSystem.pipe_file(system, f"{key}/{inside}".rstrip("/"), path.read_bytes())


def files_in(store: str, key: str) -> dict[str, bytes]:
    """Return the content of the files below a key, by their paths below it."""
    system = fsspec.filesystem(store)
    found = MemoryFileSystem.find(system, key)
    return {name.removeprefix(f"{key}/"): MemoryFileSystem.cat_file(system, name) for name in found}
