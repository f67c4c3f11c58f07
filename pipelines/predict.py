"""Stage `s4 predict`: the output of a trained network for many pictures, as files.

DeepLab gives a label map for each picture. S4Net gives one COCO file of class-agnostic instances. As in pseudo-label,
each picture is an item of its own. A run that was stopped does only what is missing when it starts again.
"""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.config import PredictConfig
from pipelines.config.base import require_video
from pipelines.config.outputs import alone
from pipelines.config.setting import flag_of, settings_of
from pipelines.data.classes import ClassList
from pipelines.data.given_pictures import Given, given_pictures
from pipelines.data.images import ImageFile, bytes_of
from pipelines.data.label_maps import write_palette_map
from pipelines.data.notes import Notes
from pipelines.data.prediction_records import PredictionRecords
from pipelines.data.record_files import INSTANCES, Record
from pipelines.data.voc import pictures_folder, read_split
from pipelines.engine.checkpoint import weights_file, weights_sha256
from pipelines.engine.picture_engine import open_workers
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events
from pipelines.files import remove_stale_temporaries
from pipelines.networks import load
from pipelines.networks.network_file import deeplab_checkpoint
from pipelines.pages.leave import leave_page
from pipelines.pages.predictions import predictions_result
from pipelines.pages.result import REPORT, Result
from pipelines.prediction.answers import Ask, open_answers
from pipelines.prediction.films import Films, write_folder_films
from pipelines.prediction.work import Pixels, PredictionWork
from pipelines.scoring.files import list_pictures
from pipelines.stores.paths import presence
from pipelines.views.files import write_coco
from pipelines.views.picture_views import DrawingWork, PictureViews

_OPTIONS = {"deeplab": ("scales", "flip", "crf", "crf_preset"), "s4net": ("min_score", "flip")}
_IDLE: dict[str, tuple[str, ...]] = {"deeplab": ("batch_size",), "s4net": ()}
"""Options of the other network that alter no result."""


@alone
def predict(config: PredictConfig, events: Events) -> dict[str, Any]:
    """Predict single pictures, every picture of a folder, videos, or the pictures of a VOC list.

    Args:
        config: See `PredictConfig`.
        events: Receives progress and warnings.

    Returns:
        `images`, `written`, `failed`, `seconds`, `images_per_second` and `out`. The counts are those of this shard and
        include earlier runs, and images = written + failed. A frame of a video is an image; a video that failed is one
        too. Time and rate are those of this run.

    Raises:
        ConfigError: The folder holds predictions made with other settings, or of other pictures with the same name
            [predictions-differ]. Or the folder holds something else [out-foreign], or lies among the pictures
            [out-inside]. Or a flag is for the other network [predict-option], or an extra is missing [extra-missing].
        InputError: Pictures or weights cannot be used.
        Stopped: A signal came. The same command goes on.
    """
    start = time.monotonic()
    config = config.located(events.info)
    notes = Notes(events)
    given = _given(config, notes)
    notes.tell()
    kind = load.network_kind(config.weights)
    _refuse_idle_options(config, kind)
    records = PredictionRecords(config.out, kind == "deeplab", config.part)
    settings = _settings(config, kind)
    records.claim(settings, dry_run=True)
    views = _views(config, kind, given, events)
    films = Films(config, given.root, given.videos, records, views)
    films.refuse_others(given.pictures)
    _refuse_namesakes(config.out, records.done(config.retry_failed), given.pictures)
    computed = _compute(config, given, settings, records, views, films, events)
    done = records.done()
    complete = films.all_done(done) and records.finish(given.pictures)
    if complete:
        _write_sums(config, given, records, views)
    else:
        events.info(f"{config.out}: not complete yet; the last shard that ends completes the folder")
    done = records.done()
    own = config.part.own(list(given.pictures))
    failed = sum("failed" in done[image_id] for image_id in own if image_id in done)
    written = sum("failed" not in done[image_id] for image_id in own if image_id in done)
    frames, failed_frames = films.counts(done)
    seconds = time.monotonic() - start
    if config.report and complete and (computed is not None or not (config.out / REPORT).is_file()):
        leave_page(config.out / REPORT, lambda: _shown(config, kind, given.root, given.pictures), seconds, events)
    return {
        "images": len(own) + frames,
        "written": written + frames - failed_frames,
        "failed": failed + failed_frames,
        "seconds": seconds,
        "images_per_second": (computed or 0) / seconds,
        "out": str(config.out),
    }


