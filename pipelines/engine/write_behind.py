"""Files written beside the work that fills the next ones."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from pipelines.events import Progress

_WAITING = 4  # items that may wait for the disk while work goes on


@contextmanager
def write_behind(progress: Progress) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give a function that takes a write and does it in another thread, one after the other.

    When few writes wait the function returns at once. Progress advances by one with each write that is done; an error
    of a write comes up in the caller. All writes are done at the end of the block, also where an error ends it.
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
