"""The journal of a folder of predictions, kept so that a run can be broken off and repeated.

A record is added when the picture's file is in place. `finish` orders the records, lists what failed, and writes the
instances, where instances are predicted. Runs over several lists may share a folder; its content does not depend on
their order.

Shards append to a journal each. The first shard that finds a record of every picture merges the journals. Merging
twice, even at the same time, gives the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.config.outputs import require_own_folder
from pipelines.data.classes import ClassList
from pipelines.data.coco_writer import coco_json
from pipelines.data.part_journal import open_journal, remove_parts
from pipelines.data.record_files import (
    INSTANCES,
    RECORDS,
    SETTINGS,
    Record,
    check_settings,
    intact_records,
    newest_records,
    records_of_shards,
    remove_journals,
    write_records,
)
from pipelines.files import read_json, write_json
from pipelines.stores.paths import presence

SALIENT = "salient"
"""The one category of class-agnostic instances."""

_CLASSES = "classes"  # key of settings.json


def noted_classes(folder: Path) -> ClassList | None:
    """Return the classes of the label maps that `s4 predict` left in a folder; None if the folder does not name them.

    Raises:
        InputError: The file with the settings is damaged.
    """
    path = folder / SETTINGS
    settings = read_json(path) if path.is_file() else None
    names = settings.get(_CLASSES) if isinstance(settings, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return ClassList.from_names(names, str(path))


class PredictionRecords:
    """The records of a folder of label maps `<id>.png`, or of a folder with instances.

    A record has image_id, and either `failed` or file_name, bytes, height, width and perhaps instances. That of a frame
    has video and frame too. `{image_id, film}` takes back that a video failed; it is not kept.

    Attributes:
        folder: The folder.
        holds_maps: Whether each picture has a label map; otherwise its record holds its instances.
    """

    def __init__(self, folder: Path, holds_maps: bool, shard: tuple[int, int] = (1, 1)) -> None:
        """Name the files; nothing is read or written.

        Args:
            folder: The folder.
            holds_maps: Whether each picture has a label map.
            shard: (I, N): this is shard I of N, counted from 1.
        """
        self.folder, self.holds_maps = folder, holds_maps
        name = RECORDS if shard[1] == 1 else f"records-{shard[0]}-of-{shard[1]}.jsonl"
        self._journal = open_journal(folder / name)

    def map_path(self, image_id: str) -> Path:
        """Return the file of a picture's label map."""
        return self.folder / f"{image_id}.png"

    def claim(self, settings: Mapping[str, Any], classes: Sequence[str] | None = None, dry_run: bool = False) -> None:
        """Tie the folder to the settings of its predictions.

        Args:
            settings: Settings as JSON values.
            classes: Names of the classes of the label maps, noted for whoever reads these, see `noted_classes`.
            dry_run: Whether only to check that the folder can be tied to them.

        Raises:
            ConfigError: The folder is tied to other settings [predictions-differ], or has other files, which label
                maps could overwrite [out-foreign].
        """
        path = self.folder / SETTINGS
        if path.exists():
            # The network decides the classes, so they cannot differ. Older folders do not name them.
            check_settings(path, settings, "predictions", (_CLASSES,))
            return
        require_own_folder("--out", "predictions", self.folder)
        if not dry_run:
            write_json(path, dict(settings) if classes is None else {**settings, _CLASSES: list(classes)})

    def done(self, retry_failed: bool = False) -> dict[str, Record]:
        """Return the newest record of every finished picture by image_id; its file is in place as well.

        Args:
            retry_failed: Whether a picture that failed counts as not finished.
        """
        is_there = presence(self.folder)
        return {
            image_id: record
            for image_id, record in self._newest(is_there).items()
            if (not retry_failed if "failed" in record else self._is_done(record, is_there))
        }

    def add(self, record: Record) -> None:
        """Add the record of a picture whose file is in place."""
        self._journal.append(record)
        self._journal.sync()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give a block after which all records are written, also where an error ends it."""
        try:
            yield
        finally:
            self._journal.flush()

    def finish(self, image_ids: Iterable[str]) -> bool:
        """Order the records, and write the files that depend on all of them, if every picture has a record.

        Args:
            image_ids: All pictures of all shards.

        Returns:
            Whether that was done.

        Raises:
            InputError: A record is damaged [records-damaged].
        """
        newest, done = self._newest(presence(self.folder)), self.done()
        if any(image_id not in done for image_id in image_ids):
            return False
        records = [newest[image_id] for image_id in sorted(newest)]
        with intact_records(self.folder):
            instances = None if self.holds_maps else coco_json(records, {SALIENT: 1})
        write_records(self.folder, records)
        remove_parts(self.folder / RECORDS)
        if instances is not None:
            write_json(self.folder / INSTANCES, instances, indent=None)
        remove_journals(self.folder)
        return True

    def _newest(self, is_there: Callable[[Path], bool]) -> dict[str, Record]:
        """Return the newest record of every picture, by image id."""
        # The merged records are written before the journals are removed, so they are read last to miss none.
        shards = records_of_shards(self.folder)
        newest = newest_records(open_journal(self.folder / RECORDS))
        for image_id, record in shards.items():
            if not ("failed" in record and image_id in newest and self._is_done(newest[image_id], is_there)):
                newest[image_id] = record
        return {image_id: record for image_id, record in newest.items() if "film" not in record}

    def _is_done(self, record: Record, is_there: Callable[[Path], bool]) -> bool:
        """Return whether a picture did not fail, and its file is in place."""
        return "failed" not in record and (not self.holds_maps or is_there(self.map_path(record["image_id"])))
