"""Folders with links, pipes, sockets and devices."""

import os
import random
from collections.abc import Callable, Iterator

from experiments.hostile_inputs.commands import (
    OVER_PICTURES,
    describe,
    encoded,
    first_class,
    over_pictures,
    scene,
    write_pictures,
)
from experiments.hostile_inputs.place import Build, Place, Rest


def hostile_links(choose: random.Random) -> Iterator[Rest]:
    """Yield folders with links, pipes, sockets and devices."""
    for name in LINKS:
        for command in choose.sample(list(OVER_PICTURES), 5):
            yield f"{name}, {command}", _linked(name, command)


def _linked(name: str, command: str) -> Build:
    def build(place: Place) -> list[str]:
        folder = write_pictures(place, {"x.jpg": encoded(scene(3), "JPEG")})
        below = folder / first_class(place)
        LINKS[name](place, os.fspath(below))
        describe(place, folder)
        return over_pictures(command, place)

    return build


def _socket(path: str) -> None:
    import socket

    here = os.getcwd()
    os.chdir(os.path.dirname(path))  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.basename(path))
    finally:
        os.chdir(here)


def _deep(below: str) -> None:
    here = os.open(below, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 20, dir_fd=here)
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


LINKS: dict[str, Callable[[Place, str], object]] = {
    "loop of folders": lambda place, below: os.symlink(".", f"{below}/again"),
    "loop over two": lambda place, below: (
        os.symlink("two.jpg", f"{below}/one.jpg"),
        os.symlink("one.jpg", f"{below}/two.jpg"),
    ),
    "dangling": lambda place, below: os.symlink("nowhere.jpg", f"{below}/gone.jpg"),
    "to outside": lambda place, below: os.symlink(place.voc("JPEGImages"), f"{below}/outside"),
    "to the parent": lambda place, below: os.symlink("../..", f"{below}/up"),
    "to a device": lambda place, below: os.symlink("/dev/zero", f"{below}/zero.jpg"),
    "to random": lambda place, below: os.symlink("/dev/urandom", f"{below}/random.png"),
    "to standard input": lambda place, below: os.symlink("/dev/stdin", f"{below}/stdin.jpg"),
    "to a process": lambda place, below: os.symlink("/proc/self/mem", f"{below}/mem.jpg"),
    "to proc": lambda place, below: os.symlink("/proc/self", f"{below}/self"),
    "hard links": lambda place, below: [os.link(f"{below}/x.jpg", f"{below}/y{number}.jpg") for number in range(4)],
    "a pipe": lambda place, below: os.mkfifo(f"{below}/pipe.jpg"),
    "a socket": lambda place, below: _socket(f"{below}/socket.jpg"),
    "a folder named so": lambda place, below: os.makedirs(f"{below}/folder.jpg/inner.png"),
    "deep folders": lambda place, below: _deep(below),
    "no permission": lambda place, below: os.chmod(f"{below}/x.jpg", 0),
    "masks loop": lambda place, below: os.symlink("..", place.given / "masks" / "loop"),
    "chain of links": lambda place, below: [
        os.symlink(f"l{number + 1}.jpg" if number < 60 else "x.jpg", f"{below}/l{number}.jpg") for number in range(61)
    ],
}
