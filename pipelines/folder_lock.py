"""Locks of folders that commands fill, so that no two processes write into the same one.

A lock is a small file in the folder: who holds it, where, and since when. It appears whole, as a hard link to a
finished temporary file. A link is made in one step on local disks and on NFS alike, and the reader always finds a
holder to name. `flock` was no choice: some network file systems lack it, others grant it to each machine apart, and it
tells nobody who holds the lock.

The file outlives a killed process. Such a lock is stale. It is taken over only where it is certain that the holder is
gone. That is so if the same system runs no such process any more, or if the same machine was started anew. A process
number that was given to another process is told apart by the time at which the process started. Of a holder on another
machine, or in another container, nothing is certain: the lock holds until somebody removes the file.

Two processes may want to take over one stale lock. Each stale lock has a token of its own. Whoever takes the lock over
first takes a second lock, named after that token, and looks once more. So no process can replace a lock that another
process has just taken.
"""

import errno
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.files import is_running, write_text
from pipelines.regular_files import open_regular

_NAME = re.compile(r"\.s4-lock(?:-(\d+)-of-(\d+))?")
# What a file system without hard links answers.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_TRIES, _PAUSE = 40, 0.05  # seconds; a file system without links shows a lock before its content
_ENDED = "ZX"  # states of processes that have ended and wait for their parent


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        command: What the process does, such as `s4 train`.
        host: Name of its machine.
        pid: Its number.
        since: When it took the lock, for people.
        process_start: When the process started, in clock ticks since its system started; -1 if that is unknown.
        boot: Id of the system's start; "" if that is unknown.
        machine: Id of the machine; "" if it has none.
        namespace: Where its number counts: containers on one system number their processes apart.
        token: Text that no other lock has.
    """

    command: str
    host: str
    pid: int
    since: str
    process_start: int
    boot: str
    machine: str
    namespace: str
    token: str

    @classmethod
    def here(cls, command: str) -> "Holder":
        """Describe this process."""
        pid = os.getpid()
        return cls(
            command=command,
            host=platform.node(),
            pid=pid,
            since=time.strftime("%Y-%m-%d %H:%M:%S %z"),
            process_start=_process_start(pid) or -1,
            boot=_line("/proc/sys/kernel/random/boot_id"),
            machine=_line("/etc/machine-id"),
            namespace=_namespace(),
            token=uuid.uuid4().hex,
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the process runs where this process cannot look."""
        return not self.boot or (self.boot, self.namespace) != (_line("/proc/sys/kernel/random/boot_id"), _namespace())

    @property
    def is_gone(self) -> bool:
        """Whether the process has certainly ended."""
        if not self.is_elsewhere:
            start = _process_start(self.pid)
            return start is None or (start != self.process_start and -1 not in (start, self.process_start))
        same_system = self.boot in ("", _line("/proc/sys/kernel/random/boot_id"))
        same_machine = bool(self.machine) and (self.machine, self.host) == (_line("/etc/machine-id"), platform.node())
        return same_machine and not same_system

    def __str__(self) -> str:
        """Name the process for people."""
        return f"{self.command} (process {self.pid} on {self.host}, since {self.since})"


@contextmanager
def sole_writer(
    folder: Path, command: str, tell: Callable[[str], object], part: tuple[int, int] = (1, 1), file: str = ""
) -> Iterator[None]:
    """Hold a folder for this process while the context is open. The folder is made if it is missing.

    At the end the lock is removed, and so are the folders that were made if nothing was written into them.

    Args:
        folder: The folder.
        command: What the process does, for whoever finds the folder in use.
        tell: Receives a line if a stale lock is taken over.
        part: (I, N): the process does part I of N. The parts of one division may work at the same time.
        file: Name of the only file that is written. The rest of the folder is free then.

    Raises:
        ConfigError: Another process holds the folder [folder-busy].
        MachineError: The folder cannot be made or written to.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    path, mine = folder / _lock_name(part, file), Holder.here(command)
    _take(path, mine, tell)
    try:
        if not file:
            _clear_others(folder, path, mine, tell)
        yield
    finally:
        _release(path, mine)
        with suppress(OSError):  # the rest is not empty
            for place in missing if os.getpid() == mine.pid else ():
                place.rmdir()


def require_free(folder: Path, part: tuple[int, int] = (1, 1), file: str = "") -> None:
    """Check that no other process holds a folder; nothing is touched. The arguments are those of `sole_writer`.

    Raises:
        ConfigError: Another process holds the folder [folder-busy].
    """
    for path in [folder / _lock_name(part, file), *([] if file else _others(folder, part))]:
        holder = _read(path)
        if holder is not None and not holder.is_gone:
            raise _busy(path, holder)


def was_held(folder: Path) -> bool:
    """Return whether a folder has a lock, so that a command of this program is or was at work in it."""
    return any(_NAME.fullmatch(name) for name in _names(folder))


def is_held_elsewhere(folder: Path) -> bool:
    """Return whether a process holds a folder of which this process cannot see whether it still runs."""
    holders = (_read(folder / name) for name in _names(folder) if _NAME.fullmatch(name))
    return any(holder is not None and holder.is_elsewhere and not holder.is_gone for holder in holders)


def _lock_name(part: tuple[int, int], file: str) -> str:
    if file:
        return f".{file}.s4-lock"
    return ".s4-lock" if part[1] == 1 else f".s4-lock-{part[0]}-of-{part[1]}"


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _others(folder: Path, part: tuple[int, int]) -> list[Path]:
    """Return the locks of other divisions into parts: theirs and this one overlap."""
    found = [(name, _NAME.fullmatch(name)) for name in _names(folder)]
    return [folder / name for name, match in found if match and int(match.group(2) or 1) != part[1]]


def _clear_others(folder: Path, path: Path, mine: Holder, tell: Callable[[str], object]) -> None:
    """Remove stale locks of other divisions; refuse others. The own lock is there: one of two processes sees it."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    for other in _others(folder, (int(match.group(1) or 1), int(match.group(2) or 1))):
        holder = _read(other)
        if holder is not None:
            _take(other, mine, tell)
            _release(other, mine)


