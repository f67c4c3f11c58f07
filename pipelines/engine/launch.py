"""A training in several processes of this machine, one for each device, as torchrun starts them.

The process of the command starts the others, waits for them, and speaks for them: it hands on a signal, returns the
result of process 0, and raises one error for all. The processes find each other through a file.
"""

import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch

from pipelines.engine.distributed import MEETING, choose_device
from pipelines.engine.own_process import OwnProcess, end_with_parent
from pipelines.engine.signals import ASKING, STOPPED, Interrupted, StopRequest, Watch
from pipelines.engine.threads import cores
from pipelines.errors import ConfigError, MachineError, S4Error, Stopped
from pipelines.events import Events

Config = TypeVar("Config")
Stage = Callable[[Config, Events], dict[str, Any]]

# Seconds that the others have to end by themselves after one has ended too early. They may be at work on a step, and
# the others may only now notice that one is missing.
_PATIENCE = 10.0


@dataclass(frozen=True)
class _Ended:
    """How a process ended.

    Attributes:
        rank: Number of the process.
        result: Its result. None: it did not come to it.
        error: What ended it. None beside no result: it died, or a signal ended it.
        trace: The traceback of the error.
        code: Exit code where there is neither.
        killed_here: Whether it was killed because another one had ended.
    """

    rank: int
    result: dict[str, Any] | None = None
    error: BaseException | None = None
    trace: str = ""
    code: int = 0
    killed_here: bool = False


class _FromProcess(Exception):
    """Carries the traceback of another process into the crash file of this one."""


def is_launched() -> bool:
    """Return whether torchrun, or `launch`, has started this process."""
    return "RANK" in os.environ


def own_batch_size(total: int, devices: int) -> int:
    """Return the pictures of a step that each process takes.

    Args:
        total: Pictures per step.
        devices: Processes that `--devices` starts.

    Raises:
        ConfigError: The number is no multiple of the processes [batch-uneven].
    """
    if total % devices:
        fitting = max(devices, total - total % devices)
        message = f"--devices {devices}: a batch of {total} pictures given, a multiple of {devices} expected"
        raise ConfigError(f"{message}; add --batch-size {fitting}, or take other --devices", "batch-uneven")
    return total // devices


