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
from pipelines.engine.ray_workers import deadly
from pipelines.errors import InputError, MachineError
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
        replaced = config.engine == "ray"
        yield lambda items, stop: _asked(workers.answers, items, config.batch_size, stop, replaced)


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of `size` items; the last one may be shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _asked(
    answers: Callable[..., Any], items: Iterable[Any], size: int, stop: Callable[[], bool], replaced: bool = False
) -> Answers:
    """Yield the answers for pictures, which are handed out in batches.

    Args:
        answers: Does a step with items, see `Workers.answers`.
        items: (image_id, picture) of each.
        size: Pictures of a batch.
        stop: Asked after each batch whether to leave out the others.
        replaced: Whether there are processes for other pictures after one has died.
    """
    if size == 1:
        yield from answers(PredictionWork.predict, items, stop)
        return
    waiting: dict[str, list[Any]] = {}
    groups: Iterable[Any] = _named(batches(items, size), waiting)
    groups = list(groups) if isinstance(items, Sequence) else groups  # processes are counted by their work
    alone: list[Any] = []
    try:
        for name, found in answers(PredictionWork.predict_together, groups, stop):
            batch = waiting.pop(name)
            if not isinstance(found, InputError):
                yield from found
            elif len(batch) == 1:
                yield name, found
            else:  # the fault of one of them
                alone += batch
    except MachineError as error:
        if not replaced or error.rule != "worker-died":
            raise
        replaced = False  # nothing was answered, so it may be the machines that are to blame
        alone += [item for batch in waiting.values() for item in batch]
    if alone and not stop():
        yield from _one_by_one(answers, alone, stop, replaced)


def _named(groups: Iterable[list[Any]], waiting: dict[str, list[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield batches with names for messages, and note what each holds until its answer comes."""
    for batch in groups:
        first, others = batch[0][0], len(batch) - 1
        name = f"{first} with {others} other{'s' * (others > 1)}" if others else first
        waiting[name] = batch
        yield name, batch


def _one_by_one(
    answers: Callable[..., Any], items: Sequence[Any], stop: Callable[[], bool], are_deadly: bool
) -> Answers:
    """Yield the answers for the pictures of batches that gave none.

    Args:
        answers: As for `_asked`.
        items: The pictures.
        stop: As for `_asked`.
        are_deadly: Whether the pictures are to blame if each of them ends its process, since others did not.
    """
    left = dict.fromkeys(image_id for image_id, _ in items)
    try:
        for image_id, found in answers(PredictionWork.predict, items, stop):
            left.pop(image_id)
            yield image_id, found
    except MachineError as error:
        if not are_deadly or error.rule != "worker-died":
            raise
        yield from ((image_id, deadly(image_id)) for image_id in left)


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