def _compute(
    config: PredictConfig,
    given: Given,
    settings: dict[str, Any],
    records: PredictionRecords,
    views: PictureViews,
    films: Films,
    events: Events,
) -> int | None:
    """Predict and draw what this shard lacks.

    Returns:
        The number of pictures and frames that were predicted; None if there was nothing to do.
    """
    done = records.done(config.retry_failed)
    own = {image_id: given.pictures[image_id] for image_id in config.part.own(list(given.pictures))}
    todo = {image_id: picture for image_id, picture in own.items() if image_id not in done}
    is_there = presence(config.out)
    bare = {
        image_id: (picture, done[image_id])
        for image_id, picture in own.items()
        if image_id in done
        and "failed" not in done[image_id]
        and not views.are_there(image_id, done[image_id], is_there)
    }
    left = films.left(done)
    _tell_of_before(config, given, own, done, events)
    if bare:
        _draw_all(config, bare, records, views, events)
    predicted = 0
    if todo or left:
        work = PredictionWork(config, given.root, records, views)
        with open_answers(config, work, [*todo.values()] or [*left.values()], events) as ask:
            work.open()
            # Only now: an unusable network must not claim the folder.
            names = _classes(config.weights).names if records.holds_maps else None
            records.claim(settings, names)
            remove_stale_temporaries(config.out, ["."])
            if todo:
                _predict_all(config, len(own), todo, ask, records, events)
            predicted = films.predict(left, done, ask, events) if left else 0
        remove_stale_temporaries(config.out)  # of processes that died while others went on
    return len(todo) + predicted if todo or left or bare else None


def _write_sums(config: PredictConfig, given: Given, records: PredictionRecords, views: PictureViews) -> None:
    """Write the files that are made of all pictures; the instances of an S4Net are written with the records."""
    if views.classes is not None and ("coco" in config.views or (config.out / INSTANCES).is_file()):
        done = records.done()
        results = (views.result(each, done[each]) for each in sorted(done) if "failed" not in done[each])
        write_coco(config.out / INSTANCES, results, views.classes.names)
    if "video" in config.views and given.pictures:
        write_folder_films(config, given.pictures, given.videos, records, views)


def _draw_all(
    config: PredictConfig,
    bare: Mapping[str, tuple[ImageFile, Record]],
    records: PredictionRecords,
    views: PictureViews,
    events: Events,
) -> None:
    """Write the views of pictures that were predicted before; the network is not asked again."""
    with (
        events.progress(len(bare), "views") as progress,
        StopRequest() as stop,
        open_workers(config, DrawingWork(views), [picture for picture, _ in bare.values()], events) as workers,
        records.kept(),
    ):
        for image_id, drawn in workers.answers(DrawingWork.draw, list(bare.items()), lambda: stop.asked):
            if isinstance(drawn, InputError):
                events.warn(str(drawn))
                records.add({"image_id": image_id, "failed": {"rule": drawn.rule, "message": drawn.message}})
            progress.advance()
        if stop.asked and progress.done < len(bare):
            message = f"{config.out}: stopped by a signal after {progress.done} of {len(bare)} drawings"
            raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _views(config: PredictConfig, kind: str, given: Given, events: Events) -> PictureViews:
    """Return what is written for each picture, and say what it cannot express."""
    if kind == "s4net":
        if {"masks", "cutout"} & {*config.views}:
            events.info("masks and cutout: PNG files hold no scores; instances.json and records.jsonl have them")
        return PictureViews(config.out, config.views)
    if {"coco", "labelme"} & {*config.views}:
        events.info(
            "coco and labelme: each connected region of a class is taken for an instance; label maps have no scores"
        )
    twin = next((each for each in given.pictures if each.startswith("cutouts/")), None)
    if "cutout" in config.views and twin is not None:
        message = f"{twin}: its label map would lie among the cut-outs, a folder with another name than cutouts"
        raise InputError(f"{message} expected; rename it, or leave cutout out of --what", "image-id-twice")
    is_drawn = bool(config.views or given.videos) or (config.out / INSTANCES).is_file()
    return PictureViews(config.out, config.views, _classes(config.weights) if is_drawn else None)