def launch(stage: Stage[Any], config: Any, devices: int, device: str, events: Events) -> dict[str, Any]:
    """Run a stage in as many processes as there are devices, and return the result of process 0.

    Args:
        stage: A function of a module, which joins the other processes with `processes`.
        config: Its settings.
        devices: Number of processes.
        device: Value of `--device`: auto, cpu or cuda.
        events: Told of the start. Process 0 has events of its own, on stderr.

    Raises:
        ConfigError: torchrun has started several processes already, or `--device` names one GPU [devices-given].
        MachineError: There are fewer GPUs [device-missing], or a process died [worker-died].
        S4Error: What a process raised.
        Stopped: A signal came.
    """
    if is_launched():
        raise ConfigError("--devices: given under torchrun, one of both expected; leave one out", "devices-given")
    if ":" in device:
        message = f"--device {device} and --devices {devices}: one device given for several processes, cuda expected"
        raise ConfigError(f"{message}; leave one out", "devices-given")
    kind = choose_device(device, devices - 1).type
    each = max(1, cores() // devices)
    how = f"{each} thread{'' if each == 1 else 's'} each" if kind == "cpu" else "a GPU each"
    events.info(f"{devices} processes, {how}")
    with TemporaryDirectory(prefix="s4-devices-") as folder, StopRequest() as stop:
        crew = [_Rank(stage, config, rank, devices, each, Path(folder, "meeting")) for rank in range(devices)]
        try:
            for one in crew:
                one.start()
            ended = _ends(crew, stop)
        finally:
            for one in crew:
                one.kill_at_once()
    return _result(ended, stop)


def _ends(crew: "Sequence[_Rank]", stop: StopRequest) -> list[_Ended]:
    """Wait until all processes have ended, and hand on a signal; kill those that wait for one that is gone."""
    ended: dict[int, _Ended] = {}
    asked, limit = False, float("inf")
    while len(ended) < len(crew):
        waiting = [one for one in crew if one.rank not in ended]
        ready = wait([one.sentinel for one in waiting] + [one.inbox for one in waiting], timeout=0.1)
        if stop.asked and not asked:
            asked = True
            for one in waiting:
                one.ask()
        for one in waiting:
            if one.sentinel in ready or one.inbox in ready:
                found = one.ended()
                if found is not None:
                    ended[one.rank] = found
                    if found.result is None:
                        limit = min(limit, time.monotonic() + _PATIENCE)
        if time.monotonic() > limit:
            for one in waiting:
                one.kill_at_once()
    return [ended[one.rank] for one in crew]


def _result(ended: Sequence[_Ended], stop: StopRequest) -> dict[str, Any]:
    """Return the result of process 0, or raise the error that says most about what went wrong.

    Where a process is gone, the others fail for that reason alone. So the error of a user comes first, then a process
    that died, then a stop, and last a fault of the program.
    """
    if all(one.result is not None for one in ended):
        return ended[0].result or {}
    errors = [one.error for one in ended if one.error is not None]
    for error in errors:
        if isinstance(error, S4Error) and not isinstance(error, Stopped):
            raise error
    gone = [one for one in ended if one.result is None and one.error is None and one.code != STOPPED]
    died = [one for one in gone if not one.killed_here]
    faults = [error for error in errors if not isinstance(error, Stopped | Interrupted)]
    stopped = [error for error in errors if isinstance(error, Stopped)]
    if stopped:
        raise stopped[0]
    if stop.asked or any(one.code == STOPPED for one in ended):
        raise Stopped("stopped by a signal before the first step; start the same command again", "stopped")
    if died or not faults:
        raise _death((died or gone)[0], len(ended))
    fault = min((one for one in ended if one.error in faults), key=lambda one: "peer" in str(one.error).lower())
    assert fault.error is not None
    raise fault.error from _FromProcess(f"process {fault.rank}:\n{fault.trace}")


def _death(one: _Ended, devices: int) -> MachineError:
    how = "was killed, perhaps because memory ran out" if one.code == -signal.SIGKILL else f"ended with {one.code}"
    return MachineError(
        f"--devices {devices}: process {one.rank} {how}, all expected to finish; the last checkpoint is intact. Start "
        "the same command again with --resume, with a smaller --batch-size or fewer --devices",
        "worker-died",
    )


class _Rank(OwnProcess):
    """One process of the training."""

    def __init__(self, stage: Stage[Any], config: Any, rank: int, world: int, threads: int, meeting: Path) -> None:
        """Prepare the process.

        Args:
            stage: The stage.
            config: Its settings.
            rank: Number of the process.
            world: Number of processes.
            threads: Threads of each, on a processor.
            meeting: File that does not exist yet, through which the processes find each other.
        """
        super().__init__(daemon=False)
        self.inbox, self._outbox = Pipe(duplex=False)
        self.rank, self._killed = rank, False
        self._stage, self._settings, self._world, self._threads, self._meeting = stage, config, world, threads, meeting

    def ask(self) -> None:
        """Ask the process to stop."""
        if self.pid is not None and self.is_alive():
            os.kill(self.pid, signal.SIGTERM)

    def kill_at_once(self) -> None:
        """Kill the process if it still runs."""
        if self.pid is not None and self.is_alive():
            self._killed = True
            self.kill()

    def ended(self) -> _Ended | None:
        """Return how the process ended; None if it still runs."""
        if self.inbox.poll():
            try:
                found: _Ended = self.inbox.recv()
            except EOFError:
                pass
            else:
                return found
        if self.is_alive():
            return None
        self.join()
        return _Ended(self.rank, code=self.exitcode or 0, killed_here=self._killed)

    def start(self) -> None:
        """Start the process, and leave the end to write to to it alone."""
        super().start()
        self._outbox.close()

    def run(self) -> None:
        """Work, in the process."""
        end_with_parent()
        watch = Watch(lambda code: None).start()
        for number in set(ASKING) - {signal.SIGTERM}:  # those are for the parent, which hands on one SIGTERM
            signal.signal(number, signal.SIG_IGN)
        os.environ.update(self._environment())
        sys.stdout = sys.stderr  # stdout is for the result alone, which the parent prints
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
            ended = _Ended(self.rank, self._work())
            watch.result = 0
        except BaseException as error:
            watch.result = 0  # the parent is told more than a code
            found = watch.interruption if watch.interruption and not isinstance(error, S4Error) else error
            ended = _failure(self.rank, found)
        self._outbox.send(ended)
        self._outbox.close()
        watch.end(0)  # nothing else is worth waiting for

    def _environment(self) -> dict[str, str]:
        """Return what torchrun sets too, and where the processes meet."""
        rank, world = str(self.rank), str(self._world)
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        names[MEETING] = str(self._meeting)
        if sys.platform == "linux":
            # The name of a machine may lead nowhere; all processes are on this one.
            names["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
        return names

    def _work(self) -> dict[str, Any]:
        torch.set_num_threads(min(self._threads, torch.get_num_threads()))
        with open(os.devnull, "w") as silence:
            return self._stage(self._settings, Events(None if self.rank == 0 else silence))


def _failure(rank: int, error: BaseException) -> _Ended:
    """Return what the parent is told of an error; one that cannot be sent is described."""
    if isinstance(error, Interrupted):
        return _Ended(rank, code=error.exit_code)
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.dumps(error)
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return _Ended(rank, error=error, trace=trace)
