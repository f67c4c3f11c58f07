"""Processes that work on pictures one by one, and give the same answers in the same order as one process.

Pictures are handed out one at a time, so a process on a slow core holds up no other. Every process computes with one
thread: on a machine with busy neighbours, threads of small layers mostly wait for each other.

The processes are those of `concurrent.futures.ProcessPoolExecutor`, started by `spawn`. `fork` is not safe beside the
threads of torch. Four things are added here:

- The main module of the user is not imported again. So scripts need no `if __name__ == "__main__"`.
- Ctrl-C and SIGTERM are for the parent alone. The parent ends the workers.
- A worker ends when its parent does, however that ends.
- A worker that dies is told as an error with the names of its pictures. That holds for one too that dies while it sends
  an answer: the pool alone would wait for the rest of the answer for ever.

`pipelines.engine.ray_workers` does the same on the machines of a Ray cluster. Both do a step by
`pipelines.engine.picture_steps.answer_for`.
"""

import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from multiprocessing.queues import SimpleQueue
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, Generic, Self

from pipelines.engine.own_process import OwnProcess
from pipelines.engine.picture_steps import Answer, Given, Listener, Result, Step, W, answer_for, one_by_one
from pipelines.engine.signals import ASKING
from pipelines.errors import InputError, MachineError
from pipelines.events import Events

FEWEST = 16
"""Pictures that a process must have for itself. With fewer, to start the process takes longer than it saves."""
_AHEAD = 4  # pictures handed out for each process, so that a slow picture does not stop the other processes
_GRACE = 3.0  # seconds in which the pool has noticed a death, unless it waits for the rest of an answer
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
"""Environment of a process that computes with one thread."""


