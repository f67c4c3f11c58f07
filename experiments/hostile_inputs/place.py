"""Where an input lies, and what a trial is."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from s4cli.main import main as s4


@dataclass(frozen=True)
class Place:
    """The folder of one input.

    Attributes:
        root: Everything in it but `out` is to stay as it is.
        world: What all inputs share.
        choose: Generator of the input.
    """

    root: Path
    world: Path
    choose: random.Random

    @classmethod
    def new(cls, root: Path, world: Path, choose: random.Random) -> "Place":
        """Make the folders of an input."""
        place = cls(root, world, choose)
        for folder in (place.given, place.cwd, place.home, place.temporary, place.logs):
            folder.mkdir(parents=True)
        return place

    @property
    def given(self) -> Path:
        """The folder of what is hostile."""
        return self.root / "given"

    @property
    def out(self) -> Path:
        """The output."""
        return self.root / "out"

    @property
    def cwd(self) -> Path:
        """The current folder of the command."""
        return self.root / "cwd"

    @property
    def home(self) -> Path:
        """The home of the user."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """The folder of temporary files."""
        return self.root / "tmp"

    @property
    def logs(self) -> Path:
        """What the command says."""
        return self.root / "logs"

    def copied(self, what: str, to: str | None = None) -> Path:
        """Copy something of the world into `given`, and return its path."""
        source, target = self.world / what, self.given / (to or Path(what).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target))

    def voc(self, name: str = "") -> Path:
        """Return a part of the shared VOC folder."""
        return self.world / "voc" / name if name else self.world / "voc"


Build = Callable[[Place], list[str]]
"""Writes an input into a place, and returns the command line."""


class Trial(NamedTuple):
    """One input.

    Attributes:
        family: Kind of the input.
        name: What is hostile about it, and the command.
        build: Writes it.
        calls: Requests to the page of `s4 review`: method, path, body.
        before: Called in the child before the command.
        rewrites: A folder of the place that the command may change beside `out`.
    """

    family: str
    name: str
    build: Build
    calls: list[tuple[str, str, Any]] | None = None
    before: Callable[[Place], None] | None = None
    rewrites: str | None = None


Rest = tuple[Any, ...]
"""A trial without its family: name, build, and so on."""


def run_here(arguments: list[str]) -> int:
    """Run a command line in this process."""
    return s4(arguments)


def quietly(arguments: list[str]) -> int:
    """Run a command line in a child that prints nothing, and return its exit code."""
    child = os.fork()
    if not child:
        code = 70
        try:
            for number in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            code = s4(arguments)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
