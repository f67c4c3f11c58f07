"""Stage `s4 predict`: the output of a trained network for many pictures, as files.

DeepLab gives a label map for each picture. S4Net gives one COCO file of class-agnostic instances. As in pseudo-label,
each picture is an item of its own. A run that was stopped does only what is missing when it starts again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PredictConfig
from pipelines.config.outputs import alone
from pipelines.config.setting import flag_of, settings_of
from pipelines.data.given_pictures import given_pictures
from pipelines.data.images import ImageFile, bytes_of, open_working_picture
from pipelines.data.label_maps import write_palette_map
from pipelines.data.notes import Notes
from pipelines.data.output_names import require_short_name
from pipelines.data.prediction_records import SALIENT, PredictionRecords
from pipelines.data.record_files import Record
from pipelines.data.rle import boxes_of
from pipelines.data.voc import pictures_folder, read_split
from pipelines.data.working_size import WorkingSize
from pipelines.engine.checkpoint import weights_file, weights_sha256
from pipelines.engine.distributed import choose_device
from pipelines.engine.picture_engine import arithmetic, open_workers
from pipelines.engine.picture_steps import one_by_one
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries
from pipelines.networks import load
from pipelines.networks.crf import refine
from pipelines.networks.network_file import deeplab_checkpoint
from pipelines.pages.leave import leave_page
from pipelines.pages.predictions import predictions_result
from pipelines.pages.result import REPORT, Result
from pipelines.scoring.files import list_pictures

_OPTIONS = {"deeplab": ("scales", "flip", "crf", "crf_preset"), "s4net": ("min_score", "flip")}

Pixels = NDArray[np.uint8]
Picture = tuple[Pixels, WorkingSize]
"""A picture [h, w, 3] of its working size, and the sizes."""
Answer = Callable[[Picture], "dict[str, Any] | Pixels"]
"""Picture -> label map [H, W], or the part of the record that describes the instances."""


@alone
def predict(config: PredictConfig, events: Events) -> dict[str, Any]:
    """Predict single pictures, every picture of a folder, or those of a VOC list.

    Args:
        config: See `PredictConfig`.
        events: Receives progress and warnings.

    Returns:
        `images`, `written`, `failed`, `seconds`, `images_per_second` and `out`. The counts are those of this shard and
        include earlier runs, and images = written + failed. Time and rate are those of this run.

    Raises:
        ConfigError: The folder holds predictions made with other settings, or of other pictures with the same name
            [predictions-differ]. Or the folder holds something else [out-foreign], or lies among the pictures
            [out-inside]. Or a flag is for the other network [predict-option].
        InputError: Pictures or weights cannot be used.
        Stopped: A signal came. The same command goes on.
    """
    start = time.monotonic()
    config = config.located(events.info)
    notes = Notes(events)
    folder, pictures = _pictures(config, notes)
    notes.tell()
    own = {image_id: pictures[image_id] for image_id in config.part.own(list(pictures))}
    kind = load.network_kind(config.weights)
    _refuse_idle_options(config, kind)
    records = PredictionRecords(config.out, kind == "deeplab", config.part)
    settings = _settings(config, kind)
    records.claim(settings, dry_run=True)
    done = records.done(config.retry_failed)
    _refuse_namesakes(config.out, done, pictures)
    todo = {image_id: picture for image_id, picture in own.items() if image_id not in done}
    _tell_of_before(config, pictures, own, done, events)
    if todo:
        work = PredictionWork(config, folder, records)
        with _open_answers(config, work, todo, events) as answers:
            work.open()
            records.claim(settings)  # only now: an unusable network must not claim the folder
            remove_stale_temporaries(config.out, ["."])
            _predict_all(config, len(own), len(todo), answers, records, events)
        remove_stale_temporaries(config.out)  # of processes that died while others went on
    complete = records.finish(pictures)
    if not complete:
        events.info(f"{config.out}: not complete yet; the last shard that ends completes the folder")
    done = records.done()
    failed = sum("failed" in done.get(image_id, {}) for image_id in own)
    seconds = time.monotonic() - start
    if config.report and complete and (todo or not (config.out / REPORT).is_file()):
        leave_page(config.out / REPORT, lambda: _shown(config, kind, folder, pictures), seconds, events)
    return {
        "images": len(own),
        "written": len(own) - failed,
        "failed": failed,
        "seconds": seconds,
        "images_per_second": len(todo) / seconds,
        "out": str(config.out),
    }


def _shown(config: PredictConfig, kind: str, folder: Path, pictures: Mapping[str, ImageFile]) -> Result:
    """Return what the page of the predictions shows."""
    classes = deeplab_checkpoint(weights_file(config.weights))[0] if kind == "deeplab" else None
    return predictions_result(config.out, pictures, config, classes, pictures=str(folder.absolute()))


def _pictures(config: PredictConfig, notes: Notes) -> tuple[Path, Mapping[str, ImageFile]]:
    """Return the folder of the pictures, and the file of each picture by id."""
    if config.voc is not None:
        folder = pictures_folder(config.voc)
        pictures: Mapping[str, ImageFile] = list_pictures(config.voc, read_split(config.voc, config.split))
    else:
        assert config.images is not None
        folder, pictures = given_pictures(config.images, notes)
    return folder, pictures


def _tell_of_before(
    config: PredictConfig,
    pictures: Mapping[str, ImageFile],
    own: Mapping[str, ImageFile],
    done: Mapping[str, Record],
    events: Events,
) -> None:
    """Say what earlier runs have done, and that their other pictures stay in the folder."""
    failed = sum("failed" in done.get(image_id, {}) for image_id in own)
    if all(image_id in done for image_id in own):
        again = f", {failed} of them failed (--retry-failed tries these again)" if failed else ""
        total = "the picture was" if len(own) == 1 else f"all {len(own)} pictures were"
        events.info(f"{config.out}: {total} predicted before{again}")
    others = len(done.keys() - pictures.keys())
    if others:
        events.info(f"{config.out}: holds {others} predictions of other pictures too; they stay")


def _refuse_namesakes(out: Path, done: Mapping[str, Record], pictures: Mapping[str, ImageFile]) -> None:
    """Refuse another picture of the same name and of another size in bytes, which would count as predicted."""
    for image_id, picture in pictures.items():
        there, here = done.get(image_id, {}).get("bytes"), bytes_of(picture)
        if there and here and there != here:  # a picture without size has been removed
            message = f"--out {out}: holds the prediction of another {image_id}, of {there} bytes"
            raise ConfigError(
                f"{message}, {picture} of {here} bytes expected; choose another --out or remove the folder",
                "predictions-differ",
            )


def _refuse_idle_options(config: PredictConfig, kind: str) -> None:
    """Refuse options of the other network, which would have no effect."""
    settings = settings_of(PredictConfig)
    other, network = ("s4net", "an S4Net") if kind == "deeplab" else ("deeplab", "a DeepLab")
    for name in _OPTIONS[other]:
        if name not in _OPTIONS[kind] and getattr(config, name) != settings[name].default:
            message = f"{flag_of(name)}: given with {config.weights}, {network} expected; leave it out"
            raise ConfigError(message, "predict-option")


def _settings(config: PredictConfig, kind: str) -> dict[str, Any]:
    """Return everything that a prediction depends on.

    Paths and the list of pictures are not part of it, so that pictures may be added.
    """
    chosen = {
        name: getattr(config, name) for name in (*_OPTIONS[kind], "precision") if name != "crf_preset" or config.crf
    }
    return {"network": kind, "weights_sha256": weights_sha256(weights_file(config.weights)), "configuration": chosen}


def _deeplab(config: PredictConfig) -> Answer:
    network = load.load_deeplab(config.weights, device=config.device, precision=config.precision)

    def answer(read: Picture) -> Pixels:
        picture, size = read
        probabilities = network.probabilities(picture, config.scale_list, config.flip)
        if config.crf:
            probabilities = refine(probabilities, picture, config.crf_preset, network.device)
        return size.enlarge(network.classes.to_palette(probabilities.argmax(axis=0).astype(np.uint8)))

    return answer


def _s4net(config: PredictConfig) -> Answer:
    network = load.load_s4net(
        config.weights,
        min_score=config.min_score,
        flip=config.flip,
        device=config.device,
        precision=config.precision,
    )

    def answer(read: Picture) -> dict[str, Any]:
        picture, size = read
        found = network(picture).above(config.min_score)
        masks, scores = found.masks.cpu().numpy(), found.scores.float().tolist()
        rles = size.encode(masks)
        instances = [
            {"box": box, "score": round(score, 6), "keyword": SALIENT, "area": size.area(mask), "segmentation": rle}
            for box, score, mask, rle in zip(boxes_of(rles).tolist(), scores, masks, rles, strict=True)
            if mask.any()
        ]
        return {"instances": instances}

    return answer


class PredictionWork:
    """The network, and what it does with one picture, in whatever process.

    The network is opened at its first use. A copy that another process gets opens its own. Such a copy writes label
    maps itself, so that it need not send them.
    """

    def __init__(self, config: PredictConfig, folder: Path, records: PredictionRecords, writes: bool = False) -> None:
        """Open nothing yet.

        Args:
            config: Settings of `s4 predict`.
            folder: The folder of the pictures.
            records: The folder of the predictions.
            writes: Whether `predict` writes the label map, and returns the record alone.
        """
        self.config, self.folder, self.records, self._writes = config, folder, records, writes

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process gets: the settings, and no network."""
        return PredictionWork, (self.config, self.folder, self.records, True)

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

    def predict(self, image_id: str, given: "ImageFile | _Ahead") -> tuple[Record, Pixels | None]:
        """Return the record of a picture without its id, and the label map if there is one to be written.

        Args:
            image_id: Id of the picture.
            given: The picture, or the picture while it is read.

        Raises:
            InputError: The picture cannot be used.
        """
        picture, reading = given if isinstance(given, tuple) else (given, None)
        require_short_name(self.records.map_path(image_id))
        read = open_working_picture(picture) if reading is None else reading.result()
        record, label_map = _described(self._answer(read), read[1], picture, self.folder)
        if label_map is None or not self._writes:
            return record, label_map
        write_palette_map(self.records.map_path(image_id), label_map)
        return record, None


