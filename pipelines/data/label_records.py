"""The journal of pseudo labels: one record a picture, kept so that a run can be broken off, shared out and repeated.

While work goes on, each shard appends to a journal of its own. When every picture has a record, whichever shard sees it
first merges them: `records.jsonl` in the order of the pictures, `instances.json`, `failures.jsonl` and, last, the
manifest that makes the folder usable. Merging twice, even at once, gives the same bytes. Nothing in these files depends
on when, where or in how many runs the labels were made.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.data.coco_writer import coco_json
from pipelines.data.label_folder import LabelFolder
from pipelines.data.record_files import INSTANCES, RECORDS, SETTINGS, Record, check_settings, write_records
from pipelines.files import Journal, write_json

_SHARD_RECORDS = "records-*-of-*.jsonl"


class LabelRecords:
    """The records of a label folder, as one shard sees them.

    A record has image_id, and either height, width, keywords, missing, filled, rejected, instances, or failed.

    Attributes:
        folder: The label folder.
        journal: Where this shard appends.
    """

    def __init__(self, folder: LabelFolder, shard: tuple[int, int] = (1, 1)) -> None:
        """Names the files; nothing is touched.

        Args:
            folder: The label folder.
            shard: (I, N), counted from 1.
        """
        self.folder = folder
        self.journal = Journal(folder.path / f"records-{shard[0]}-of-{shard[1]}.jsonl")

    def claim(self, settings: Mapping[str, Any], dry_run: bool = False) -> None:
        """Ties the folder to the settings that its labels are made with.

        Args:
            settings: JSON values.
            dry_run: Only look whether that would be possible.

        Raises:
            ConfigError: It is tied to others already [labels-differ].
        """
        path = self.folder.path / SETTINGS
        if path.exists():
            check_settings(path, settings)
        elif not dry_run:
            write_json(path, dict(settings))

    def done(self, retry_failed: bool = False) -> dict[str, Record]:
        """image_id -> record of every picture that is finished: recorded, and its files in place.

        Args:
            retry_failed: Whether a picture that failed counts as not finished.
        """
        done = {}
        for image_id, record in self._read().items():
            if "failed" in record:
                finished = not retry_failed
            else:
                finished = (
                    self.folder.label_path(image_id).is_file() and self.folder.confidence_path(image_id).is_file()
                )
            if finished:
                done[image_id] = record
        return done

    def failures(self) -> set[str]:
        """The pictures whose record says that they could not be read."""
        return {image_id for image_id, record in self._read().items() if "failed" in record}

    def add(self, record: Record) -> None:
        """Records a picture whose files are in place."""
        self.journal.append(record)
        self.journal.sync()

    def merge(self, image_ids: Sequence[str], settings: Mapping[str, Any]) -> bool:
        """Makes the folder complete if every picture is finished.

        Args:
            image_ids: All pictures of all shards, in order.
            settings: As for `claim`; they go into the manifest.

        Returns:
            Whether the folder is complete.
        """
        done = self.done()
        if any(image_id not in done for image_id in image_ids):
            return False
        records = [done[image_id] for image_id in image_ids]
        root = self.folder.path
        write_records(root, records)
        classes = self.folder.classes
        categories = dict(zip(classes.names, classes.indices, strict=True))
        write_json(root / INSTANCES, coco_json(records, categories), indent=None)
        self.folder.write_manifest(**settings, counts=count_records(records))
        for journal in root.glob(_SHARD_RECORDS):
            journal.unlink(missing_ok=True)
        return True

    def _read(self) -> dict[str, Record]:
        """The newest record of every picture."""
        newest: dict[str, Record] = {}
        for path in sorted(self.folder.path.glob(_SHARD_RECORDS)):
            for record in Journal(path).read():  # empty where another shard has just merged and removed it
                # Of two shards' records of one picture, which are not in the order of time, that of the label counts.
                known = newest.get(record["image_id"])
                if known is None or "failed" in known or "failed" not in record:
                    newest[record["image_id"]] = record
        # Read last, since it is written before the journals are removed; but a journal is newer than it.
        merged = {record["image_id"]: record for record in Journal(self.folder.path / RECORDS).read()}
        return merged | newest


def count_records(records: Sequence[Record]) -> dict[str, Any]:
    """Counts of pictures, instances and keywords.

    Returns:
        images = labelled + empty + failed; empty pictures are unknown throughout, and `rejected` says how many by which
        rule; instances = assigned + unassigned, and `doubted` says how many were not labelled all the same, by which
        doubt; missing_keywords, of which no instance was found, and filled_keywords, those of them that attention
        filled in, summed over the pictures.
    """
    failed = sum("failed" in record for record in records)
    done = [record for record in records if "failed" not in record]
    rejected = Counter(record["rejected"] for record in done if record["rejected"])
    instances = [instance for record in done for instance in record["instances"]]
    assigned = sum(instance["keyword"] is not None for instance in instances)
    doubted = Counter(instance["doubt"] for instance in instances if instance.get("doubt"))
    return {
        "images": len(records),
        "labelled": len(done) - rejected.total(),
        "empty": rejected.total(),
        "failed": failed,
        "rejected": dict(sorted(rejected.items())),
        "instances": len(instances),
        "assigned": assigned,
        "unassigned": len(instances) - assigned,
        "doubted": dict(sorted(doubted.items())),
        "missing_keywords": sum(len(record["missing"]) for record in done),
        "filled_keywords": sum(len(record["filled"]) for record in done),
    }
