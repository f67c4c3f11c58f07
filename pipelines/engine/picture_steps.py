"""One step with one picture, in whatever process: what engines that share out pictures have in common."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipelines.errors import InputError


class Work(Protocol):
    """What a process works with: it can be pickled, and opens all that cannot at the first use."""

    def open(self) -> None:
        """Open what may be unusable. A worker calls this before every step, so it must be quick once all is open."""
        ...

    def told(self) -> Any:
        """Return what was noted for the user since the last call."""
        ...

    def hear(self, told: Any) -> None:
        """Take what the work of another process noted for the user."""
        ...


Anything = TypeVar("Anything")
W = TypeVar("W", bound=Work)
Given = TypeVar("Given")
Result = TypeVar("Result")
Step = Callable[[Anything, str, Given], Result]
"""(work, image_id, what is given for the picture) -> result. It raises `InputError` for an unusable picture."""


def one_by_one(
    step: Step[Anything, Given, Result],
    work: Anything,
    items: Iterable[tuple[str, Given]],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, Result | InputError]]:
    """Do a step with pictures in this process.

    Args:
        step: The step.
        work: What the step works with.
        items: (image_id, what is given for the picture).
        stop: Asked after each picture whether to leave out the others.

    Yields:
        (image_id, result), or (image_id, error) for an unusable picture.
    """
    for image_id, given in items:
        yield image_id, _attempt(step, work, image_id, given)
        if stop():
            return


def _attempt(step: Step[Anything, Given, Result], work: Anything, image_id: str, given: Given) -> Result | InputError:
    try:
        return step(work, image_id, given)
    except InputError as error:  # one damaged picture does not stop the others
        return error


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """What a worker sends back: the result, what was noted for the user, and what was warned of."""

    result: Result | InputError
    told: Any
    warned: list[tuple[str, type[Warning], str, int]]


def answer_for(work: Work, step: Step[Any, Given, Result], image_id: str, given: Given) -> Answer[Result]:
    """Do a step with a picture, in a worker."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # the parent decides which are shown
        work.open()  # apart from the step: an error here is no fault of the picture
        result = _attempt(step, work, image_id, given)
    warned = [(str(one.message), one.category, one.filename, one.lineno) for one in caught]
    return Answer(result, work.told(), warned)


class Listener:
    """Passes on, in the parent, what workers noted for the user and what they warned of."""

    def __init__(self, work: Work) -> None:
        """Take the work of the parent, which hears what the others noted."""
        self._work = work
        self._warned: dict[Any, Any] = {}  # as `__warningregistry__`: what was warned of already

    def result(self, answer: Answer[Result]) -> Result | InputError:
        """Return the result of an answer, after all else in it was passed on."""
        self._work.hear(answer.told)
        for text, category, file, line in answer.warned:
            warnings.warn_explicit(text, category, file, line, registry=self._warned)
        return answer.result


def in_order(items: Sequence[tuple[str, Any]], answers: Iterable[tuple[str, Result]]) -> Iterator[tuple[str, Result]]:
    """Yield answers, each as soon as those of all items before it have come.

    Args:
        items: (image_id, anything), each image_id once.
        answers: (image_id, answer) in any order; some may be missing at the end.
    """
    early: dict[str, Result] = {}
    order = iter([image_id for image_id, _ in items])
    due = next(order, None)
    for image_id, answer in answers:
        early[image_id] = answer
        while due is not None and due in early:
            yield due, early.pop(due)
            due = next(order, None)
    for rest in order if due is None else (due, *order):
        if rest in early:
            yield rest, early.pop(rest)


class Workers(Protocol[W]):
    """Processes that do steps with pictures; the end of the `with` block ends them."""

    def __enter__(self) -> "Workers[W]":
        """Return this object."""
        ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """End the processes."""
        ...

    def answers(
        self,
        step: Step[W, Given, Result],
        items: Sequence[tuple[str, Given]],
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[str, Result | InputError]]:
        """Do a step with pictures, and yield the results in any order.

        See `pipelines.engine.picture_workers.PictureWorkers.answers`.
        """
        ...
