"""Stage `s4 bench`: the speed of S4Net beside that of the networks one would take instead, in one run."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from pipelines.config import BenchConfig
from pipelines.config.outputs import alone
from pipelines.engine.distributed import choose_device
from pipelines.engine.timing import MOST_OTHERS, Stopwatch, Timing, interleave
from pipelines.errors import ConfigError
from pipelines.events import Events
from pipelines.files import atomic_write, write_json
from pipelines.pseudo_label import pseudo_label
from pipelines.report.speed_plot import speed_plot
from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup
from pipelines.studies.bench_rows.end_to_end import PICTURES, compare_end_to_end, network_inputs, sample_pictures
from pipelines.studies.bench_rows.inference import (
    GPU_BATCHES,
    LIMIT,
    compare_inference,
    compare_proposals,
    compare_trunks,
)
from pipelines.studies.bench_rows.mask_branch import compare_branch
from pipelines.studies.bench_rows.networks import Subject, random_subject, trained_config, trained_subject
from pipelines.studies.bench_rows.training import compare_training
from s4net import PRESETS

_TRAINING_BATCH = 4
_PACKAGES = ("s4-segmentation", "torch", "torchvision", "timm", "numpy", "ultralytics")


@alone
def bench(config: BenchConfig, events: Events) -> dict[str, Any]:
    """Time what `--what` names.

    Args:
        config: Settings of `s4 bench`.
        events: Progress and warnings.

    Returns:
        {rows, peer, threads, precision, device, busy, versions, cpu, ...} and the settings. `busy` is the number of
        cores that other processes took, a mean over all samples. `rows` is a list of {name, ms (median of a call),
        images_per_second, ratio, spread (distance of the quartiles over the median), quartiles_ms, precision, samples,
        dropped, noisy, busy, ...}. The ratio is the peer's time for a picture over the row's own; where the row has
        `against`, the row of that name takes the peer's place. In a row that was not timed, ms and ratio are None, and
        `note` says why.

    Raises:
        ConfigError: The settings do not go together, or the trunk is unknown.
        InputError: The weights or the pictures cannot be used.
        MachineError: There is no such device, or the packages for generated scenes are not installed.
    """
    _check(config)
    device = choose_device(config.device)
    with _threads(config.threads), TemporaryDirectory(prefix="s4-bench-") as scratch:
        setup = _setup(config, device)
        events.info(f"{config.what}: building the networks")
        comparison = _compare(config, setup, Path(scratch))
        timings = _time(comparison, config.repeats, device, events)
        result = _result(config, setup, comparison, timings)
    if result["busy"] is not None and result["busy"] > MOST_OTHERS:
        events.warn(
            f"other processes took {result['busy']:.2f} cores on average; compare ratios, not times, and measure again "
            "on a quiet machine"
        )
    if config.out is not None:
        _write(config.out, result)
    return result


def _check(config: BenchConfig) -> None:
    """Refuse options that would be without effect [bench-option]."""
    uses = {
        "--weights": ("inference", "end-to-end"),
        "--images": ("inference", "end-to-end"),
        "--compile": ("inference",),
    }
    given = {"--weights": config.weights, "--images": config.images, "--compile": config.compile}
    for flag, stages in uses.items():
        if given[flag] and config.what not in stages:
            expected = " or ".join(f"--what {stage}" for stage in stages)
            raise ConfigError(
                f"{flag}: given with --what {config.what}, {expected} expected; leave it out", "bench-option"
            )
    if config.images and config.what == "inference" and not config.weights:
        raise ConfigError(
            "--images: given without --weights, random networks need none; add --weights or leave it out",
            "bench-option",
        )


def _setup(config: BenchConfig, device: torch.device) -> Setup:
    setup = Setup(
        device=device,
        precision=config.precision,
        preset=config.preset,
        trunk=config.trunk,
        size=config.image_size,
        batch=config.batch_size or (_TRAINING_BATCH if config.what == "training" else 1),
        compiled=config.compile,
    )
    if config.weights is None:
        return setup
    own = trained_config(config.weights)  # a trained network comes with its own sizes
    return replace(setup, preset=own.preset, trunk=own.trunk, size=own.image_size)


def _compare(config: BenchConfig, setup: Setup, scratch: Path) -> Comparison:
    on_gpu = setup.device.type == "cuda" and config.batch_size is None
    what: dict[str, Callable[[], Comparison]] = {
        "inference": lambda: compare_inference(setup, _subjects(config, setup, scratch)),
        "branch": lambda: compare_branch(setup),
        "proposals": lambda: compare_proposals(setup),
        "trunks": lambda: compare_trunks(setup, GPU_BATCHES if on_gpu else (setup.batch,)),
        "training": lambda: compare_training(setup),
        "end-to-end": lambda: compare_end_to_end(setup, pseudo_label, config.weights, config.images, scratch),
    }
    return what[config.what]()


def _subjects(config: BenchConfig, setup: Setup, scratch: Path) -> list[Subject]:
    """Return a trained network on real pictures, or a random one of each preset."""
    if config.weights is None:
        return [random_subject(setup, preset, setup.trunk) for preset in PRESETS]
    paths = sample_pictures(config.images, scratch, PICTURES)
    images = network_inputs(paths, setup)
    # A multiple of the batch size makes every batch full.
    images = images.repeat(setup.batch, 1, 1, 1) if setup.batch > 1 else images
    return [trained_subject(setup, config.weights, images)]


def _time(comparison: Comparison, repeats: int, device: torch.device, events: Events) -> dict[str, Timing]:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    works = {row.name: row.run for row in comparison.rows}
    assert len(works) == len(comparison.rows), "names of rows are unique"
    with events.progress(repeats, f"passes over {len(works)} rows") as progress:
        return interleave(works, repeats, stopwatch=Stopwatch(wait=wait), after_pass=progress.advance)


def _result(config: BenchConfig, setup: Setup, comparison: Comparison, timings: Mapping[str, Timing]) -> dict[str, Any]:
    others = [timing.others for timing in timings.values() if timing.others is not None]
    rows = [_row(row, comparison, timings) for row in comparison.rows]
    _add_limit_shares(rows)
    rows += [
        {"name": name, "ms": None, "images_per_second": None, "ratio": None, "note": note}
        for name, note in comparison.missing.items()
    ]
    return {
        "what": config.what,
        "rows": rows,
        "peer": comparison.peer,
        "threads": torch.get_num_threads(),
        "precision": "+".join(setup.precisions),
        "device": torch.cuda.get_device_name(setup.device) if setup.device.type == "cuda" else "cpu",
        "image_size": setup.size,
        "batch_size": setup.batch,
        "repeats": config.repeats,
        "busy": sum(others) / len(others) if others else None,
        "versions": {"python": platform.python_version(), **_versions()},
        "cpu": _processor(),
    }


def _row(row: Row, comparison: Comparison, timings: Mapping[str, Timing]) -> dict[str, Any]:
    timing, against = timings[row.name], row.against or comparison.peer
    low, seconds, high = timing.quartiles
    is_limit = row.name.startswith(LIMIT)
    return {
        "name": row.name,
        "ms": 1000 * seconds,
        "images_per_second": None if is_limit else row.images / seconds,
        "ratio": None if is_limit else _per_image(against, comparison, timings) / (seconds / row.images),
        "spread": (high - low) / seconds,
        "quartiles_ms": [1000 * low, 1000 * high],
        "precision": row.precision,
        "samples": len(timing.kept),
        "dropped": len(timing.samples) - len(timing.kept),
        "noisy": timing.is_noisy,
        "busy": timing.others,
        **({"against": against} if against != comparison.peer else {}),
        **row.facts,
    }


def _per_image(name: str, comparison: Comparison, timings: Mapping[str, Timing]) -> float:
    """Return the seconds that a row takes for a picture; the batches of rows may differ."""
    images = next(row.images for row in comparison.rows if row.name == name)
    return timings[name].seconds / images


def _add_limit_shares(rows: list[dict[str, Any]]) -> None:
    """Add `limit_share` where operations were counted: their rate over the rate of the row that only multiplies."""
    rates = {row["precision"]: row["gflop"] / row["ms"] for row in rows if row["name"].startswith(LIMIT)}
    for row in rows:
        if "gflop" in row:
            row["limit_share"] = row["gflop"] / row["ms"] / rates[row["precision"]]


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Set the threads of torch inside the context; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _processor() -> str:
    """Return the processor's model, cores and instruction set, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def _write(out: Path, result: dict[str, Any]) -> None:
    """Write the result and its plot, one pair of files for each `--what`."""
    write_json(out / f"{result['what']}.json", result)
    where = f"{result['image_size']} pixels, {result['device']}, {result['threads']} threads"
    title = f"s4 bench --what {result['what']}: {where}"
    png = speed_plot(result["rows"], result["peer"], title)
    atomic_write(out / f"{result['what']}.png", lambda file: file.write(png))