def _classes(weights: Path) -> ClassList:
    return deeplab_checkpoint(weights_file(weights))[0]


def _shown(config: PredictConfig, kind: str, folder: Path, pictures: Mapping[str, ImageFile]) -> Result:
    """Return what the page of the predictions shows."""
    classes = _classes(config.weights) if kind == "deeplab" else None
    return predictions_result(config.out, pictures, config, classes, pictures=str(folder.absolute()))


def _given(config: PredictConfig, notes: Notes) -> Given:
    """Return the folder of the pictures, and the file of each picture and video by id.

    Raises:
        ConfigError: There is a video, and nothing to read it with [extra-missing], or Ray would read it
            [predict-option].
    """
    if config.voc is not None:
        pictures = list_pictures(config.voc, read_split(config.voc, config.split))
        return Given(pictures_folder(config.voc), dict(pictures), {})
    assert config.images is not None
    given = given_pictures(config.images, notes, videos=True)
    for video in given.videos.values():
        require_video(str(video))
        if config.engine == "ray":
            message = f"--engine ray: given with the video {video}, pictures expected; take --engine local"
            raise ConfigError(message, "predict-option")
    return given


def _tell_of_before(
    config: PredictConfig, given: Given, own: Mapping[str, ImageFile], done: Mapping[str, Record], events: Events
) -> None:
    """Say what earlier runs have done, and that their other pictures stay in the folder."""
    failed = sum("failed" in done.get(image_id, {}) for image_id in own)
    if all(image_id in done for image_id in own) and (own or not given.videos):
        again = f", {failed} of them failed (--retry-failed tries these again)" if failed else ""
        total = "the picture was" if len(own) == 1 else f"all {len(own)} pictures were"
        events.info(f"{config.out}: {total} predicted before{again}")
    others = sum("video" not in done[image_id] for image_id in done.keys() - given.pictures.keys())
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
    for name in (*_OPTIONS[other], *_IDLE[kind]):
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


def _predict_all(
    config: PredictConfig,
    total: int,
    todo: Mapping[str, ImageFile],
    ask: Ask,
    records: PredictionRecords,
    events: Events,
) -> None:
    with (
        events.progress(total, "predictions", done=total - len(todo)) as progress,
        StopRequest() as stop,
    ):
        with records.kept(), write_behind(progress) as write:
            for image_id, found in ask(list(todo.items()), lambda: stop.asked):
                if isinstance(found, InputError):  # one damaged picture does not stop the others
                    events.warn(str(found))
                    found = {"failed": {"rule": found.rule, "message": found.message}}, None
                record, label_map = found
                write(partial(_keep, {"image_id": image_id, **record}, label_map, records))
        if stop.asked and progress.done < total:
            message = f"{config.out}: stopped by a signal after {progress.done} of {total} pictures, all of them kept"
            raise Stopped(f"{message}; start the same command again to go on", "stopped")


def _keep(record: Record, label_map: Pixels | None, records: PredictionRecords) -> None:
    """Write the file of a picture, then the record, so that every picture with a record is complete."""
    if label_map is not None:
        write_palette_map(records.map_path(record["image_id"]), label_map)
    records.add(record)
