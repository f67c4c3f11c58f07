"""Work and steps for the tests of picture workers. Each worker imports this module, so it imports little."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.errors import ConfigError, InputError, MachineError


class LightWork:
    """Notes the pictures that it saw."""

    def __init__(self, unusable: bool = False) -> None:
        self.unusable, self.notes, self.heard = unusable, [], []

    def open(self) -> None:
        if self.unusable:
            raise InputError("run: no checkpoint, one expected; train first", "weights-missing")

    def told(self) -> list[str]:
        told, self.notes = self.notes, []
        return told

    def hear(self, told: list[str]) -> None:
        self.heard += told


def square(work: LightWork, image_id: str, number: int) -> tuple[int, int]:
    """The number squared, and the process; even pictures take longer, so that odd ones are finished first."""
    work.notes.append(image_id)
    if number % 16 == 5:
        warnings.warn("an odd picture", UserWarning, stacklevel=1)
    if number == 7:
        raise InputError("p7: damaged, a picture expected; restore it", "image-damaged")
    time.sleep(0.01 * (number % 2 == 0))
    return number * number, os.getpid()


def meet(work: LightWork, image_id: str, given: tuple[str, int]) -> int:
    """The process, after so many processes have begun a picture that a folder holds a file of each."""
    folder, count = given
    Path(folder, str(os.getpid())).touch()
    while len(os.listdir(folder)) < count:
        time.sleep(0.01)
    return os.getpid()


def surroundings(work: LightWork, image_id: str, given: None) -> tuple[str | None, bool, bool]:
    """The threads that libraries take, whether torch is imported, and whether a main module of somebody is."""
    main = sys.modules.get("__mp_main__") or sys.modules["__main__"]
    return os.environ.get("OMP_NUM_THREADS"), "torch" in sys.modules, hasattr(main, "IS_SCRIPT")


def fail(work: LightWork, image_id: str, number: int) -> int:
    if number == 20:
        raise MachineError("disk: full, room expected; make some", "disk-full")
    return number


def bug(work: LightWork, image_id: str, number: int) -> int:
    return [1][number]


def refuse(work: LightWork, image_id: str, number: int) -> int:
    raise ConfigError("--scales: 7 given, 1 expected; change it", "setting-value")


def die(work: LightWork, image_id: str, number: int) -> int:
    """Die of SIGKILL at number 20, long after the others that were handed out are done."""
    if number == 20:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def crash(work: LightWork, image_id: str, number: int) -> int:
    """Die of SIGSEGV at number 20, while the other process is busy with number 21 for long."""
    if number == 21:
        time.sleep(600)
    if number == 20:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def slow(work: LightWork, image_id: str, folder: str) -> str:
    """Write the number of the process into the folder, and take a while."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(0.05)
    return image_id


def sleep(work: LightWork, image_id: str, folder: str) -> str:
    """As `slow`, but for ever."""
    slow(work, image_id, folder)
    time.sleep(600)
    return image_id


def die_sending(work: LightWork, image_id: str, number: int) -> int | bytes:
    """At number 20, die after half of a large answer was sent."""
    if number == 20:
        _send_half(lambda: os.kill(os.getpid(), signal.SIGKILL))
    return bytes(300_000) if number == 20 else number


def hang_sending(work: LightWork, image_id: str, marker: str) -> str | bytes:
    """At picture p20, stay in the middle of a large answer.

    While it stays there, no other process can answer. So it waits until the folder `marker` is there, which the test
    makes when it has the answer before. A file in the folder shows that half of the answer is sent.
    """
    if image_id == "p20":
        while not Path(marker).is_dir():
            time.sleep(0.01)
        _send_half(lambda: (Path(marker, "half").touch(), time.sleep(600)))
    return bytes(300_000) if image_id == "p20" else image_id


def _send_half(then: Callable[[], object]) -> None:
    def send(connection: Connection, buffer: bytes, write: object = None) -> None:
        os.write(connection.fileno(), buffer[: len(buffer) // 2] if len(buffer) > 1000 else buffer)
        if len(buffer) > 1000:
            then()

    Connection._send = send
