"""What a user is told when the disk refuses: no room, no rights, no such file."""

import errno
import shutil
from pathlib import Path

from pipelines.errors import InputError, MachineError, S4Error
from pipelines.stores.address import Address

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, a quota, or a limit on the size of a file
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Numbers of errors by which a system says that it does not allow something."""


def free_bytes(place: Path) -> int | None:
    """Return the free space where a file or folder is or will be; None where the file system does not tell it."""
    if isinstance(place, Address):
        return None
    place = place.absolute()
    existing = next((one for one in (place, *place.parents) if one.exists()), place)
    try:
        usage = shutil.disk_usage(existing)
    except OSError:
        return None
    return usage.free if usage.total else None  # some file systems of the network count nothing


def require_space(path: Path, needed: int) -> None:
    """Check that a disk has room before time is spent on what will be written there.

    Args:
        path: The file or folder to be written.
        needed: Bytes that it will take.

    Raises:
        MachineError: There is less room [disk-full].
    """
    free = free_bytes(path)
    if free is not None and free < needed:
        raise _no_room(path, "too little space on the disk", f"{needed} bytes needed", free)


def full_disk(error: BaseException | None) -> OSError | None:
    """Return the error of a full disk behind an error of a library; None if there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def write_error(path: Path, error: OSError, needed: int | None = None) -> S4Error:
    """Return what a user is told of a file that cannot be written.

    Args:
        path: The file.
        error: What the system said.
        needed: Bytes that the file needs at least; None if unknown.
    """
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        wanted = "room for the file needed" if needed is None else f"at least {needed} bytes needed"
        return _no_room(path, reason, wanted, free_bytes(path))
    if error.errno == errno.ENAMETOOLONG:
        return InputError(
            f"{path}: {error.strerror}, a shorter one expected; rename the picture or choose another folder",
            "name-too-long",
        )
    if error.errno in FORBIDDEN:
        return MachineError(
            f"{path}: {error.strerror}, expected a folder that may be written to; change its rights or the path",
            "no-permission",
        )
    return MachineError(
        f"{path}: {error.strerror or error}, expected to write the file; check the path and the disk", "write-failed"
    )


def read_error(path: Path, error: OSError) -> S4Error:
    """Return what a user is told of a file that cannot be read."""
    return MachineError(
        f"{path}: {error.strerror or error}, expected a readable file; check its rights and its disk", "read-failed"
    )


def _no_room(path: Path, found: str, wanted: str, free: int | None) -> MachineError:
    there = "" if free is None else f", {free} bytes free"
    message = f"{path}: {found}, {wanted}{there}; make room or choose another folder, and start again"
    return MachineError(message, "disk-full")
