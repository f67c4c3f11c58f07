"""Processes that work on pictures one by one, on all machines of a Ray cluster.

Ray Data shares out the pictures (`map_batches` with an actor for each GPU or core). An actor does a step by
`pipelines.engine.picture_steps.answer_for`, as a process of `pipelines.engine.picture_workers` does. It computes with
one thread as well. So both give the same results.

Nothing is believed that Ray says of success. A picture is done when its answer has come. What was lost with a process
or a machine is done again, each picture by itself. A step is idempotent and its files are written atomically, so
nothing depends on how often it was done. A picture that ends its process each time is a failed picture.

Ray is imported when a cluster is needed.
"""

import logging
import os
import queue
import signal
import socket
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

from pipelines.engine.picture_steps import Answer, Given, Listener, Result, Step, W, answer_for
from pipelines.engine.picture_workers import ONE_THREAD
from pipelines.engine.ray_nodes import RULE, Shared, fault_of, mark
from pipelines.errors import InputError, MachineError
from pipelines.events import Events

_BLOCK = 32  # pictures at most that an actor is given at once, and that are done again if it dies
_BLOCKS = 8  # for each actor at least, so that a slow picture does not stop the others
_CHUNK = 512  # pictures whose givens travel together: what they have in common travels once
_TRIES = 3  # by itself, of a picture that was lost
_POLL = 0.2  # seconds between two looks at `stop`
_PATIENCE = 300.0  # seconds in which a machine must tell what it sees
_CONNECT = 5.0  # seconds


