"""The journal of a folder of predictions, kept so that a run can be broken off and repeated.

A record is added when the picture's file is in place. `finish` orders the records, lists what failed, and writes the
instances, if that is what is predicted. Runs over several lists may share a folder, and nothing in it depends on which
came first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.data.coco_writer import coco_json
from pipelines.data.record_files import INSTANCES, RECORDS, SETTINGS, Record, check_settings, write_records
from pipelines.errors import ConfigError
from pipelines.files import Journal, write_json

SALIENT = "salient"
"""The one category of class-agnostic instances."""


class PredictionRecords:
    """The records of a folder of label maps `<id>.png`, or of one with instances.

    A record has image_id, and either file_name, bytes, height, width and perhaps instances, or failed.

    Attributes:
        folder: The folder.
        holds_maps: Whether each picture has a label map; otherwise its record holds its instances.
    """

    def __init__(self, folder: Path, holds_maps: bool) -> None:
        """Names the files; nothing is touched."""
        self.folder, self.holds_maps = folder, holds_maps
        self._journal = Journal(folder / RECORDS)

    def map_path(self, image_id: str) -> Path:
        """Where the label map of a picture lies."""
        return self.folder / f"{image_id}.png"

    def claim(self, settings: Mapping[str, Any], dry_run: bool = False) -> None:
        """Ties the folder to the settings that its predictions are made with.

        Args:
            settings: JSON values.
            dry_run: Only look whether that would be possible.

        Raises:
            ConfigError: It is tied to others already [predictions-differ], or holds files of another origin, which
                label maps could overwrite [out-foreign].
        """
        path = self.folder / SETTINGS
        if path.exists():
            check_settings(path, settings, "predictions")
            return
        if self.folder.is_dir() and any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
            raise ConfigError(
                f"--out {self.folder}: holds files but no {SETTINGS}, a new folder or one of predictions expected; "
                "choose another",
                "out-foreign",
            )
        if not dry_run:
            write_json(path, dict(settings))

    def done(self, retry_failed: bool = False) -> dict[str, Record]:
        """image_id -> newest record of every picture that is finished: recorded, and its file in place.

        Args:
            retry_failed: Whether a picture that failed counts as not finished.
        """
        done = {}
        for image_id, record in self._newest().items():
            failed = "failed" in record
            if not retry_failed if failed else not self.holds_maps or self.map_path(image_id).is_file():
                done[image_id] = record
        return done

    def add(self, record: Record) -> None:
        """Records a picture whose file is in place."""
        self._journal.append(record)
        self._journal.sync()

    def finish(self) -> None:
        """Orders the records, and writes what is made of all of them."""
        newest = self._newest()
        records = [newest[image_id] for image_id in sorted(newest)]
        write_records(self.folder, records)
        if not self.holds_maps:
            write_json(self.folder / INSTANCES, coco_json(records, {SALIENT: 1}), indent=None)

    def _newest(self) -> dict[str, Record]:
        return {record["image_id"]: record for record in self._journal.read()}
