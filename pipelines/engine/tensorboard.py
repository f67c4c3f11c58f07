"""TensorBoard events of a run, beside its own metrics.jsonl."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipelines.engine.run_dir import RunDir

FOLDER = "tensorboard"
"""Folder of the events in that of the run."""


@contextmanager
def tensorboard(run: RunDir, wanted: bool) -> Iterator[None]:
    """Write every line of the run's metrics.jsonl as events as well, inside the context.

    A resumed run goes on in the same folder. TensorBoard drops the events of all steps after the checkpoint.

    Args:
        run: The run.
        wanted: Whether to write events at all.
    """
    if not wanted or not run.writes:
        yield
        return
    from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []

    def listen(values: Mapping[str, Any]) -> None:
        if not writers:  # only now is it known from which checkpoint the run goes on
            writers.append(SummaryWriter(str(run.path / FOLDER), purge_step=run.goes_on_after + 1))
        for name, value in values.items():
            if name != "step" and isinstance(value, int | float):
                group = "score" if name.startswith("val_") else "rate" if name == "lr" else "loss"
                writers[0].add_scalar(f"{group}/{name.removeprefix('val_')}", value, values["step"])

    run.listener = listen
    try:
        yield
    finally:
        run.listener = None
        for writer in writers:
            writer.close()
