"""Rows from a picture's file to the file of its label map: a simple loop beside `s4 pseudo-label` itself."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.config import Precision, PseudoLabelConfig
from pipelines.data.classes import VOC_CLASSES
from pipelines.data.images import find_image_files, open_image
from pipelines.data.palette import voc_palette
from pipelines.data.shapes import write_instances
from pipelines.data.transforms import to_network
from pipelines.events import Events
from pipelines.files import write_text
from pipelines.networks.load import load_s4net
from pipelines.studies.bench_rows.comparison import Comparison, Row, Setup, without_gradients
from pipelines.studies.bench_rows.networks import reference_form, save_random, trained_subject
from s4net import S4Net

LabelCommand = Callable[[PseudoLabelConfig, Events], object]
"""The function of `s4 pseudo-label`, given by whoever may import commands."""

PICTURES = 8
NAIVE = "simple loop, fp32 NCHW, whole maps, 20 proposals"

_KEYWORD = "person"
_MIN_SCORE = 0.3
_FEW = 3
_SCENE_SIDE = 432  # as many pixels as a picture of VOC


@dataclass(frozen=True)
class Task:
    """Pictures to label, and the network that labels them.

    Attributes:
        images: Folder of the pictures.
        paths: The pictures.
        keywords: CSV table with one keyword for each picture.
        weights: Checkpoint that sends few boxes to the mask branch (random: 3; trained: those that score enough).
        all_weights: Checkpoint of the same weights that sends 20 boxes.
        kept: Most instances of a picture that are painted.
    """

    images: Path
    paths: list[Path]
    keywords: Path
    weights: Path
    all_weights: Path
    kept: int


def sample_pictures(images: Path | None, folder: Path, count: int) -> list[Path]:
    """Copy a few pictures into `pictures/` of a folder.

    Args:
        images: Folder with the pictures, which are repeated where there are too few; None for generated scenes.
        folder: Destination.
        count: Number of copies.

    Returns:
        The copies.

    Raises:
        InputError: No picture, or a damaged one.
        MachineError: The packages for generated scenes are not installed.
    """
    if images is None:
        write_instances(folder / "scenes", min(count, PICTURES), "train", 0, _SCENE_SIDE)
        images = folder / "scenes" / "images"
    sources = list(find_image_files(images).values())[:count]
    for path in sources:
        open_image(path)
    (folder / "pictures").mkdir()
    paths = []
    for number in range(count):
        source = sources[number % len(sources)]
        paths.append(folder / "pictures" / f"{number:05d}{source.suffix}")
        copyfile(source, paths[-1])
    return paths


def network_inputs(paths: Sequence[Path], setup: Setup) -> Tensor:
    """Return pictures [N, 3, S, S] in 0..1 on the device."""
    pictures = torch.stack([to_network(open_image(path), setup.size) for path in paths])
    return pictures.to(setup.device).float() / 255


def make_task(setup: Setup, weights: Path | None, images: Path | None, folder: Path, count: int = PICTURES) -> Task:
    """Lay out pictures, keywords and weights in a folder.

    Args:
        setup: What all rows share.
        weights: Trained network; None for random weights.
        images: See `sample_pictures`.
        folder: Destination.
        count: Number of pictures.

    Raises:
        InputError: No picture, a damaged one, or weights that cannot be used.
        MachineError: The packages for generated scenes are not installed.
    """
    paths = sample_pictures(images, folder, count)
    keywords = folder / "keywords.csv"
    write_text(keywords, "image,keywords\n" + "".join(f"{path.stem},{_KEYWORD}\n" for path in paths))
    if weights is not None:
        return Task(paths[0].parent, paths, keywords, weights, weights, 20)
    checkpoints = {_FEW: folder / "few.pt", 20: folder / "all.pt"}
    save_random(setup, network_inputs(paths[:PICTURES], setup), _FEW, checkpoints)
    return Task(paths[0].parent, paths, keywords, checkpoints[_FEW], checkpoints[20], _FEW)


def label_settings(setup: Setup, task: Task, precision: Precision, out: Path) -> PseudoLabelConfig:
    """Return the settings of `s4 pseudo-label` for a task."""
    return PseudoLabelConfig(
        images=(task.images,),
        weights=task.weights,
        keywords=(str(task.keywords),),
        out=out,
        assign="single",
        recognise="off",
        min_score=_MIN_SCORE,
        device=str(setup.device),
        precision=precision,
    )


def compare_end_to_end(
    setup: Setup, label: LabelCommand, weights: Path | None, images: Path | None, folder: Path
) -> Comparison:
    """Compare the simple loop, the command, and the network alone on the same pictures.

    Args:
        setup: What all rows share.
        label: The command.
        weights: See `make_task`.
        images: See `make_task`.
        folder: See `make_task`.

    Raises:
        S4Error: Those of `make_task`.
    """
    task, best = make_task(setup, weights, images, folder), setup.precisions[-1]
    net = reference_form(trained_subject(setup, task.all_weights, torch.empty(0)).make())
    loop = without_gradients(lambda: _simple_loop(net, setup, task, folder / "simple"), setup, "fp32")
    rows = [Row(name=NAIVE, run=loop, images=len(task.paths))]
    for precision in setup.precisions:
        config = label_settings(setup, task, precision, folder)
        run = _command(label, config, folder)
        rows.append(
            Row(name=f"s4 pseudo-label, {precision}, score gate", run=run, images=len(task.paths), precision=precision)
        )
    alone = without_gradients(_network_alone(setup, task, best), setup, best)
    name = f"network alone, {best}, score gate"
    rows.append(Row(name=name, run=alone, images=len(task.paths), precision=best))
    return Comparison(peer=NAIVE, rows=rows)


def _simple_loop(net: S4Net, setup: Setup, task: Task, out: Path) -> None:
    """Label the pictures as one writes it first.

    One picture at a time, every mask at full size, PNG at Pillow's own compression level.
    """
    out.mkdir(exist_ok=True)
    value = VOC_CLASSES.index(_KEYWORD) + 1
    for path in task.paths:
        pixels = open_image(path)
        small = Image.fromarray(pixels).resize((setup.size, setup.size), Image.Resampling.BILINEAR)
        image = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float().div(255).contiguous()
        raw = net.detect(image.to(setup.device))[0]
        height, width = pixels.shape[:2]
        masks = F.interpolate(raw.mask_probabilities[:, None], (height, width), mode="bilinear")[:, 0] > 0.5
        scale = torch.tensor([width, height, width, height], device=raw.boxes.device) / setup.size
        boxes, chosen = (raw.boxes * scale).round().int().tolist(), raw.scores >= _MIN_SCORE
        label_map: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
        for number in chosen.nonzero()[: task.kept, 0].tolist():
            x0, y0, x1, y1 = boxes[number]
            label_map[y0:y1, x0:x1][masks[number, y0:y1, x0:x1].cpu().numpy()] = value
        png = Image.fromarray(label_map)
        png.putpalette(voc_palette())
        png.save(out / f"{path.stem}.png")


def _command(label: LabelCommand, config: PseudoLabelConfig, folder: Path) -> Callable[[], float]:
    """Return the function that runs the command into a new folder, and gives the seconds without loading."""

    def run() -> float:
        moments: list[float] = []

        def clock() -> float:
            moments.append(time.perf_counter())
            return moments[-1]

        with TemporaryDirectory(dir=folder) as out:
            # The progress reads the clock when it begins and at every picture.
            label(replace(config, out=Path(out) / "labels"), Events(io.StringIO(), clock))
        return moments[-1] - moments[0]

    return run


def _network_alone(setup: Setup, task: Task, precision: str) -> Callable[[], object]:
    """Return the function that runs the command's network on pictures in memory, up to coarse masks."""
    net = load_s4net(task.weights, device=str(setup.device), precision=precision).net
    pictures = network_inputs(task.paths, setup).contiguous(memory_format=torch.channels_last)
    return lambda: [net.detect(picture[None], min_score=_MIN_SCORE / 3) for picture in pictures]