class RayWorkers(Generic[W]):
    """Does steps with pictures in actors of a Ray cluster; use it in a `with` block."""

    def __init__(
        self,
        work: W,
        address: str,
        device: str,
        most: int | None,
        paths: Iterable[tuple[str, Path]],
        out: Path,
        events: Events,
    ) -> None:
        """Touch nothing yet.

        Args:
            work: What the steps work with. Each actor gets a copy.
            address: `auto` or HOST:PORT.
            device: `auto`, `cpu` or `cuda`. `auto` takes GPUs if the cluster has any.
            most: The most actors at a time; None for as many as there are GPUs or cores.
            paths: (flag, path) of what the actors read.
            out: The folder that they write to.
            events: Told of the start, and of what was lost.
        """
        self._work, self._address, self._device, self._most = work, address, device, most
        self._paths, self._out, self._events = list(paths), out, events
        self._listener = Listener(work)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Connect to the cluster, and check what its machines share.

        Raises:
            MachineError: There is no such cluster [ray-unreachable], it has no GPU that was asked for [device-missing],
                or a machine lacks something [ray-nodes].
        """
        with ExitStack() as opened:
            ray = connect(self._address)
            opened.callback(ray.shutdown)
            token = opened.enter_context(mark(self._out))
            self._shared = Shared.found_here([*self._paths, ("--out", token)])
            gpus, size = _room(ray, self._device, self._most)
            _check_machines(ray, self._shared)
            self._open = opened.pop_all()
        kind = "with a GPU each" if gpus else "of one thread each"
        machines = len(_machines(ray))
        self._events.info(f"Ray: up to {size} processes {kind} on {machines} machines work on the pictures")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster, which ends the actors, whatever they do."""
        self._open.close()

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
            stop: Asked several times in a second whether to leave out what is not done.

        Yields:
            (image_id, result), or (image_id, error) for an unusable picture, in the order in which they are done.

        Raises:
            MachineError: No picture could be done at all [worker-died].
        """
        left = dict.fromkeys(range(len(items)))
        inputs = self._inputs(step, items)
        for attempt in range(1 + _TRIES):
            if not left or stop():
                return
            if attempt == 1:
                lost = f"{len(left)} pictures were lost with a process or a machine"
                self._events.warn(f"Ray: {lost}; they are done again")
            order = list(left)[:: -1 if attempt == 2 else 1]  # a picture is not always behind the same other one
            for number, answer in self._round(inputs, order, attempt > 0, stop):
                if left.pop(number, 0) is None:  # else it has come before
                    result = self._listener.result(answer)
                    yield items[number][0], result
        if stop():
            return
        if len(left) == len(items):
            found = f"--engine ray: every process died at work on {items[0][0]} or another picture"
            raise MachineError(
                f"{found}, perhaps because memory ran out; start the same command again, with fewer processes at a "
                "time, such as --workers 1",
                "worker-died",
            )
        for number in left:
            yield items[number][0], deadly(items[number][0])

    def _inputs(self, step: Step[W, Given, Result], items: Sequence[tuple[str, Given]]) -> list[Any]:
        """Put into the cluster what the actors need: what is the same for all pictures, and the pictures in chunks."""
        import ray

        chunks = [list(items[start : start + _CHUNK]) for start in range(0, len(items), _CHUNK)]
        return [ray.put((step, self._work)), *map(ray.put, chunks)]

    def _round(
        self, inputs: list[Any], numbers: list[int], alone: bool, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Answer[Any]]]:
        """Let Ray Data go through pictures once, and yield the answers that come: not always all."""
        import ray

        came: queue.SimpleQueue[_Came] = queue.SimpleQueue()
        given = inputs, self._shared, numbers, alone, *_room(ray, self._device, self._most), came.put
        threading.Thread(target=_go_through, args=given, daemon=True, name="ray-data").start()
        while not stop():
            try:
                found = came.get(timeout=_POLL)
            except queue.Empty:
                continue
            if found.end:
                if found.error is not None:
                    self._events.warn(f"Ray: {type(found.error).__name__}: {_first_line(found.error)}")
                return
            if isinstance(found.answer, _Broken):
                raise found.answer.raised()
            yield found.number, found.answer


@dataclass(frozen=True)
class _Came:
    """What a thread of Ray Data passes on: an answer, or that there will be no more."""

    number: int = -1
    answer: Any = None
    end: bool = False
    error: BaseException | None = None


@dataclass(frozen=True)
class _Broken:
    """What an actor sends back if no fault of a picture kept it from its work."""

    error: Exception
    trace: str

    def raised(self) -> Exception:
        """Return the error, with the place in the actor where it happened."""
        self.error.add_note(f"in a process of Ray:\n{self.trace}")
        return self.error


def connect(address: str) -> Any:
    """Join a Ray cluster, and return the module `ray`.

    Raises:
        MachineError: There is no cluster [ray-unreachable].
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what is lost is told in own words
    # Threads of Ray Data outlive work that was broken off. Their next call would start a cluster on this machine.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    address = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    handler = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns of itself
        import ray
        import ray.data

        try:
            if not ray.is_initialized():
                _require_listener(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, RuntimeError, ValueError) as error:
            found = f"--ray-address {address}: {_first_line(error)}"
            raise MachineError(
                f"{found}; a running Ray cluster expected that this machine belongs to; start one (ray start --head), "
                "or join it (ray start --address HOST:PORT)",
                "ray-unreachable",
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray takes it, and would end without a word
        logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
        context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a lost block ends nothing: what is missing is done again
    return ray


def _require_listener(address: str) -> None:
    """Check that somebody listens at an address: Ray itself would try for a minute."""
    if address not in ("auto", "local"):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_CONNECT):
            pass


def room(address: str, device: str, most: int | None) -> int:
    """Return how many actors a Ray cluster has room for, see `RayWorkers`.

    Raises:
        MachineError: There is no such cluster [ray-unreachable], or no GPU that was asked for [device-missing].
    """
    ray = connect(address)
    try:
        return _room(ray, device, most)[1]
    finally:
        ray.shutdown()


def _room(ray: Any, device: str, most: int | None) -> tuple[bool, int]:
    """Return whether actors get a GPU, and how many of them the cluster has room for now."""
    there = ray.cluster_resources()
    gpus = device != "cpu" and there.get("GPU", 0) > 0
    if device == "cuda" and not gpus:
        raise MachineError(
            "--device cuda: no machine of the Ray cluster has a GPU, one expected; take --device cpu", "device-missing"
        )
    size = int(there.get("GPU" if gpus else "CPU", 0))
    return gpus, max(1, size if not most else min(size, most))