_Ahead = tuple[ImageFile, "Future[Picture]"]
Answers = Iterator[tuple[str, "tuple[Record, Pixels | None] | InputError"]]


@contextmanager
def _open_answers(
    config: PredictConfig, work: PredictionWork, todo: Mapping[str, ImageFile], events: Events
) -> Iterator[Callable[[Callable[[], bool]], Answers]]:
    """Give a function (stop) -> answers for the pictures, see `PictureWorkers.answers`."""
    if config.engine == "local" and choose_device(config.device).type != "cpu":
        ahead = 2 if config.workers is None else config.workers
        with ThreadPoolExecutor(max(1, ahead), thread_name_prefix="reader") as readers:
            yield lambda stop: one_by_one(PredictionWork.predict, work, _read_ahead(readers, todo, ahead), stop)
        return
    with arithmetic(config), open_workers(config, work, list(todo.values()), events) as workers:
        yield lambda stop: workers.answers(PredictionWork.predict, list(todo.items()), stop)


def _predict_all(
    config: PredictConfig,
    total: int,
    left: int,
    answers: Callable[[Callable[[], bool]], Answers],
    records: PredictionRecords,
    events: Events,
) -> None:
    with (
        events.progress(total, "predictions", done=total - left) as progress,
        StopRequest() as stop,
    ):
        with records.kept(), write_behind(progress) as write:
            for image_id, found in answers(lambda: stop.asked):
                if isinstance(found, InputError):  # one damaged picture does not stop the others
                    events.warn(str(found))
                    found = {"failed": {"rule": found.rule, "message": found.message}}, None
                record, label_map = found
                write(partial(_keep, {"image_id": image_id, **record}, label_map, records))
        if stop.asked and progress.done < total:
            message = f"{config.out}: stopped by a signal after {progress.done} of {total} pictures, all of them kept"
            raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _described(
    found: dict[str, Any] | Pixels, size: WorkingSize, picture: ImageFile, folder: Path
) -> tuple[Record, Pixels | None]:
    """Return the record of a picture, and the label map if there is one."""
    name = picture.relative_to(folder).as_posix()
    record = {"file_name": name, "bytes": bytes_of(picture), "height": size.shown[0], "width": size.shown[1]}
    return ({**record, **found}, None) if isinstance(found, dict) else (record, found)


def _read_ahead(readers: ThreadPoolExecutor, todo: Mapping[str, ImageFile], ahead: int) -> Iterator[tuple[str, _Ahead]]:
    """Yield the pictures in order, while threads decode the next ones."""
    waiting: deque[tuple[str, _Ahead]] = deque()
    for image_id, picture in todo.items():
        waiting.append((image_id, (picture, readers.submit(open_working_picture, picture))))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _keep(record: Record, label_map: Pixels | None, records: PredictionRecords) -> None:
    """Write the file of a picture, then the record, so that every picture with a record is complete."""
    if label_map is not None:
        write_palette_map(records.map_path(record["image_id"]), label_map)
    records.add(record)
