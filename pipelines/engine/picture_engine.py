"""The engine that a command was told to share out its pictures with."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pipelines.config import PredictConfig, PseudoLabelConfig
from pipelines.config.setting import flag_of
from pipelines.engine.checkpoint import weights_file
from pipelines.engine.distributed import choose_device
from pipelines.engine.picture_steps import W, Workers
from pipelines.engine.picture_workers import FEWEST, PictureWorkers
from pipelines.engine.ray_workers import RayWorkers, room
from pipelines.engine.threads import cores, one_thread
from pipelines.events import Events
from pipelines.stores.paths import in_memory, to_path

Config = PredictConfig | PseudoLabelConfig


def open_workers(config: Config, work: W, pictures: Sequence[Any], events: Events) -> Workers[W]:
    """Return the processes that work on pictures, not started yet.

    Args:
        config: Settings of the command.
        work: What the processes work with.
        pictures: Files of the pictures, each a path or a member of a tar. A few serve to compare machines.
        events: Told of the start.
    """
    if config.engine == "local":
        if in_memory(vars(config).values()):
            events.info("memory:// is seen by this process alone, so one process works on the pictures")
        return PictureWorkers(work, processes(config), events)
    paths = list(_read_by_workers(config, pictures))
    return RayWorkers(work, config.ray_address, config.device, config.workers, paths, config.out, events)


def processes(config: Config) -> int:
    """Return how many processes of this machine may work on pictures; one if only this process sees the files."""
    if in_memory(vars(config).values()):
        return 1
    if config.workers is not None:
        return config.workers
    return cores() if choose_device(config.device).type == "cpu" else 1


def together(config: Config, pictures: int) -> int:
    """Return how many processes would work on a number of pictures at the same time.

    Raises:
        MachineError: There is no such Ray cluster [ray-unreachable].
    """
    most = processes(config) if config.engine == "local" else room(config.ray_address, config.device, config.workers)
    return max(1, min(most, pictures // FEWEST))


def arithmetic(config: Config) -> AbstractContextManager[None]:
    """Compute with one thread on the processor, as workers do: sums depend on the number of threads."""
    return one_thread() if choose_device(config.device).type == "cpu" else nullcontext()


def _read_by_workers(config: Config, pictures: Sequence[Any]) -> Iterator[tuple[str, Path]]:
    """Yield (flag, path) of the files that a worker opens, and of the first, the middle and the last picture."""
    for name in ("weights", "segmenter"):
        network = getattr(config, name, None)
        if network is not None:
            yield flag_of(name), weights_file(network)
    if isinstance(config, PseudoLabelConfig):
        trunk_weights = to_path(config.trunk_weights)
        if trunk_weights.is_file():
            yield "--trunk-weights", trunk_weights
        if config.instances is not None:
            yield "--instances", config.instances
        if config.reviewed is not None:
            yield "--reviewed", config.reviewed
    for picture in {str(pictures[place]): pictures[place] for place in (0, len(pictures) // 2, -1)}.values():
        yield "--images", getattr(picture, "tar", picture)