def _machines(ray: Any) -> list[dict[str, Any]]:
    """Return the machines that may work, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"] and {"CPU", "GPU"} & node["Resources"].keys()]


def _check_machines(ray: Any, shared: Shared) -> None:
    """Let every machine compare what it finds with what was found here.

    Raises:
        MachineError: Something is missing on a machine, or it does not answer [ray-nodes].
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = []
    for node in _machines(ray):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(num_cpus=0, max_retries=1, scheduling_strategy=there)(_faults_there)
        asked.append((node["NodeManagerAddress"], task.remote(shared)))
    if not asked:
        raise MachineError(
            "--engine ray: the cluster has no machine with a core or a GPU to spare, one expected; start more",
            RULE,
        )
    for machine, answer in asked:
        try:
            faults = ray.get(answer, timeout=_PATIENCE)
        except Exception as error:  # whatever keeps Python from importing this module there
            faults = [f"s4 cannot be started ({_first_line(error)})"]
        if faults:
            raise fault_of(machine, faults)


def _faults_there(shared: Shared) -> list[str]:
    shared.enter()
    return shared.faults()


def _go_through(
    inputs: list[Any],
    shared: Shared,
    numbers: list[int],
    alone: bool,
    gpus: bool,
    size: int,
    tell: Callable[[_Came], None],
) -> None:
    """Let Ray Data go through pictures once; tell each answer, and the end."""
    import ray.data

    block = 1 if alone else max(1, min(_BLOCK, len(numbers) // (_BLOCKS * size)))
    try:
        # By itself, a picture waits for no other in an actor: it would be lost with that one, and be blamed for it.
        ahead = 1 if alone else None
        pool = ray.data.ActorPoolStrategy(
            min_size=1, max_size=size, initial_size=size, max_tasks_in_flight_per_actor=ahead
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray means to rename `max_task_retries`
            rows = ray.data.from_items(numbers, override_num_blocks=-(-len(numbers) // block)).map_batches(
                _Actor,
                batch_size=None,
                fn_constructor_args=(inputs, shared),
                compute=pool,
                num_cpus=1,
                num_gpus=1 if gpus else 0,
                max_task_retries=0,  # what is lost is done again by `answers`, which knows when to give up
                runtime_env={"env_vars": ONE_THREAD},
            )
        for row in rows.iter_rows():
            tell(_Came(int(row["number"]), row["answer"]))
        tell(_Came(end=True))
    except BaseException as error:  # the cluster was left, or has no machine any more
        tell(_Came(end=True, error=error))


class _Actor:
    """A process of Ray that does a step with pictures."""

    def __init__(self, inputs: list[Any], shared: Shared) -> None:
        """Open nothing yet: what fails here would end the whole pass without a word."""
        self._inputs, self._shared = inputs, shared
        self._ready: tuple[Any, Any] | None = None
        self._chunk: tuple[int, Any] = (-1, None)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do the step with the pictures of these numbers."""
        import numpy as np

        numbers = [int(number) for number in batch["item"]]
        answers = np.empty(len(numbers), object)
        for place, number in enumerate(numbers):
            answers[place] = self._attempt(number)
        return {"number": np.array(numbers), "answer": answers}

    def _attempt(self, number: int) -> Answer[Any] | _Broken:
        try:
            step, work = self._opened()
            image_id, given = self._item(number)
            return answer_for(work, step, image_id, given)
        except Exception as error:
            return _Broken(error, traceback.format_exc())

    def _opened(self) -> tuple[Any, Any]:
        import ray

        if self._ready is None:
            self._shared.enter()
            faults = self._shared.faults()  # on a machine that joined later, nobody looked before
            if faults:
                raise fault_of(socket.gethostname(), faults)
            self._ready = ray.get(self._inputs[0])
        return self._ready

    def _item(self, number: int) -> tuple[str, Any]:
        import ray

        chunk = number // _CHUNK
        if self._chunk[0] != chunk:
            self._chunk = chunk, ray.get(self._inputs[1 + chunk])
        item: tuple[str, Any] = self._chunk[1][number % _CHUNK]
        return item


def deadly(image_id: str) -> InputError:
    """Return the error of a picture that ended its process at every try."""
    return InputError(
        f"{image_id}: {_TRIES} processes died at work on this picture alone, perhaps because memory ran out; make it "
        "smaller, or give it more memory and add --retry-failed",
        "worker-died",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
