"""The journal of pseudo labels: one record for each picture, so that a run can be stopped, shared out and repeated.

During the work, each shard appends to a journal of its own. The first shard that finds a record of every picture merges
the journals into `records.jsonl`, in the order of the pictures. With it go `failures.jsonl` and `instances.json`. Last
comes the manifest, which makes the folder usable.

Merging twice, even at the same time, gives the same bytes. Nothing in these files depends on when or where the labels
were made, or in how many runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines.data.coco_writer import coco_json
from pipelines.data.label_folder import LabelFolder
from pipelines.data.part_journal import open_journal
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
from pipelines.files import write_json
from pipelines.journal import Journal
from pipelines.stores.paths import presence


class LabelRecords:
    """The records of a label folder, as one shard sees them.

    Every record has image_id. That of a picture that failed has `failed` besides. All others have file_name, height,
    width, keywords, missing, filled, rejected and instances.

    Attributes:
        folder: The label folder.
        journal: The journal that this shard appends to.
    """

    def __init__(self, folder: LabelFolder, shard: tuple[int, int] = (1, 1)) -> None:
        """Name the files; no file is touched.

        Args:
            folder: The label folder.
            shard: (I, N): this is shard I of N, counted from 1.
        """
        self.folder = folder
        self.journal = open_journal(folder.path / f"records-{shard[0]}-of-{shard[1]}.jsonl")

    def claim(self, settings: Mapping[str, Any], dry_run: bool = False) -> None:
        """Tie the folder to the settings that its labels are made with.

        Args:
            settings: JSON values.
            dry_run: Whether only to check that this is possible.

        Raises:
            ConfigError: The folder is tied to other settings already [labels-differ].
        """
        path = self.folder.path / SETTINGS
        if path.exists():
            check_settings(path, settings)
        elif not dry_run:
            write_json(path, dict(settings))

    def done(self, retry_failed: bool = False) -> dict[str, Record]:
        """Return {image_id: record} of the finished pictures: those with a record, and with their files in place.

        Args:
            retry_failed: Whether a picture that failed counts as not finished.
        """
        done = {}
        is_there = presence(self.folder.path)
        for image_id, record in self._read().items():
            if "failed" in record:
                finished = not retry_failed
            else:
                paths = (self.folder.label_path(image_id), self.folder.confidence_path(image_id))
                finished = all(map(is_there, paths))
            if finished:
                done[image_id] = record
        return done

    def failures(self) -> set[str]:
        """Return the image ids of the pictures that failed."""
        return {image_id for image_id, record in self._read().items() if "failed" in record}

    def add(self, record: Record) -> None:
        """Record a picture whose files are in place."""
        self.journal.append(record)
        self.journal.sync()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give a block after which all records are written, also where an error ends it."""
        try:
            yield
        finally:
            self.journal.flush()

    def merge(self, image_ids: Sequence[str], settings: Mapping[str, Any]) -> bool:
        """Complete the folder if every picture is finished.

        Args:
            image_ids: All pictures of all shards, in order.
            settings: As in `claim`; they go into the manifest.

        Returns:
            Whether the folder is complete.

        Raises:
            InputError: A record is damaged [records-damaged].
        """
        done = self.done()
        if any(image_id not in done for image_id in image_ids):
            return False
        records = [done[image_id] for image_id in image_ids]
        root = self.folder.path
        classes = self.folder.classes
        categories = dict(zip(classes.names, classes.indices, strict=True))
        with intact_records(root):
            instances, counts = coco_json(records, categories), count_records(records)
        write_records(root, records)
        write_json(root / INSTANCES, instances, indent=None)
        self.folder.write_manifest(**settings, counts=counts)
        remove_journals(root)
        return True

    def _read(self) -> dict[str, Record]:
        """Return the newest record of every picture, by image id."""
        newest = records_of_shards(self.folder.path)
        # The merged records are written before the journals are removed, so they are read last to miss none. But a
        # journal that is still there is newer.
        merged = newest_records(Journal(self.folder.path / RECORDS))
        return merged | newest


def count_records(records: Sequence[Record]) -> dict[str, Any]:
    """Count pictures, instances and keywords.

    Returns:
        images: labelled + empty + failed. In an empty picture every pixel is 255.
        rejected: {rule: number of empty pictures}.
        instances: assigned + unassigned.
        doubted: {doubt: number of instances that were not labelled because of it}.
        missing_keywords: Keywords without an instance, summed over the pictures.
        filled_keywords: Keywords that attention maps filled in, summed over the pictures.
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
