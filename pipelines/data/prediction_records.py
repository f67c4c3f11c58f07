"""The journal of a folder of predictions, kept so that a run can be broken off and repeated.

A record is added when the picture's file is in place. `finish` orders the records, lists what failed, and writes the
instances, where instances are predicted. Runs over several lists may share a folder; its content does not depend on
their order.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.outputs import require_own_folder
from pipelines.data.coco_writer import coco_json
from pipelines.data.record_files import INSTANCES, RECORDS, SETTINGS, Record, check_settings, write_records
from pipelines.files import write_json
from pipelines.journal import Journal

SALIENT = "salient"
"""The one category of class-agnostic instances."""


class PredictionRecords:
    """The records of a folder of label maps `<id>.png`, or of a folder with instances.

    A record has image_id, and either `failed` or file_name, bytes, height, width and perhaps instances.

    Attributes:
        folder: The folder.
        holds_maps: Whether each picture has a label map; otherwise its record holds its instances.
    """

    def __init__(self, folder: Path, holds_maps: bool) -> None:
        """Name the files; nothing is read or written."""
        self.folder, self.holds_maps = folder, holds_maps
        self._journal = Journal(folder / RECORDS)

    def map_path(self, image_id: str) -> Path:
        """Return the file of a picture's label map."""
        return self.folder / f"{image_id}.png"

    def claim(self, settings: Mapping[str, Any], dry_run: bool = False) -> None:
        """Tie the folder to the settings of its predictions.

        Args:
            settings: Settings as JSON values.
            dry_run: Whether only to check that the folder can be tied to them.

        Raises:
            ConfigError: The folder is tied to other settings [predictions-differ], or has other files, which label
                maps could overwrite [out-foreign].
        """
        path = self.folder / SETTINGS
        if path.exists():
            check_settings(path, settings, "predictions")
            return
        require_own_folder("--out", "predictions", self.folder)
        if not dry_run:
            write_json(path, dict(settings))

    def done(self, retry_failed: bool = False) -> dict[str, Record]:
        """Return the newest record of every finished picture by image_id; its file is in place as well.

        Args:
            retry_failed: Whether a picture that failed counts as not finished.
        """
        done = {}
        for image_id, record in self._newest().items():
            failed = "failed" in record
            if not retry_failed if failed else not self.holds_maps or os.path.isfile(self.map_path(image_id)):
                done[image_id] = record
        return done

    def add(self, record: Record) -> None:
        """Add the record of a picture whose file is in place."""
        self._journal.append(record)
        self._journal.sync()

    def finish(self) -> None:
        """Order the records, and write the files that depend on all of them."""
        newest = self._newest()
        records = [newest[image_id] for image_id in sorted(newest)]
        write_records(self.folder, records)
        if not self.holds_maps:
            write_json(self.folder / INSTANCES, coco_json(records, {SALIENT: 1}), indent=None)

    def _newest(self) -> dict[str, Record]:
        return {record["image_id"]: record for record in self._journal.read()}
