"""The folder of one training: its settings, its machine, how it went, and its checkpoints."""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipelines.config import StageConfig, to_json
from pipelines.config.paths import require_startable
from pipelines.engine.distributed import ALONE, Processes
from pipelines.engine.version import __version__
from pipelines.errors import MachineError, S4Error
from pipelines.files import read_json, remove_stale_temporaries, write_json, write_json_in_place, write_text
from pipelines.journal import Journal

_STATUS = "status.json"


class RunDir:
    """Paths and records of a run.

    Attributes:
        path: The folder.
        writes: Whether this process writes, as that of rank 0 does.
        listener: Receives every line of metrics.jsonl as well; None for most runs.
        goes_on_after: The step from which a resumed run goes on; 0 for a new one.
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        """Name the folder; nothing is written yet."""
        self.path, self.writes = path, writes
        self.listener: Callable[[Mapping[str, Any]], None] | None = None
        self.goes_on_after = 0
        self.metrics = Journal(path / "metrics.jsonl")

    @classmethod
    def open(
        cls,
        path: Path,
        config: StageConfig,
        resume: bool,
        here: Processes = ALONE,
        start: Mapping[str, str] | None = None,
    ) -> "RunDir":
        """Make the folder of a new run, or open one to go on with.

        Args:
            path: The folder.
            config: Resolved settings, which are frozen into config.json.
            resume: Whether to go on with an existing run. Without a checkpoint, such a run begins from the start.
            here: This process among those of the training. All of them look before one writes.
            start: What the training started from, for environment.json. None: it started anew.

        Raises:
            ConfigError: The folder has a run already and `resume` is not set, or it has a checkpoint and no run
                [run-exists]. Or there is no run to resume [run-missing].
        """
        require_startable(path, resume)
        exists = (path / "config.json").exists()
        here.barrier()
        run = cls(path, here.writes)
        if here.writes:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            remove_stale_temporaries(path, ("checkpoints",))
            if not exists:
                write_json(path / "config.json", to_json(config))
            write_json(path / "environment.json", environment() | ({"start": start} if start else {}))
        return run

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which a run goes on."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best metric, which `--weights RUN` takes."""
        return self.path / "checkpoints" / "best.pt"

    def forget_after(self, step: int) -> None:
        """Drop the metrics of steps after this one, the step from which a resumed run goes on."""
        self.goes_on_after = step
        if not self.writes or not self.metrics.path.exists():
            return
        kept = [record for record in self.metrics.read() if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_text(self.metrics.path, text)

    def record(self, values: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        if self.writes:
            self.metrics.append(values)
            if self.listener is not None:
                self.listener(values)

    def status(
        self, state: str, step: int, reason: str = "", seconds: float = 0.0, pictures: Sequence[str] = ()
    ) -> None:
        """Write status.json, on a full disk as well if the file was there before.

        Args:
            state: `running`, `done`, `stopped` or `failed`.
            step: Steps done.
            reason: Why the training ended.
            seconds: Time of these steps, that of earlier processes included.
            pictures: What a failure is about.
        """
        if not self.writes:
            return
        about = {"pictures": list(pictures)} if pictures else {}
        path = self.path / _STATUS
        content = {"state": state, "step": step, "reason": reason, "seconds": seconds, **about}
        try:
            write_json(path, content)
        except MachineError as error:
            if error.rule != "disk-full" or not path.exists():
                raise
            write_json_in_place(path, content)

    def seconds_until(self, step: int) -> float:
        """Return the time that the steps up to this one took, as far as status.json tells it.

        Checkpoints hold no time: equal trainings leave equal checkpoints.
        """
        try:
            status = read_json(self.path / _STATUS)
            seconds, done = float(status["seconds"]), int(status["step"])
        except (S4Error, KeyError, TypeError, ValueError, OverflowError):
            return 0.0
        known = math.isfinite(seconds) and seconds > 0 and done > 0
        return seconds * min(1.0, step / done) if known else 0.0


def environment() -> dict[str, Any]:
    """Return what one needs to repeat a run: versions, machine, threads, command line."""
    return {
        "s4": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "arguments": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
