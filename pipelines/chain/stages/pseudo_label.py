"""The stage that labels pictures: salient instances get the keywords of their pictures."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, sqrt
from pathlib import Path
from typing import Any, ClassVar, Self

from pipelines.chain.findings import Seen
from pipelines.chain.inputs import file_hash, labels_hashes, sizes_hash, weights_hash
from pipelines.chain.inspection import Inspection
from pipelines.chain.step import Step, Wiring
from pipelines.config import DeepLabTrainConfig, PseudoLabelConfig, StageConfig, TrainConfig
from pipelines.config.usual_places import BUILTIN, builtin_file
from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.instance_sources.opening import instance_files, open_instances
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.label_folder import open_labels
from pipelines.data.notes import Notes
from pipelines.data.record_files import MANIFEST
from pipelines.data.review_maps import open_reviewed
from pipelines.events import Events
from pipelines.files import read_json, sha256_lines

_BLOCK = 4096  # bytes that a file system hands out at once
# Measured on generated scenes of 128 to 430 pixels. Label maps store outlines, so their bytes grow with the side.
_LABEL_BYTES = (1000, 7.5)  # of a label map: palette and header, and for each pixel of the mean side
_CONFIDENCE_BYTES = (100, 8.0)
_RECORD_BYTES = (800, 2.0)  # of both files of instances together


@dataclass(frozen=True)
class PseudoLabelStep(Step):
    """`s4 pseudo-label` in a chain. From the second round on, the DeepLab of the round before helps."""

    config_class = PseudoLabelConfig
    needed_for_rounds = True
    faster = "several --shard on several machines or a GPU would shorten it"
    set_by_chain = ("shard", "dry_run")
    # Other classes change the keywords, which are in the fingerprint.
    counts_as: ClassVar[Mapping[str, str]] = {"classes": "voc"}
    without_effect = ("retry_failed", "keywords")  # the fingerprint has the keywords themselves, not their source
    informs_later_checks = True
    figures_shown = ("images", "labelled", "empty", "failed")

    config: PseudoLabelConfig

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        """Return the step. Its network is that of `train`, unless the table names instances from elsewhere."""
        wired: dict[str, Any] = {"out": wiring.folder / "labels"}
        train = wiring.last(TrainConfig)
        if train is not None and not wiring.tables.gives(cls.config_class, "instances"):
            wired["weights"] = train.run
        values = wiring.tables.merged(cls.config_class, wired)
        values["out"] = wiring.numbered(values["out"])
        deeplab, labels = wiring.last(DeepLabTrainConfig), wiring.last(PseudoLabelConfig)
        if deeplab is not None and labels is not None:
            values |= {"segmenter": deeplab.run, "cues_of": labels.out}
        return cls.at(wiring, values)

    @property
    def place(self) -> Path:
        """The label folder."""
        return self.config.out

    @property
    def searched_folders(self) -> tuple[Path, ...]:
        """The folders of the pictures."""
        return self.config.images

    def check(self, inspection: Inspection) -> None:
        """Look at weights, classes, keywords, pictures, given instances and earlier labels."""
        config = self.config
        for weights in (config.weights, config.segmenter):
            if self.maker_of(weights) is None:
                inspection.weights(weights)
        if config.classes != "auto":
            inspection.seen.classes = load_classes(config.classes or "voc")
        notes = Notes(inspection.events)
        pictures = KeywordedPictures(config.images, config.keywords, config.split, notes)
        images, faults = pictures.images, pictures.faults(config.classes, config.allow_unplaced)
        inspection.add(*faults)
        if faults:
            self._check_earlier_labels(inspection, None)
            inspection.trunk_weights(config.trunk, config.trunk_weights)
            return
        inspection.seen.classes, keywords = pictures.read(config.classes, config.allow_unplaced)
        self._check_earlier_labels(inspection, inspection.seen.classes)
        files = {image_id: images[image_id] for image_id in keywords}
        inspection.seen.labelled, inspection.seen.pictures = list(files), len(files)
        inspection.seen.sizes = inspection.pictures(files.values(), bearable=True)
        inspection.seen.files = inspection.usable(files)
        if not inspection.seen.files:
            found = f"none of {len(files)} pictures with keywords can be read, at least one expected"
            inspection.refuse(f"{', '.join(map(str, config.images))}: {found}; restore them", "keywords-none")
        if config.instances is not None:
            open_instances(config.instances, files, notes)
        notes.tell()
        if self._uses_trunk(inspection):
            inspection.trunk_weights(config.trunk, config.trunk_weights)

    def _check_earlier_labels(self, inspection: Inspection, classes: ClassList | None) -> None:
        """Look at corrected labels, and at the folder whose cues are taken.

        Args:
            inspection: Collects faults.
            classes: The class list of the new labels; None where it is unknown.
        """
        reviewed, cues_of = self.config.reviewed, self.config.cues_of
        if reviewed is not None:
            with inspection.catching():
                open_reviewed(reviewed, classes)
        if cues_of is not None and self.maker_of(cues_of) is None and not cues_of.is_dir():
            message = f"{cues_of}: no such folder, earlier labels expected; check cues_of, or leave it out"
            inspection.refuse(message, "folder-missing")

    def _uses_trunk(self, inspection: Inspection) -> bool:
        """Return whether the labels need the trunk of the attention network; without a thorough look, suppose so."""
        if not inspection.thorough:
            return True
        from pipelines.labels.plan import make_plan  # brings torch

        plan = make_plan(self.config, Events(io.StringIO()))
        return plan.uses_attention or plan.recognise

    def inputs(self) -> dict[str, Any]:
        """Return hashes of networks, keywords, pictures that have keywords, given instances and corrected labels."""
        config = self.config
        pictures = KeywordedPictures(config.images, config.keywords, config.split, Notes())
        images, (classes, keywords) = pictures.images, pictures.read(config.classes)
        inputs: dict[str, Any] = {
            "weights": weights_hash(config.weights),
            "segmenter": weights_hash(config.segmenter),
            "keywords": sha256_lines(f"{image_id},{';'.join(words)}" for image_id, words in sorted(keywords.items())),
            "pictures": sizes_hash((image_id, images[image_id]) for image_id in sorted(keywords)),
        }
        if config.classes in (None, "auto") and classes.names != VOC_CLASSES:
            inputs["classes"] = sha256_lines(classes.names)
        if config.instances is not None:
            is_folder = config.instances.is_dir()
            inputs["instances"] = (
                sizes_hash(instance_files(config.instances).items()) if is_folder else file_hash(config.instances)
            )
        if config.reviewed is not None:
            inputs["reviewed"] = labels_hashes(open_labels(config.reviewed, "pseudo", None), [])
        return inputs

    def is_complete(self, result: Mapping[str, Any]) -> bool:
        """Return whether all label maps are there, and no failed picture is to be tried again."""
        return self._all_labels_are_there() and not (self.config.retry_failed and result.get("failed"))

    def config_to_try(self, seen: Seen) -> StageConfig | None:
        """Return the settings, with the network that ships in the place of one that an earlier step makes.

        None without such a network, where the trunk would be downloaded, and in later rounds, which have the pace of
        the first.
        """
        config = self.config
        if (seen.trunk is not None and seen.trunk.where == "hub") or self.maker_of(config.segmenter) is not None:
            return None
        if self.maker_of(config.weights) is None:
            return config
        return None if builtin_file() is None else replace(config, weights=Path(BUILTIN))

    def disk_bytes(self, seen: Seen) -> int | None:
        """Return an estimate of the disk space of the label folder."""
        return None if seen.sizes is None else label_bytes(seen.sizes)

    def failures(self, result: Mapping[str, Any]) -> int:
        """Return how many pictures could not be labelled."""
        return int(result.get("failed", 0))

    def _all_labels_are_there(self) -> bool:
        manifest = self.place / MANIFEST
        if not manifest.is_file():
            return False
        counts: dict[str, int] = read_json(manifest).get("counts", {})
        labels = sum(1 for _ in (self.place / "labels").rglob("*.png"))
        return labels >= counts.get("labelled", 0) + counts.get("empty", 0)


def label_bytes(sizes: list[tuple[int, int]]) -> int:
    """Return an estimate of the disk space of a label folder, in bytes.

    Args:
        sizes: The (height, width) of its pictures.
    """
    total = 0.0
    for height, width in sizes:
        side = sqrt(height * width)
        for fixed, each in (_LABEL_BYTES, _CONFIDENCE_BYTES):
            total += ceil((fixed + each * side) / _BLOCK) * _BLOCK
        total += _RECORD_BYTES[0] + _RECORD_BYTES[1] * side
    return round(total)