class PictureWorkers(Generic[W]):
    """Does steps with pictures: in several processes if there are enough pictures, else in this one.

    Use it in a `with` block, whose end ends the processes.
    """

    def __init__(self, work: W, processes: int, events: Events) -> None:
        """Start no process yet.

        Args:
            work: What the steps work with. Each process gets a copy.
            processes: The most processes. With 1 or less, all is done in this process.
            events: Told of the start.
        """
        # A daemon process may have no children.
        self._work, self._most, self._events = work, 1 if current_process().daemon else processes, events
        self._crew: _Crew[W] | None = None
        self._listener = Listener(work)

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, whatever they do."""
        if self._crew is not None:
            self._crew.end()

    def answers(
        self,
        step: Step[W, Given, Result],
        items: Sequence[tuple[str, Given]],
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[str, Result | InputError]]:
        """Do a step with pictures.

        Args:
            step: A function of a module, or a method of a class; it is pickled by its name.
            items: (image_id, what is given for the picture).
            stop: Asked after each picture whether to leave out the others.

        Yields:
            (image_id, result), or (image_id, error) for an unusable picture, in the order of `items`.

        Raises:
            MachineError: A process died [worker-died]. All that was finished was yielded before.
        """
        size = min(self._most, len(items) // FEWEST)
        if size > (1 if self._crew is None else self._crew.size):
            self._replace_crew(size)
        if self._crew is None:
            yield from one_by_one(step, self._work, items, stop)
            return
        for image_id, answer in self._crew.answers(step, items, stop):
            result = self._listener.result(answer)
            yield image_id, result

    def _replace_crew(self, size: int) -> None:
        """Start processes. Fewer that worked on the few pictures of an earlier pass end before."""
        if self._crew is not None:
            self._crew.end()
        self._crew = _Crew(self._work, size)
        self._events.info(f"{size} processes of one thread each work on the pictures")


class _Crew(Generic[W]):
    """Running workers."""

    def __init__(self, work: W, size: int) -> None:
        """Prepare workers; each starts with the first picture for it."""
        self.size = size
        self._context = _Context()
        self._works = self._context.Queue()
        self._stopped = self._context.RawValue("b", 0)  # without a lock, with which a worker might die
        ForkingPickler.dumps(work)  # a fault shows here: the thread below would swallow it
        # The start of a process waits until its arguments are read. These are small, so that all start together. The
        # work itself may be large. Another thread sends the work.
        for _ in range(size):
            self._works.put(work)
        self._pool = ProcessPoolExecutor(size, self._context, _prepare, (self._works, self._stopped))
        self._cut_off = False  # whether a worker died while it sent an answer

    def end(self) -> None:
        """Kill the workers. They hold nothing that is not written, and to take torch down politely takes seconds."""
        self._kill_all()
        self._pool.shutdown()
        self._works.cancel_join_thread()
        self._works.close()

    def answers(
        self, step: Step[W, Given, Result], items: Iterable[tuple[str, Given]], stop: Callable[[], bool]
    ) -> Iterator[tuple[str, Answer[Result]]]:
        """Yield the answers in the order of the items; see `PictureWorkers.answers`."""
        source = iter(items)
        waiting: deque[tuple[str, Future[Any]]] = deque()
        failure: Exception | None = None
        while failure is None:
            while not stop() and len(waiting) < _AHEAD * self.size and (item := next(source, None)) is not None:
                waiting.append((item[0], self._submit(step, *item)))
            if stop():
                self._stopped.value = 1
            if not waiting:
                return
            image_id, future = waiting[0]
            try:
                answer = self._wait_for(future)
            except Exception as error:
                failure = error
            else:
                waiting.popleft()
                if answer is not None:
                    yield image_id, answer
        finished = [one for one in waiting if one[1].done() and one[1].exception() is None]
        yield from ((image_id, future.result()) for image_id, future in finished if future.result() is not None)
        # Without a cause: with one, the death only looks like that, because an answer could not be read.
        if isinstance(failure, BrokenProcessPool) and (self._cut_off or failure.__cause__ is None):
            raise self._death([image_id for image_id, future in waiting if (image_id, future) not in finished])
        raise failure

    def _wait_for(self, future: "Future[Any]") -> Any:
        """Return the result of a future, also if a worker dies while it sends an answer.

        The pool reads an answer of a worker until its last byte. Of a worker that died in between, the last byte never
        comes. The pool is freed by the end of the stream, which comes when nobody can write to it any more.
        """
        while not self._cut_off:
            try:
                return future.result(_GRACE)
            except TimeoutError:
                if future.done():
                    break  # the error is that of the step
            started = [worker for worker in self._context.workers if worker.pid is not None]
            if wait([worker.sentinel for worker in started], timeout=0) and not future.done():
                self._free_the_pool(future)
        return future.result()

    def _free_the_pool(self, future: "Future[Any]") -> None:
        """End the stream of answers, unless the pool notices the death of a worker by itself."""
        try:
            future.exception(_GRACE)
        except TimeoutError:
            self._cut_off = True
            self._kill_all()

    def _kill_all(self) -> None:
        """Kill all workers, and end the stream of their answers: a half sent one would keep the pool waiting."""
        started = [worker for worker in self._context.workers if worker.pid is not None]
        for worker in started:
            worker.kill()
        for worker in started:
            wait([worker.sentinel])
        for stream in self._context.streams:
            stream._writer.close()  # the workers' ends are closed: they are dead

    def _submit(self, step: Step[W, Given, Result], image_id: str, given: Given) -> "Future[Any]":
        try:
            return self._pool.submit(_answer, step, image_id, given)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken
        except OSError as error:
            raise MachineError(
                f"--workers: {error.strerror or error}, room for {self.size} processes expected; take fewer, such as "
                "--workers 1, and start the same command again",
                "worker-start",
            ) from error

    def _death(self, image_ids: Sequence[str]) -> MachineError:
        """Return the error that tells of a dead worker.

        Args:
            image_ids: Pictures that were handed out and not finished, in their order. Workers take them in that order,
                so the dead one had one of the first.
        """
        self._pool.shutdown()  # only then every process has its exit code
        codes = {worker.exitcode for worker in self._context.workers} - {None, 0, -signal.SIGKILL}
        how = f"ended with {_in_words(codes.pop())}" if codes else "was killed, perhaps because memory ran out"
        return MachineError(
            f"--workers {self.size}: a process {how}, at work on one of {', '.join(image_ids[: self.size])}; all that "
            "was finished is kept. Start the same command again, with fewer processes, such as --workers 1",
            "worker-died",
        )


def _in_words(code: int | None) -> str:
    """Return the name of the signal that an exit code of a process means, or the code."""
    known = code is not None and -code in set(signal.Signals)
    return signal.Signals(-code).name if known and code is not None else f"exit code {code}"


class _Context(SpawnContext):
    """Starts workers, and knows those that it started."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[_Worker] = []
        self.streams: list[Any] = []  # through which the workers send their answers

    def SimpleQueue(self) -> "SimpleQueue[Any]":
        """Return a new stream of answers."""
        stream: SimpleQueue[Any] = super().SimpleQueue()
        self.streams.append(stream)
        return stream

    def Process(self, *args: Any, **kwargs: Any) -> "_Worker":  # type: ignore[override]
        """Return a new worker."""
        worker = _Worker(*args, **kwargs)
        self.workers.append(worker)
        return worker


class _Worker(OwnProcess):
    """A process that leaves signals to its parent."""

    def run(self) -> None:
        """Work, in the process, until the parent ends it."""
        for number in ASKING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
        os.environ.update(ONE_THREAD)  # nothing that reads these is imported yet
        warnings.simplefilter("ignore")  # while modules are imported: the parent has imported them too
        super().run()

    def terminate(self) -> None:
        """Kill the process: it ignores SIGTERM, with which the pool ends its workers after the death of one."""
        self.kill()


# In a worker: what `_prepare` left for `_answer`, and the work once it has come, or why it could not be read.
_prepared: list[Any] = []
_came: list[Any] = []


def _prepare(works: Any, stopped: Any) -> None:
    """Remember, in a worker, where the work comes from. Nothing may fail here: the pool would tell no reason."""
    _prepared[:] = [works, stopped]


def _answer(step: Step[W, Given, Result], image_id: str, given: Given) -> Answer[Result] | None:
    """Do a step with a picture, in a worker; return None if the parent was asked to stop before."""
    if _prepared[1].value:
        return None
    return answer_for(_work_here(), step, image_id, given)


def _work_here() -> Any:
    """Return the work of this worker. It is read once: what comes after it is for the other workers."""
    if not _came:
        try:
            _came.append(_prepared[0].get())
        except Exception as error:
            _came.append(error)
    if isinstance(_came[0], Exception):
        raise _came[0]
    return _came[0]
