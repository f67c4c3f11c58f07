"""What `load_s4net` returns for a picture: the instances, to look at and to keep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import write_png
from pipelines.data.prediction_records import SALIENT
from pipelines.data.rle import encode_masks
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

        pixels = _pixels(picture)
        size = tuple(self.masks.shape[1:])
        if pixels.shape != (*size, 3):
            raise ValueError(f"the picture is {pixels.shape}, expected {(*size, 3)} as the masks are")
        boxes, masks, scores = (part.cpu().numpy() for part in (self.boxes.float(), self.masks, self.scores.float()))
        return Image.fromarray(draw_instances(pixels, boxes, masks, scores, opacity))

    def save(
        self,
        folder: str | Path,
        what: str = "",
        picture: Image.Image | NDArray[np.uint8] | None = None,
        name: str = "picture",
    ) -> None:
        """Write the instances, best first: by default each mask as a PNG of 0 and 255, and boxes and scores as JSON.

        Files `1.png`, `2.png`, ... and `instances.json` {boxes, scores, masks} are replaced where they exist. With
        `what` the files are those of `s4 predict --what`: `overlays/NAME.jpg`, `masks/NAME-1.png`,
        `cutouts/NAME-1.png`, `labelme/NAME.json`; and `coco/NAME.json` for this picture alone.

        Args:
            folder: The folder; it is made where it is missing.
            what: Words of overlay, masks, coco, labelme and cutout, with commas.
            picture: The picture, or uint8 [H, W, 3] RGB; for overlay, labelme and cutout.
            name: Name of the picture in the names of files; it may have folders, and has no suffix.

        Raises:
            ValueError: A word is unknown, or the picture is missing or has another size than the masks.
            MachineError: A file cannot be written.
        """
        if what:
            self._save_views(Path(folder), [word.strip() for word in what.split(",")], picture, name)
            return
        place, names = Path(folder), [f"{number}.png" for number in range(1, len(self) + 1)]
        place.mkdir(parents=True, exist_ok=True)
        for file, mask in zip(names, self.masks.cpu().numpy(), strict=True):
            write_png(place / file, mask.astype(np.uint8) * 255)
        boxes, scores = self.boxes.float().tolist(), self.scores.float().tolist()
        write_json(place / "instances.json", {"boxes": boxes, "scores": scores, "masks": names})

    def _save_views(
        self, folder: Path, words: list[str], picture: Image.Image | NDArray[np.uint8] | None, name: str
    ) -> None:
        from pipelines.views.files import PICTURE_VIEWS, write_coco, write_views
        from pipelines.views.picture_result import Instance, PicturePixels, PictureResult

        unknown = [word for word in words if word not in PICTURE_VIEWS]
        if unknown:
            raise ValueError(f"what is {unknown[0]!r}, expected words of {', '.join(PICTURE_VIEWS)}")
        size = (int(self.masks.shape[1]), int(self.masks.shape[2]))
        blank = np.zeros((*size, 3), np.uint8)
        pixels = blank if picture is None else _pixels(picture)
        if picture is None and {"overlay", "labelme", "cutout"} & {*words}:
            raise ValueError("picture is missing, expected for overlay, labelme and cutout")
        if pixels.shape != (*size, 3):
            raise ValueError(f"the picture is {pixels.shape}, expected {(*size, 3)} as the masks are")
        rles = encode_masks(self.masks.cpu().numpy())
        scores = self.scores.float().tolist()
        found = tuple(Instance(rle, SALIENT, score) for rle, score in zip(rles, scores, strict=True))
        result = PictureResult(name, f"{name}.png", *size, instances=found)
        write_views(folder, words, result, PicturePixels.of(pixels))
        if "coco" in words:
            write_coco(folder / "coco" / f"{name}.json", [result], [SALIENT])


def _pixels(picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB") if isinstance(picture, Image.Image) else picture)
