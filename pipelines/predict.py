"""Stage `s4 predict`: the output of a trained network for many pictures, as files.

DeepLab gives a label map for each picture. S4Net gives one COCO file of class-agnostic instances. As in pseudo-label,
each picture is an item of its own. A run that was stopped does only what is missing when it starts again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
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
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries
from pipelines.networks import load
from pipelines.networks.crf import refine
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
        `images`, `written`, `failed`, `seconds`, `images_per_second` and `out`. The counts include earlier runs, and
        images = written + failed. Time and rate are those of this run.

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
    kind = load.network_kind(config.weights)
    _refuse_idle_options(config, kind)
    records = PredictionRecords(config.out, holds_maps=kind == "deeplab")
    settings = _settings(config, kind)
    records.claim(settings, dry_run=True)
    done = records.done(config.retry_failed)
    _refuse_namesakes(config.out, done, pictures)
    todo = [image_id for image_id in pictures if image_id not in done]
    _tell_of_before(config, pictures, done, events)
    if todo:
        answer = _deeplab(config) if records.holds_maps else _s4net(config)
        records.claim(settings)  # only now: an unusable network must not claim the folder
        remove_stale_temporaries(config.out, ["."])
        _predict_all(config, folder, pictures, todo, answer, records, events)
    records.finish()
    done = records.done()
    failed = sum("failed" in done.get(image_id, {}) for image_id in pictures)
    seconds = time.monotonic() - start
    return {
        "images": len(pictures),
        "written": len(pictures) - failed,
        "failed": failed,
        "seconds": seconds,
        "images_per_second": len(todo) / seconds,
        "out": str(config.out),
    }


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
    config: PredictConfig, pictures: Mapping[str, ImageFile], done: Mapping[str, Record], events: Events
) -> None:
    """Say what earlier runs have done, and that their other pictures stay in the folder."""
    failed = sum("failed" in done.get(image_id, {}) for image_id in pictures)
    if all(image_id in done for image_id in pictures):
        again = f", {failed} of them failed (--retry-failed tries these again)" if failed else ""
        total = "the picture was" if len(pictures) == 1 else f"all {len(pictures)} pictures were"
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


def _predict_all(
    config: PredictConfig,
    folder: Path,
    pictures: Mapping[str, ImageFile],
    todo: Sequence[str],
    answer: Answer,
    records: PredictionRecords,
    events: Events,
) -> None:
    total = len(pictures)
    with (
        events.progress(total, "predictions", done=total - len(todo)) as progress,
        StopRequest() as stop,
        ThreadPoolExecutor(max(1, config.workers), thread_name_prefix="reader") as readers,
    ):
        with write_behind(progress) as write:
            for image_id, picture in _read_ahead(readers, todo, pictures, config.workers):
                label_map: Pixels | None = None
                try:
                    require_short_name(records.map_path(image_id))
                    read = picture.result()
                    record, label_map = _described(answer(read), read[1], pictures[image_id], folder)
                except InputError as error:  # one damaged picture does not stop the others
                    record = {"failed": {"rule": error.rule, "message": error.message}}
                    events.warn(str(error))
                write(partial(_keep, {"image_id": image_id, **record}, label_map, records))
                if stop.asked:
                    break
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


def _read_ahead(
    readers: ThreadPoolExecutor, todo: Sequence[str], pictures: Mapping[str, ImageFile], ahead: int
) -> Iterator[tuple[str, Future[Picture]]]:
    """Yield the pictures in order, while threads decode the next ones."""
    waiting: deque[tuple[str, Future[Picture]]] = deque()
    for image_id in todo:
        waiting.append((image_id, readers.submit(open_working_picture, pictures[image_id])))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _keep(record: Record, label_map: Pixels | None, records: PredictionRecords) -> None:
    """Write the file of a picture, then the record, so that every picture with a record is complete."""
    if label_map is not None:
        write_palette_map(records.map_path(record["image_id"]), label_map)
    records.add(record)
