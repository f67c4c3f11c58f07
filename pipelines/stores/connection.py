"""The stores that addresses lead to: fsspec's file systems, how they are opened, and what their failures mean."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import PurePosixPath
from threading import Lock
from typing import Any, NamedTuple

from pipelines.errors import ConfigError, InputError, MachineError, S4Error, masked, nearest_name


class Store(NamedTuple):
    """A store, and the texts around the paths in it.

    Attributes:
        protocols: The protocols of the address, the store's own one first.
        before: Text of an address before the path inside the store.
        host: The first part of the path, where it is a host or a bucket.
        after: Text behind the path: the archive that the store lies in.
    """

    protocols: tuple[str, ...]
    before: str
    host: str
    after: str

    @property
    def opened(self) -> tuple[Any, AbstractContextManager[Any]]:
        """The file system of fsspec, and the lock for questions to it.

        Raises:
            ConfigError: No file system has this protocol [address-protocol], a package is not installed
                [address-driver], or the address lacks a part [address-form].
            InputError: The archive that the store lies in is not there [file-missing].
            MachineError: The connection fails [address-failed] or is refused [no-permission].
        """
        return _store(f"{self.before}{self.host}{self.after}")

    def text(self, inside: PurePosixPath) -> str:
        """Return the address of a path in the store."""
        return f"{self.before}{'' if str(inside) == '.' else inside}{self.after}"

    def key(self, inside: PurePosixPath) -> str:
        """Return the name by which fsspec knows a path in the store.

        Raises:
            ConfigError: The driver takes no such path [address-form].
        """
        with _whole(self.text(inside)):
            return str(self.opened[0]._strip_protocol(f"{self.before.rpartition('::')[2]}{inside}"))

    def forget(self, inside: PurePosixPath) -> None:
        """Make the driver forget what it keeps of a path, since others write too; errors as for `key`."""
        with _whole(self.text(inside)):
            self.opened[0].invalidate_cache(self.key(inside))


def split_address(text: str) -> tuple[Store, PurePosixPath]:
    """Return the store of an address, and the path inside the store."""
    # In `zip://inside::file:///outside.zip` the first part has the path. In `simplecache::s3://b/c`, the second has it.
    parts = text.split("::")
    number = next(number for number, part in enumerate(parts) if "://" in part)
    protocol, _, inside = parts[number].partition("://")
    before = "".join(f"{part}::" for part in parts[:number]) + f"{protocol}://"
    after = "".join(f"::{part}" for part in parts[number + 1 :])
    protocols = tuple(part.partition("://")[0] for part in parts)
    return Store(protocols, before, inside.partition("/")[0], after), PurePosixPath(inside)


@cache
def _store(text: str) -> tuple[Any, AbstractContextManager[Any]]:
    """Return fsspec's file system for an address, and the lock for questions to it."""
    shown = masked(text)
    try:
        from fsspec.core import url_to_fs

        store = url_to_fs(text)[0]
        # A driver with a loop of its own takes questions from any thread.
        return store, nullcontext() if store.async_impl else Lock()
    except ImportError as error:
        raise ConfigError(
            f"{shown}: a package for this protocol is not installed ({masked(str(error))}), it is expected; install it "
            "with pip",
            "address-driver",
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            f"{shown}: nothing is there ({in_words(error)}), an archive expected; check the address", "file-missing"
        ) from error
    except OSError as error:
        raise failure(shown, error, "the connection failed") from error
    except Exception as error:
        if "rotocol not known" in str(error):
            from fsspec import available_protocols

            near = nearest_name(text.partition("://")[0].rpartition("::")[2], available_protocols())
            hint = f"did you mean {near}?" if near else "check the address"
            raise ConfigError(
                f"{shown}: no file system has this protocol, one that fsspec knows expected; {hint}", "address-protocol"
            ) from error
        raise _unusable(text, error) from error


@contextmanager
def _whole(text: str) -> Iterator[None]:
    """Turn what a driver raises on an address whose form it does not take into an error with a rule."""
    try:
        yield
    except S4Error:
        raise
    except Exception as error:  # each driver has errors of its own
        raise _unusable(text, error) from error


def _unusable(text: str, error: Exception) -> ConfigError:
    message = f"{masked(text)}: cannot be opened ({in_words(error)}), a whole address expected; correct it"
    return ConfigError(message, "address-form")


def failure(shown: str, error: Exception, found: str) -> MachineError:
    """Return the error of a store that refuses or fails.

    Args:
        shown: The address.
        error: The error of the driver.
        found: What happened, if it is no refusal.
    """
    if is_refusal(error):
        return MachineError(
            f"{shown}: the store refuses access ({in_words(error)}), credentials with the right to it expected; check "
            "them in the environment or in the settings of fsspec",
            "no-permission",
        )
    return MachineError(
        f"{shown}: {found} ({in_words(error)}), an answer expected; check the address and the network, and start the "
        "same command again",
        "address-failed",
    )


def in_words(error: BaseException) -> str:
    """Return the kind of a driver's error and the first line of what it says."""
    lines = masked(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Return whether a store refuses access; each driver says so in its own way."""
    status = getattr(error, "status", getattr(error, "code", None))
    return (
        isinstance(error, PermissionError)
        or status in (401, 403, "401", "403")
        or any(word in type(error).__name__ for word in ("Credential", "Forbidden", "Unauthorized", "AccessDenied"))
    )