def _take(path: Path, mine: Holder, tell: Callable[[str], object]) -> None:
    """Make the lock, or take it over."""
    for _ in range(_TRIES):
        if _made(path, mine):
            return
        holder = _read(path)
        if holder is None:  # it was removed, or is not whole yet
            time.sleep(_PAUSE)
        elif not holder.is_gone:
            raise _busy(path, holder)
        elif _taken_over(path, holder, mine, tell):
            tell(f"{path.parent}: {holder} is gone, its lock is taken over")
            return
    message = f"{path}: a lock that cannot be read, one that names its process expected"
    raise ConfigError(f"{message}; remove it if no s4 is at work there", "folder-busy")


def _taken_over(path: Path, holder: Holder, mine: Holder, tell: Callable[[str], object]) -> bool:
    """Replace a stale lock; return False if another process was faster."""
    claim = path.with_name(f"{path.name}.{holder.token}")
    _take(claim, mine, tell)
    try:
        still = _read(path)
        if still is None or still.token != holder.token:
            return False
        write_text(path, _content(mine))
        return True
    finally:
        _release(claim, mine)


def _made(path: Path, mine: Holder) -> bool:
    """Make a lock; return False if there is one."""
    temporary = path.with_name(f"{path.name}.{mine.token}.{mine.pid}.tmp")  # a name that the sweep knows
    try:
        write_text(temporary, _content(mine))
    except MachineError as error:
        raise MachineError(error.message.replace(str(temporary), str(path.parent)), error.rule) from error
    try:
        os.link(temporary, path)
    except FileExistsError:
        return os.stat(temporary).st_nlink == 2  # NFS may lose the answer to a link that it made
    except OSError as error:
        if error.errno in _NO_LINKS:
            return _made_without_link(path, mine)
        message = f"{path}: {error.strerror or error}, a folder that can be written to expected; check its rights"
        raise MachineError(message, "write-failed") from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _made_without_link(path: Path, mine: Holder) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_content(mine))
    except FileExistsError:
        return False
    return True


def _release(path: Path, mine: Holder) -> None:
    """Remove a lock of this process; a forked process leaves it to its parent."""
    holder = _read(path)
    if holder is not None and holder.token == mine.token and os.getpid() == mine.pid:
        with suppress(OSError):
            path.unlink()


def _content(holder: Holder) -> str:
    return json.dumps(asdict(holder), indent=2) + "\n"


def _read(path: Path) -> Holder | None:
    """Return the holder of a lock; None if there is no whole lock."""
    try:
        with open_regular(path) as file:
            content = json.loads(file.read())
        holder = Holder(**{field.name: content[field.name] for field in fields(Holder)})
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = type(holder.pid) is int and holder.pid > 0 and re.fullmatch(r"[0-9a-f]{32}", str(holder.token))
    return holder if whole else None


def _busy(path: Path, holder: Holder) -> ConfigError:
    remedy = f"; if that process is gone, remove {path}" if holder.is_elsewhere else ""
    message = f"{path.parent}: {holder} is at work here, no other process expected"
    return ConfigError(f"{message}; wait for it, or choose another folder{remedy}", "folder-busy")


def _process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks; None if there is no such process, -1 if that is unknown."""
    try:
        # The name of the program stands in parentheses and may hold anything, spaces and parentheses too.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if state in _ENDED else int(numbers[18])
    except (FileNotFoundError, ProcessLookupError):
        return -1 if is_running(pid) else None  # /proc may hide the processes of others
    except (OSError, ValueError, IndexError):
        return -1


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
