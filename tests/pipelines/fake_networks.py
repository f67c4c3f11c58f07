"""Networks that look at nothing, and pictures for them: what the tests of `s4 predict` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipelines import predict
from pipelines.config import PredictConfig
from pipelines.data.classes import ClassList
from pipelines.events import Events
from s4net.instances import Instances
from tests.pipelines.weight_files import write_weights

SIZE = (6, 8)
CLASSES = ClassList.from_names(["cat", "dog"])  # palette indices 8 and 12
FOLDERS = ["a", "b", "sub/c", "sub/d", "e"]


class Killed(BaseException):
    """Ends a run as a signal would, past every handler of errors."""


class FakeDeepLab:
    """Says dog on the right half of a picture, and cat elsewhere; can be told to die."""

    classes, device = CLASSES, torch.device("cpu")

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[float, ...], bool]] = []
        self.before: Callable[[int], None] = lambda call: None

    def probabilities(self, picture: np.ndarray, scales: tuple[float, ...], flip: bool) -> np.ndarray:
        self.before(len(self.asked))
        self.asked.append((scales, flip))
        result = np.zeros((3, *picture.shape[:2]), np.float32)
        half = picture.shape[1] // 2
        result[1, :, :half] = result[2, :, half:] = 1
        return result


class FakeS4Net:
    """Finds the left half with 0.9, nothing at all with 0.8, and a column with the score of the red channel."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def together(self, pictures: list[np.ndarray]) -> list[Instances]:
        self.batches.append(len(pictures))
        return [self(picture) for picture in pictures]

    def __call__(self, picture: np.ndarray) -> Instances:
        masks = torch.zeros(3, *picture.shape[:2], dtype=torch.bool)
        masks[0, :, :4] = masks[2, :, 5] = True
        boxes = torch.tensor([[0.0, 0, 4, 6], [0, 0, 1, 1], [5, 0, 6, 6]])
        return Instances(boxes, torch.tensor([0.9, 0.8, picture[0, 0, 0] / 255]), masks)


def write_pictures(folder: Path) -> Path:
    """Write five pictures to `folder/images`, and files that pass for networks beside it."""
    for number, name in enumerate(FOLDERS):
        path = folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 60 * number, np.uint8)).save(path)
    for kind in ("deeplab", "s4net", "other"):
        write_weights(folder / f"{kind}.pt", kind=kind)
    return folder


def run(root: Path, out: str = "out", kind: str = "deeplab", **changes: Any) -> dict[str, Any]:
    settings = {"images": root / "images", "weights": root / f"{kind}.pt", "out": root / out} | changes
    return predict.predict(PredictConfig(**settings), Events())


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files but the page, which tells the time and the command."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "report.html"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
