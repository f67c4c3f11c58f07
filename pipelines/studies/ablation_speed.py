"""How long trained networks take for a picture, measured in one pass over all of them (Table 3)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from pipelines.data.coco import CocoPicture
from pipelines.data.images import open_image
from pipelines.data.transforms import to_network
from pipelines.engine.distributed import choose_device
from pipelines.engine.precision import autocast
from pipelines.engine.timing import Stopwatch, interleave
from pipelines.events import Events
from pipelines.networks.load import S4NetPredictor, load_s4net

_PICTURES = 16
_WARM_UP = 10


def detection_speed(
    runs: Mapping[str, Path],
    pictures: Sequence[CocoPicture],
    events: Events,
    *,
    device: str,
    precision: str,
    repeats: int = 30,
) -> dict[str, dict[str, float]]:
    """Time `net.detect` at batch 1: network, proposals and masks at network size; no file, resizing or pasting.

    Args:
        runs: Run folder of each network, at least one.
        pictures: Test pictures; the first few are used, over and over.
        events: Progress.
        device: Value of `--device`.
        precision: Value of `--precision`.
        repeats: Passes over all networks. The networks take turns, so that a slow moment of the machine troubles all.

    Returns:
        For each network {ms, images_per_second, ratio}: the median time of a picture, its inverse, and images/s as a
        multiple of those of the slowest network.
    """
    place = choose_device(device)
    networks = {name: load_s4net(run, device=device, precision=precision) for name, run in runs.items()}
    works = {name: _work(network, pictures[:_PICTURES]) for name, network in networks.items()}
    wait: Callable[[], Any] = torch.cuda.synchronize if place.type == "cuda" else lambda: None
    with events.progress(repeats, "speed") as progress:
        timings = interleave(
            works, repeats, stopwatch=Stopwatch(wait=wait), warm_up=_WARM_UP, after_pass=progress.advance
        )
    seconds = {name: timing.seconds for name, timing in timings.items()}
    slowest = max(seconds.values())
    return {
        name: {"ms": 1000 * own, "images_per_second": 1 / own, "ratio": slowest / own} for name, own in seconds.items()
    }


def _work(network: S4NetPredictor, pictures: Sequence[CocoPicture]) -> Callable[[], None]:
    """Return the function that detects on the next picture; the pictures wait on the device at network size."""
    images = [to_network(open_image(picture.path), network.image_size)[None] for picture in pictures]
    on_device = (image.to(network.device).float() / 255 for image in images)
    following = cycle([image.contiguous(memory_format=torch.channels_last) for image in on_device])

    def detect() -> None:
        with torch.inference_mode(), autocast(network.precision, network.device):
            network.net.detect(next(following))

    return detect
