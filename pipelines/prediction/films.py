"""Videos: the frames are predicted like pictures, and a film of them is made.

A film appears when all of its frames have records. A run that was stopped decodes the video once more, and draws the
frames that it has. A note beside the film tells which video it is of.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.config import PredictConfig
from pipelines.data.images import ImageFile, bytes_of
from pipelines.data.label_maps import write_palette_map
from pipelines.data.prediction_records import PredictionRecords
from pipelines.data.record_files import Record
from pipelines.data.video import Film, Video, VideoFrame, open_video
from pipelines.engine.picture_engine import processes
from pipelines.engine.picture_workers import FEWEST
from pipelines.engine.signals import StopRequest
from pipelines.engine.write_behind import write_behind
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.events import Events, Progress
from pipelines.files import atomic_write, read_json, remove_file, write_json
from pipelines.prediction.answers import Ask, batches
from pipelines.prediction.work import Found
from pipelines.stores.paths import is_file, presence
from pipelines.views.drawing import overlay
from pipelines.views.picture_result import PicturePixels
from pipelines.views.picture_views import PictureViews, read_pixels

FOLDER = "videos"
_TOGETHER = 64  # frames that are in memory, at most
_MEMORY = 2**29  # bytes that they may take


class Films:
    """The videos of a run, and their films."""

    def __init__(
        self, config: PredictConfig, root: Path, videos: Mapping[str, Path], records: PredictionRecords,
        views: PictureViews,
    ) -> None:  # fmt: skip
        """Look at no video yet.

        Args:
            config: Settings of `s4 predict`.
            root: The folder that ids and names lead from.
            videos: Every video of all shards by its id.
            records: The folder of the predictions.
            views: What is written for each frame.
        """
        self._config, self._root, self._videos = config, root, videos
        self._records, self._views = records, views
        self.own = {video_id: videos[video_id] for video_id in config.part.own(list(videos))}

    def refuse_others(self, pictures: Iterable[str]) -> None:
        """Refuse a video if the folder holds frames of another one of its name, or of another `--every`.

        Args:
            pictures: Ids of the pictures of the run.

        Raises:
            ConfigError: It is so [predictions-differ].
            InputError: A picture has the name of a frame [image-id-twice].
        """
        names = "|".join(map(re.escape, self._videos))
        twin = next((each for each in pictures if names and re.fullmatch(rf"({names})_\d{{6,}}", each)), None)
        if twin is not None:
            message = f"{twin}: a picture has the name of a frame of a video, names of their own expected"
            raise InputError(f"{message}; predict the video into another --out", "image-id-twice")
        for video_id, path in self._videos.items():
            there, here = self._note(video_id), self._about(path)
            differing = [name for name, value in here.items() if there and there.get(name) != value]
            if differing:
                name = differing[0]
                raise ConfigError(
                    f"--out {self._config.out}: holds frames of {path.name} with {name} {there.get(name)}, "
                    f"{here[name]} expected; choose another --out or remove the folder",
                    "predictions-differ",
                )

    def left(self, done: Mapping[str, Record]) -> dict[str, Path]:
        """Return the videos of this shard that are to be worked on.

        Args:
            done: The newest record of each finished picture; without those that failed and are tried again.
        """
        frames = _frames(done)
        return {video_id: path for video_id, path in self.own.items() if not self._is_done(video_id, done, frames)}

    def all_done(self, done: Mapping[str, Record]) -> bool:
        """Return whether the videos of all shards are finished."""
        frames = _frames(done)
        return all(self._is_done(video_id, done, frames) for video_id in self._videos)

    def counts(self, done: Mapping[str, Record]) -> tuple[int, int]:
        """Return how many frames and failed videos this shard has, and how many of both failed."""
        videos = [self._failed_id(video_id) for video_id in self.own if self._failed_id(video_id) in done]
        records = _records_of(done, {self._name(path) for path in self.own.values()})
        failed = sum("failed" in record for record in records)
        return len(records) + len(videos), failed + len(videos)

    def predict(self, left: Mapping[str, Path], done: Mapping[str, Record], ask: Ask, events: Events) -> int:
        """Predict the frames of videos, and write the films.

        Args:
            left: The videos.
            done: As for `left`.
            ask: Predicts frames.
            events: Receives progress, and damaged videos.

        Returns:
            How many frames were predicted; others had been before.

        Raises:
            Stopped: A signal came.
        """
        before = len(_records_of(done, {self._name(path) for path in left.values()}))
        with StopRequest() as stop, self._records.kept():
            for video_id, path in left.items():
                try:
                    self._predict_one(video_id, path, done, ask, lambda: stop.asked, events)
                except InputError as error:  # one damaged video does not stop the others
                    events.warn(str(error))
                    failed = {"rule": error.rule, "message": error.message}
                    self._records.add({"image_id": self._failed_id(video_id), "failed": failed})
                    remove_file(self._note_path(video_id))  # a restored video has other bytes
        return len(_records_of(self._records.done(), {self._name(path) for path in left.values()})) - before

    def _predict_one(
        self, video_id: str, path: Path, done: Mapping[str, Record], ask: Ask, stop: Callable[[], bool], events: Events
    ) -> None:
        with open_video(path) as video:
            every = self._config.every
            write_json(self._note_path(video_id), self._about(path))
            count = 0

            def write(file: BinaryIO) -> None:
                nonlocal count
                expected = -(-video.count // every)
                with (
                    Film(file, video.rate / every) as film,
                    events.progress(max(1, expected), path.name) as progress,
                ):
                    for pixels in self._drawn(video_id, video, done, ask, stop, progress):
                        film.add(pixels)
                        count += 1

            atomic_write(self._film_path(video_id), write)
        write_json(self._note_path(video_id), {**self._about(path), "frames": count})
        self._records.add({"image_id": self._failed_id(video_id), "film": True})

    def _drawn(
        self, video_id: str, video: Video, done: Mapping[str, Record], ask: Ask, stop: Callable[[], bool],
        progress: Progress,
    ) -> Iterator[NDArray[np.uint8]]:  # fmt: skip
        """Yield every frame with its result drawn, each when its record is kept."""
        for frames in _bounded(video.frames(self._config.every), self._at_once):
            ids = [f"{video_id}_{frame.number:06d}" for frame in frames]
            new = [(i, frame) for i, frame in zip(ids, frames, strict=True) if _bytes(done, i) != frame.bytes]
            found: dict[str, Found | InputError] = {}
            with write_behind(progress) as write:
                for image_id, result in ask(new, stop):
                    found[image_id] = result
                    write(partial(self._keep, image_id, self._name(video.path), result))
            if len(found) < len(new):
                message = f"{self._config.out}: stopped by a signal in {video.path.name}, all frames so far are kept"
                raise Stopped(f"{message}; start the same command again to go on", "stopped")
            for image_id, frame in zip(ids, frames, strict=True):
                if image_id in found:
                    yield self._overlay(image_id, frame, found[image_id])
                else:
                    progress.advance()
                    yield self._overlay_again(image_id, frame, done[image_id])

    def _keep(self, image_id: str, video: str, result: Found | InputError) -> None:
        if isinstance(result, InputError):
            failed = {"rule": result.rule, "message": result.message}
            self._records.add({"image_id": image_id, "video": video, "failed": failed})
            return
        record, label_map = result
        if label_map is not None:
            write_palette_map(self._records.map_path(image_id), label_map)
        self._records.add({"image_id": image_id, **record})

    def _overlay(self, image_id: str, frame: VideoFrame, result: Found | InputError) -> NDArray[np.uint8]:
        picture = PicturePixels.of(frame.pixels)
        if isinstance(result, InputError):
            return picture.working
        return overlay(self._views.result(image_id, *result), picture)

    def _overlay_again(self, image_id: str, frame: VideoFrame, record: Record) -> NDArray[np.uint8]:
        """Draw a frame that was predicted before, and write those of its views that are missing."""
        picture = PicturePixels.of(frame.pixels)
        if "failed" in record:
            return picture.working
        result = self._views.result(image_id, record)
        if not self._views.are_there(image_id, record, is_file):
            self._views.write(result, picture)
        return overlay(result, picture)

    @property
    def _at_once(self) -> int:
        config = self._config
        return max(config.batch_size, min(_TOGETHER, FEWEST * (processes(config) if config.engine == "local" else 4)))

    def _is_done(self, video_id: str, done: Mapping[str, Record], frames: Mapping[str, Mapping[str, Record]]) -> bool:
        if self._failed_id(video_id) in done:
            return True
        own = frames.get(self._name(self._videos[video_id]), {})
        if self._note(video_id).get("frames") != len(own) or not is_file(self._film_path(video_id)):
            return False
        is_there = presence(self._config.out)
        return all("failed" in record or self._views.are_there(i, record, is_there) for i, record in own.items())

    def _failed_id(self, video_id: str) -> str:
        return f"{video_id}{self._videos[video_id].suffix}"  # a picture may have the name without suffix

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _film_path(self, video_id: str) -> Path:
        return self._config.out / FOLDER / f"{video_id}.mp4"

    def _note_path(self, video_id: str) -> Path:
        return self._config.out / FOLDER / f"{video_id}.json"

    def _note(self, video_id: str) -> dict[str, Any]:
        path = self._note_path(video_id)
        content = read_json(path) if is_file(path) else None
        return content if isinstance(content, dict) else {}

    def _about(self, path: Path) -> dict[str, Any]:
        return {"file_name": self._name(path), "bytes": bytes_of(path), "every": self._config.every}


def write_folder_films(
    config: PredictConfig,
    pictures: Mapping[str, ImageFile],
    videos: Collection[str],
    records: PredictionRecords,
    views: PictureViews,
) -> None:
    """Write a film of the pictures of each folder, in the order of the numbers in their names.

    Args:
        config: Settings of `s4 predict`.
        pictures: The pictures by id; all of them have records.
        videos: Ids of videos, whose names films of folders do not take.
        records: The folder of the predictions.
        views: Makes the results of the records.

    Raises:
        MachineError: A film cannot be written.
    """
    done = records.done()
    folders: dict[str, list[str]] = {}
    for image_id in sorted(pictures, key=natural):
        if "failed" not in done[image_id]:
            folders.setdefault(PurePosixPath(image_id).parent.as_posix(), []).append(image_id)
    for folder, ids in folders.items():
        name = "pictures" if folder == "." else folder
        while name in videos or (folder == "." and name in folders):
            name += "_"

        def write(file: BinaryIO, ids: Sequence[str] = ids) -> None:
            with Film(file, Fraction(config.fps).limit_denominator(1000)) as film:
                for image_id in ids:
                    picture = pictures[image_id]
                    film.add(overlay(views.result(image_id, done[image_id], file=picture), read_pixels(picture)))

        atomic_write(config.out / FOLDER / f"{name}.mp4", write)


def natural(name: str) -> list[tuple[int, str]]:
    """Return what to sort names by, so that `frame_2` is before `frame_10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def _bounded(frames: Iterator[VideoFrame], most: int) -> Iterator[list[VideoFrame]]:
    """Yield frames in lists of bounded size, in number and in bytes."""
    first = next(frames, None)
    if first is None:
        return
    size = max(1, min(most, _MEMORY // first.pixels.nbytes))

    def all_frames() -> Iterator[VideoFrame]:
        yield first
        yield from frames

    yield from batches(all_frames(), size)


def _frames(done: Mapping[str, Record]) -> dict[str, dict[str, Record]]:
    """Return the records of the frames of each video, by the name of the video."""
    found: dict[str, dict[str, Record]] = {}
    for image_id, record in done.items():
        if "video" in record:
            found.setdefault(record["video"], {})[image_id] = record
    return found


def _bytes(done: Mapping[str, Record], image_id: str) -> int | None:
    """Return the size of the video that a frame was predicted from; a video that failed may be another one since."""
    size: int | None = done.get(image_id, {}).get("bytes")
    return size


def _records_of(done: Mapping[str, Record], names: set[str]) -> list[Record]:
    return [record for record in done.values() if record.get("video") in names]
