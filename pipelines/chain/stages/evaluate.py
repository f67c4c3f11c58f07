"""The stage that measures what a round has made: a network, predictions, or the labels themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pipelines.chain.inputs import (
    contents_hash,
    file_hash,
    labels_hashes,
    listed_sizes_hash,
    voc_hashes,
    weights_hash,
)
from pipelines.chain.inspection import Inspection
from pipelines.chain.step import Step, Wiring
from pipelines.config import DeepLabTrainConfig, EvaluateConfig, PseudoLabelConfig, TrainConfig
from pipelines.data.classes import load_classes
from pipelines.data.images import find_image_files
from pipelines.data.label_folder import open_labels
from pipelines.data.voc import truth_path

_MEASURED = ("weights", "predictions", "labels")  # settings, one of which names what is measured


@dataclass(frozen=True)
class EvaluateStep(Step):
    """`s4 evaluate` in a chain."""

    config_class = EvaluateConfig
    set_by_rounds = _MEASURED
    # Other classes are those of the network or the labels, whose hashes are inputs.
    counts_as: ClassVar[Mapping[str, str]] = {"classes": "voc"}
    figures_shown = ("miou", "miou_kept", "coverage", "ap50", "images")

    config: EvaluateConfig

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        """Return the step. Its classes are those of the labels; it measures what the table names or `_measured`."""
        labels, deeplab = wiring.last(PseudoLabelConfig), wiring.last(DeepLabTrainConfig)
        wired: dict[str, Any] = {"report": wiring.numbered(wiring.folder / cls.config_class.command) / "report.html"}
        if labels is not None:
            wired["classes"] = labels.classes
        elif deeplab is not None and deeplab.classes is not None:
            wired["classes"] = deeplab.classes
        if not wiring.tables.gives(cls.config_class, *_MEASURED):
            wired |= _measured(wiring)
        values = wiring.tables.merged(cls.config_class, wired)
        if values.get("save_predictions") is not None:
            values["save_predictions"] = wiring.numbered(values["save_predictions"])
        return cls.at(wiring, values)

    def check(self, inspection: Inspection) -> None:
        """Look at what is measured, the classes, and the truth it is measured with."""
        config = self.config
        maker = self.maker_of(config.weights)
        if maker is None:
            inspection.weights(config.weights)
            maker = self.maker_of(config.labels)
        if config.versus is not None and not config.versus.exists():
            message = f"{config.versus}: not found, label maps or a network to compare with expected; check versus"
            inspection.refuse(message, "versus-missing")
        made = inspection.seen_of(maker.name) if maker is not None else None
        if made is not None and made.classes is not None:
            asked = None if config.classes in (None, "auto") else load_classes(config.classes)
            inspection.same_classes(asked, made.classes, f"[{config.command}] classes {config.classes}")
        if config.annotations is not None and config.images is not None:
            inspection.seen.pictures = inspection.coco(config.annotations, config.images)
        if config.voc is not None:
            ids = inspection.voc_pairs(config.voc, config.split)
            inspection.seen.pictures = len(ids)
            if not config.allow_missing:
                labelled = made.labelled if made is not None and config.labels is not None else None
                self._check_none_is_missing(inspection, config.voc, ids, labelled)

    def inputs(self) -> dict[str, Any]:
        """Return hashes of what is measured, what it is compared with, and the truth."""
        config = self.config
        inputs: dict[str, Any] = {"weights": weights_hash(config.weights)}
        if config.voc is not None:
            inputs["voc"] = voc_hashes(config.voc, config.split, pictures=config.weights is not None)
        if config.annotations is not None and config.images is not None:
            inputs["annotations"] = file_hash(config.annotations)
            inputs["pictures"] = listed_sizes_hash([config.annotations], config.images)
        if config.labels is not None:
            labels = open_labels(config.labels, "pseudo", None)
            inputs["labels"] = labels_hashes(labels, labels.ids())
        if config.predictions is not None:
            inputs["predictions"] = contents_hash(find_image_files(config.predictions).items())
        if config.versus is not None:
            inputs["versus"] = _versus_hash(config.versus)
        return inputs

    def is_complete(self, result: Mapping[str, Any]) -> bool:
        """Return whether the predictions that were to be saved are there."""
        return self.config.save_predictions is None or self.config.save_predictions.is_dir()

    def miou(self, result: Mapping[str, Any]) -> float | None:
        """Return the mIoU; None for an evaluation that has none."""
        return result.get("miou")

    def _check_none_is_missing(
        self, inspection: Inspection, voc: Path, ids: list[str], labelled: list[str] | None
    ) -> None:
        """Look whether each picture of the list has a prediction, or gets a label.

        Args:
            inspection: Collects faults.
            voc: The VOC folder.
            ids: The pictures of the list.
            labelled: The pictures that get a label; None where labels of this chain are not what is measured.
        """
        predictions = self.config.predictions
        if predictions is not None:
            inspection.pairs([(truth_path(voc, image_id), predictions / f"{image_id}.png") for image_id in ids])
        for image_id in [] if labelled is None else sorted(set(ids) - set(labelled)):
            message = f"{voc}: {image_id} of {self.config.split} gets no label, a picture with keywords expected"
            inspection.refuse(f"{message}; set allow_missing, or take another split", "label-missing")


def _measured(wiring: Wiring) -> dict[str, Path]:
    """Return what is measured where the table does not say it: the last thing made that its settings are meant for."""
    train, labels, deeplab = wiring.last(TrainConfig), wiring.last(PseudoLabelConfig), wiring.last(DeepLabTrainConfig)
    if wiring.tables.gives(EvaluateConfig, "annotations", "foreground"):  # these need a salient-instance network
        return {} if train is None else {"weights": train.run}
    if deeplab is not None:
        return {"weights": deeplab.run}
    return {} if labels is None else {"labels": labels.out}


def _versus_hash(versus: Path) -> str | None:
    """Return the hash of what is compared with: predictions, labels or a network."""
    if versus.is_dir() and not (versus / "checkpoints").is_dir():
        return contents_hash(find_image_files(versus).items())
    return weights_hash(versus)
