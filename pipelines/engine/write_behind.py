"""Files written beside the work that fills the next ones."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from pipelines.events import Progress

_WAITING = 4  # items that may wait for the disk while work goes on


@contextmanager
def write_behind(progress: Progress) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give a function that takes writes, which another thread does one after the other.

    The function returns at once while few writes wait. Progress advances by one with each write that is done. An error
    of a write is raised in the caller. At the end of the block all writes are done, also where an error ends the block.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
        waiting: deque[Future[None]] = deque()

        def settle(most_left: int) -> None:
            while len(waiting) > most_left:
                waiting.popleft().result()
                progress.advance()

        def write(item: Callable[[], None]) -> None:
            waiting.append(writer.submit(item))
            settle(_WAITING)

        yield write
        settle(0)
