"""What `load_s4net` returns for a picture: the instances, to look at and to keep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import write_png
from pipelines.files import write_json
from s4net import Instances


@dataclass(frozen=True)
class PictureInstances(Instances):
    """Instances of one picture, see `Instances`."""

    def above(self, min_score: float) -> "PictureInstances":
        """Return the instances with score >= `min_score`."""
        keep = self.scores >= min_score
        return PictureInstances(self.boxes[keep], self.scores[keep], self.masks[keep])

    def draw(self, picture: Image.Image | NDArray[np.uint8], opacity: float = 0.5) -> Image.Image:
        """Draw the instances on the picture, each in a colour of its own with its box and score.

        Args:
            picture: The picture, or uint8 [H, W, 3] RGB.
            opacity: Weight of the colours, 0..1.

        Raises:
            ValueError: The picture has another size than the masks.
        """
        from pipelines.report.overlays import draw_instances  # few callers draw

        pixels = np.asarray(picture.convert("RGB") if isinstance(picture, Image.Image) else picture)
        size = tuple(self.masks.shape[1:])
        if pixels.shape != (*size, 3):
            raise ValueError(f"the picture is {pixels.shape}, expected {(*size, 3)} as the masks are")
        boxes, masks, scores = (part.cpu().numpy() for part in (self.boxes.float(), self.masks, self.scores.float()))
        return Image.fromarray(draw_instances(pixels, boxes, masks, scores, opacity))

    def save(self, folder: str | Path) -> None:
        """Write each mask as a PNG of 0 and 255, best instance first, and boxes and scores as JSON.

        Files `1.png`, `2.png`, ... and `instances.json` {boxes, scores, masks} are replaced where they exist.

        Args:
            folder: The folder; it is made where it is missing.

        Raises:
            MachineError: A file cannot be written.
        """
        place, names = Path(folder), [f"{number}.png" for number in range(1, len(self) + 1)]
        place.mkdir(parents=True, exist_ok=True)
        for name, mask in zip(names, self.masks.cpu().numpy(), strict=True):
            write_png(place / name, mask.astype(np.uint8) * 255)
        boxes, scores = self.boxes.float().tolist(), self.scores.float().tolist()
        write_json(place / "instances.json", {"boxes": boxes, "scores": scores, "masks": names})
