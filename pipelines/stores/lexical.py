"""What an address says without a question to its store: its parts, and the addresses around it."""

from os import PathLike
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, Self

from pipelines.errors import ConfigError, masked
from pipelines.stores.connection import Store, split_address

if TYPE_CHECKING:
    from pathlib import Path as _Here
else:
    _Here = type(Path())  # the Path of this operating system


class LexicalAddress(_Here):
    """An address, as far as its text goes; `Address` asks the store too."""

    __slots__ = ("_inside", "_root", "_size")

    _root: Store
    _inside: PurePosixPath
    _size: int | None

    def __new__(cls, text: str, size: int | None = None) -> Self:
        """Make an address without a question to the store.

        Args:
            text: The address.
            size: Number of bytes of the file, where a listing has told it.
        """
        return cls._of(*split_address(text), size)

    def __init__(self, text: str, size: int | None = None) -> None:
        """Do nothing: all is done."""

    @classmethod
    def _of(cls, root: Store, inside: PurePosixPath, size: int | None = None) -> Self:
        address = object.__new__(cls)
        address._root, address._inside, address._size = root, inside, size
        return address

    def _at(self, inside: PurePosixPath) -> Self:
        return type(self)._of(self._root, inside)

    @property
    def text(self) -> str:
        """The address with its credentials."""
        return self._root.text(self._inside)

    @property
    def key(self) -> str:
        """The name by which fsspec knows the path."""
        return self._root.key(self._inside)

    @property
    def store(self) -> Any:
        """The file system of fsspec; errors as for `Store.opened`."""
        return self._root.opened[0]

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of the address; of `simplecache::s3://bucket` these are simplecache and s3."""
        return self._root.protocols

    # What a path says without a question to the store.

    def __str__(self) -> str:
        """Return the address without credentials."""
        return masked(self.text)

    def __repr__(self) -> str:
        """Return the class and the address without credentials."""
        return f"{type(self).__name__}({str(self)!r})"

    def __fspath__(self) -> NoReturn:
        """Refuse to be a path of the operating system.

        Raises:
            ConfigError: Always [address-unsupported].
        """
        raise ConfigError(
            f"{self}: an address, a path on this machine expected here; copy the files to this machine and name them "
            "there",
            "address-unsupported",
        )

    # `Path(address)` and `path / address` take these two of another path, and do not ask `__fspath__`.
    _parts = _raw_paths = property(__fspath__)

    def __reduce__(self) -> Any:
        """Return what another process needs."""
        return type(self), (self.text, self._size)

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same address."""
        return isinstance(other, LexicalAddress) and self.text == other.text

    def __hash__(self) -> int:
        """Return the hash of the address."""
        return hash(self.text)

    def __lt__(self, other: PurePath) -> bool:
        """Order addresses as texts."""
        return str(self) < str(other)

    def __gt__(self, other: PurePath) -> bool:
        """Order addresses as texts."""
        return str(self) > str(other)

    def __truediv__(self, name: str | PathLike[str]) -> Self:
        """Return an address below this one."""
        return self._at(self._inside / name)

    def joinpath(self, *other: str | PathLike[str]) -> Self:
        """Return an address below this one."""
        return self._at(self._inside.joinpath(*other))

    def as_posix(self) -> str:
        """Return the address without credentials."""
        return str(self)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path inside the store."""
        return self._inside.parts

    @property
    def name(self) -> str:
        """The last part."""
        return self._inside.name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self._inside.stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part."""
        return self._inside.suffix

    @property
    def parent(self) -> Self:
        """The address above; a bucket is the highest, because other buckets have nothing to do with it."""
        return self._at(self._inside.parent) if len(self.parts) > 1 else self

    @property
    def parents(self) -> tuple[Self, ...]:
        """All addresses above, the nearest first."""
        return tuple(self._at(above) for above in self._inside.parents if above.parts)

    def with_name(self, name: str) -> Self:
        """Return the address of another name beside this one."""
        return self._at(self._inside.with_name(name))

    def with_suffix(self, suffix: str) -> Self:
        """Return the address with another suffix."""
        return self._at(self._inside.with_suffix(suffix))

    def relative_to(self, *other: Any) -> PurePosixPath:  # type: ignore[override]
        """Return the path from an address above to this one.

        Raises:
            ValueError: The other path is not above this one.
        """
        (above,) = other
        if not isinstance(above, LexicalAddress) or (above._root.before, above._root.after) != (
            self._root.before,
            self._root.after,
        ):
            raise ValueError(f"{self} does not lie below {above}")
        return self._inside.relative_to(above._inside)

    def is_relative_to(self, *other: Any) -> bool:
        """Return whether this address is the other one or lies below it."""
        try:
            self.relative_to(*other)
        except ValueError:
            return False
        return True

    def is_absolute(self) -> bool:
        """Return True: an address does not depend on the current folder."""
        return True

    def absolute(self) -> Self:
        """Return the same address."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Return the same address: a store has no links."""
        return self
