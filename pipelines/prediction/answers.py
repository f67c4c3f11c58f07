"""Pictures handed to the network, in this process or in several, one by one or in batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

from pipelines.config import PredictConfig
from pipelines.data.images import open_working_picture
from pipelines.data.video import VideoFrame
from pipelines.engine.distributed import choose_device
from pipelines.engine.picture_engine import arithmetic, open_workers
from pipelines.engine.picture_steps import one_by_one
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.prediction.work import Ahead, Found, PredictionWork, Source

Items = Sequence[tuple[str, Source]]
Answers = Iterator[tuple[str, Found | InputError]]
Ask = Callable[[Items, Callable[[], bool]], Answers]
"""(image_id and picture of each, stop) -> (image_id, what was found, or the error of an unusable picture) of each."""


@contextmanager
def open_answers(config: PredictConfig, work: PredictionWork, pictures: Sequence[Any], events: Events) -> Iterator[Ask]:
    """Give a function that predicts pictures and yields the results in their order.

    Args:
        config: Settings of `s4 predict`.
        work: The network.
        pictures: Files of the pictures; a few serve to compare machines.
        events: Told of the start of processes.
    """
    if config.engine == "local" and choose_device(config.device).type != "cpu":
        ahead = max(2 if config.workers is None else config.workers, config.batch_size)

        def here(step: Any, items: Any, stop: Callable[[], bool]) -> Iterator[tuple[str, Any]]:
            return one_by_one(step, work, items, stop)

        with ThreadPoolExecutor(max(1, ahead), thread_name_prefix="reader") as readers:
            yield lambda items, stop: _asked(here, _read_ahead(readers, items, ahead), config.batch_size, stop)
        return
    with arithmetic(config), open_workers(config, work, pictures, events) as workers:
        yield lambda items, stop: _asked(workers.answers, items, config.batch_size, stop)


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of `size` items; the last one may be shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _asked(answers: Callable[..., Any], items: Iterable[Any], size: int, stop: Callable[[], bool]) -> Answers:
    if size == 1:
        yield from answers(PredictionWork.predict, items, stop)
        return
    groups: Iterable[Any] = ((batch[0][0], batch) for batch in batches(items, size))
    groups = list(groups) if isinstance(items, Sequence) else groups  # processes are counted by their work
    for first, found in answers(PredictionWork.predict_together, groups, stop):
        yield from [(first, found)] if isinstance(found, InputError) else found


def _read_ahead(
    readers: ThreadPoolExecutor, items: Items, ahead: int
) -> Iterator[tuple[str, Ahead] | tuple[str, VideoFrame]]:
    """Yield the pictures in order, while threads decode the next ones."""
    waiting: deque[Any] = deque()
    for image_id, picture in items:
        if isinstance(picture, VideoFrame):
            waiting.append((image_id, picture))
        else:
            waiting.append((image_id, (picture, readers.submit(open_working_picture, picture))))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting
