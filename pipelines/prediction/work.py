"""The work of `predict` with one picture, or with a few together: read, ask the network, describe, and draw."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PredictConfig
from pipelines.data.images import ImageFile, bytes_of, open_image, open_working_picture
from pipelines.data.label_maps import write_palette_map
from pipelines.data.output_names import require_short_name
from pipelines.data.prediction_records import SALIENT, PredictionRecords
from pipelines.data.record_files import Record
from pipelines.data.rle import boxes_of
from pipelines.data.video import VideoFrame
from pipelines.data.working_size import WorkingSize
from pipelines.errors import InputError
from pipelines.networks import load
from pipelines.networks.crf import semantic_map
from pipelines.views.picture_result import PicturePixels
from pipelines.views.picture_views import PictureViews

if TYPE_CHECKING:
    from concurrent.futures import Future

Pixels = NDArray[np.uint8]
Picture = tuple[Pixels, WorkingSize]
"""A picture [h, w, 3] of its working size, and the sizes."""
Answer = Callable[[Sequence[Picture]], "list[dict[str, Any] | Pixels]"]
"""Pictures -> of each its label map [H, W], or the part of its record that describes the instances."""
Source = ImageFile | VideoFrame
Ahead = tuple[ImageFile, "Future[Picture]"]
"""A picture while it is read."""
Found = tuple[Record, Pixels | None]
"""The record of a picture without its id, and the label map if there is one to be written."""


def _deeplab(config: PredictConfig) -> Answer:
    network = load.load_deeplab(config.weights, device=config.device, precision=config.precision)

    def answer(read: Picture) -> Pixels:
        picture, size = read
        preset = config.crf_preset if config.crf else None
        label_map = semantic_map(network, picture, config.scale_list, config.flip, preset)
        return size.enlarge(network.classes.to_palette(label_map))

    return lambda several: [answer(read) for read in several]


def _s4net(config: PredictConfig) -> Answer:
    network = load.load_s4net(
        config.weights,
        min_score=config.min_score,
        flip=config.flip,
        device=config.device,
        precision=config.precision,
    )

    def described(found: Any, size: WorkingSize) -> dict[str, Any]:
        found = found.above(config.min_score)
        masks, scores = found.masks.cpu().numpy(), found.scores.float().tolist()
        rles = size.encode(masks)
        instances = [
            {"box": box, "score": round(score, 6), "keyword": SALIENT, "area": size.area(mask), "segmentation": rle}
            for box, score, mask, rle in zip(boxes_of(rles).tolist(), scores, masks, rles, strict=True)
            if mask.any()
        ]
        return {"instances": instances}

    def answers(several: Sequence[Picture]) -> list[dict[str, Any] | Pixels]:
        if len(several) == 1:
            return [described(network(several[0][0]), several[0][1])]
        found = network.together([picture for picture, _ in several])
        return [described(one, size) for one, (_, size) in zip(found, several, strict=True)]

    return answers


class PredictionWork:
    """The network, and what it does with one picture, in whatever process.

    The network is opened at its first use. A copy that another process gets opens its own. Such a copy writes label
    maps itself, so that it need not send them. Views are written by whoever predicts.
    """

    def __init__(
        self,
        config: PredictConfig,
        folder: Path,
        records: PredictionRecords,
        views: PictureViews | None = None,
        writes: bool = False,
    ) -> None:
        """Open nothing yet.

        Args:
            config: Settings of `s4 predict`.
            folder: The folder of the pictures.
            records: The folder of the predictions.
            views: What to write beside the records; None: nothing.
            writes: Whether `predict` writes the label map, and returns the record alone.
        """
        self.config, self.folder, self.records, self._writes = config, folder, records, writes
        self.views = PictureViews(records.folder) if views is None else views

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process gets: the settings, and no network."""
        return PredictionWork, (self.config, self.folder, self.records, self.views, True)

    def open(self) -> None:
        """Open the network.

        Raises:
            InputError: The weights cannot be used.
        """
        _ = self._answer

    def told(self) -> None:
        """Return nothing: nothing is noted for the user."""

    def hear(self, told: None) -> None:
        """Take nothing."""

    @cached_property
    def _answer(self) -> Answer:
        return _deeplab(self.config) if self.records.holds_maps else _s4net(self.config)

    def predict(self, image_id: str, given: Source | Ahead) -> Found:
        """Return the record of a picture without its id, and the label map if there is one to be written.

        Args:
            image_id: Id of the picture.
            given: The picture, a frame of a video, or (the picture, what reads it).

        Raises:
            InputError: The picture cannot be used.
        """
        (_, found), *_ = self.predict_together(image_id, [(image_id, given)])
        if isinstance(found, InputError):
            raise found
        return found

    def predict_together(
        self, image_id: str, given: Sequence[tuple[str, Source | Ahead]]
    ) -> "list[tuple[str, Found | InputError]]":
        """Do the same for several pictures in one pass of the network.

        Args:
            image_id: Id of the first picture.
            given: (image_id, as `predict`) of each picture.

        Returns:
            (image_id, what `predict` returns, or the error of an unusable picture), in the same order.
        """
        read: dict[str, Picture | InputError] = {each: self._read(each, picture) for each, picture in given}
        usable = [picture for picture in read.values() if not isinstance(picture, InputError)]
        answers = iter(self._answer(usable) if usable else ())
        results: list[tuple[str, Found | InputError]] = []
        for each, picture in given:
            ready = read[each]
            result = ready if isinstance(ready, InputError) else self._kept(each, picture, ready, next(answers))
            results.append((each, result))
        return results

    def _read(self, image_id: str, given: Source | Ahead) -> "Picture | InputError":
        try:
            require_short_name(self.records.map_path(image_id))
            if isinstance(given, VideoFrame):
                size = WorkingSize.of((given.pixels.shape[0], given.pixels.shape[1]))
                return np.ascontiguousarray(size.reduce(given.pixels)), size
            read: Picture = given[1].result() if isinstance(given, tuple) else open_working_picture(given)
            return read
        except InputError as error:
            return error

    def _kept(
        self, image_id: str, given: Source | Ahead, read: Picture, answer: dict[str, Any] | Pixels
    ) -> "Found | InputError":
        """Return what was found in a picture, after its views were written."""
        source: Source = given[0] if isinstance(given, tuple) else given
        record = described(image_id, source, read[1], self.folder)
        record, label_map = ({**record, **answer}, None) if isinstance(answer, dict) else (record, answer)
        try:
            if self.views.words:
                file = None if isinstance(source, VideoFrame) else source
                self.views.write(self.views.result(image_id, record, label_map, file), _pixels(source, read))
        except InputError as error:
            return error
        if label_map is None or not self._writes:
            return record, label_map
        write_palette_map(self.records.map_path(image_id), label_map)
        return record, None


def described(image_id: str, source: Source, size: WorkingSize, folder: Path) -> Record:
    """Return what a record says of a picture itself.

    Args:
        image_id: Its id.
        source: The picture.
        size: Its sizes.
        folder: The folder of the pictures.
    """
    record: Record
    if isinstance(source, VideoFrame):
        video = source.video.relative_to(folder).as_posix()
        record = {"file_name": f"{image_id}.png", "video": video, "frame": source.number, "bytes": source.bytes}
    else:
        record = {"file_name": source.relative_to(folder).as_posix(), "bytes": bytes_of(source)}
    return {**record, "height": size.shown[0], "width": size.shown[1]}


def _pixels(source: Source, read: Picture) -> PicturePixels:
    """Return a picture to draw on, of which the working size was read before."""
    if isinstance(source, VideoFrame):
        return PicturePixels(read[0], read[1], lambda: source.pixels)
    return PicturePixels(*read, lambda: open_image(source) if read[1].is_reduced else read[0])
