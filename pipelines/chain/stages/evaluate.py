"""The stage that measures what a round has made: a network, predictions, or the labels themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pipelines.chain.inputs import (
    contents_hash,
    file_hash,
    labels_hashes,
    listed_sizes_hash,
    sizes_hash,
    voc_hashes,
    weights_hash,
)
from pipelines.chain.inspection import Inspection
from pipelines.chain.step import Step, Wiring
from pipelines.config import DeepLabTrainConfig, EvaluateConfig, PseudoLabelConfig, TrainConfig
from pipelines.data.classes import ClassList, load_classes
from pipelines.data.images import find_image_files, with_any_case
from pipelines.data.label_folder import open_labels
from pipelines.data.notes import first_names
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
        asked = None
        with inspection.catching():
            asked = None if config.classes in (None, "auto") else load_classes(config.classes)
        made = inspection.seen_of(maker.name) if maker is not None else None
        if made is not None and made.classes is not None:
            inspection.same_classes(asked, made.classes, f"[{config.command}] classes {config.classes}")
        if config.annotations is not None and config.images is not None:
            inspection.seen.pictures = inspection.coco(config.annotations, config.images)
        truths: dict[str, Path] = {}
        if config.voc is not None:
            ids = inspection.voc_pairs(config.voc, config.split)
            inspection.seen.pictures = len(ids)
            truths |= {image_id: truth_path(config.voc, image_id) for image_id in ids}
        if config.masks is not None:
            with inspection.catching():
                truths |= self._checked_masks(inspection, config.masks)
        labelled = made.labelled if made is not None and config.labels is not None else None
        with inspection.catching():
            given = self._given_maps(asked)
            if not config.allow_missing:
                self._check_none_is_missing(inspection, truths, given, labelled)

    def inputs(self) -> dict[str, Any]:
        """Return hashes of what is measured, what it is compared with, and the truth."""
        config = self.config
        inputs: dict[str, Any] = {"weights": weights_hash(config.weights)}
        if config.voc is not None:
            inputs["voc"] = voc_hashes(config.voc, config.split, pictures=self._has_network)
        if config.masks is not None:
            masks = find_image_files(config.masks)
            inputs["masks"] = contents_hash(masks.items())
            if self._has_network and config.images is not None:
                pictures = find_image_files(config.images)
                inputs["pictures"] = sizes_hash((image_id, pictures.get(image_id)) for image_id in masks)
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

    @property
    def _has_network(self) -> bool:
        """Whether a network looks at pictures: that which is measured, or the one that it is compared with."""
        versus = self.config.versus
        return self.config.weights is not None or (versus is not None and _is_network(versus))

    def _checked_masks(self, inspection: Inspection, masks: Path) -> dict[str, Path]:
        """Look at a folder of true label maps and, for a network, at their pictures; return the label maps by picture.

        Raises:
            InputError: A folder is missing, or has no picture in it.
        """
        config, truths = self.config, find_image_files(masks)
        inspection.seen.pictures = len(truths)
        if not self._has_network:
            inspection.pictures(truths.values())
            return truths
        if config.images is None:
            message = f"[{config.command}] images: not given, the pictures of {masks} expected for a network"
            inspection.refuse(f"{message}; name their folder", "setting-missing")
            return truths
        pictures = find_image_files(config.images)
        both = [image_id for image_id in truths if image_id in pictures]
        inspection.seen.pictures = len(both)
        inspection.pairs([(pictures[image_id], truths[image_id]) for image_id in both])
        if not config.allow_missing or not both:
            orphans = [image_id for image_id in truths if image_id not in pictures]
            bare = [image_id for image_id in pictures if image_id not in truths] if config.weights else []
            _refuse_unpaired(inspection, (masks, len(truths), orphans), config.images, "picture", "image-missing")
            _refuse_unpaired(inspection, (config.images, len(pictures), bare), masks, "label map", "truth-missing")
        return truths

    def _given_maps(self, asked: ClassList | None) -> Callable[[str], Path] | None:
        """Return where the label map of a picture lies that no step makes; None where no such label maps are measured.

        Raises:
            InputError: The label folder cannot be used.
        """
        config = self.config
        if config.predictions is not None:
            folder = config.predictions
            return lambda image_id: with_any_case(folder / f"{image_id}.png")
        if config.labels is not None and self.maker_of(config.labels) is None:
            return open_labels(config.labels, "pseudo", asked).label_path
        return None

    def _check_none_is_missing(
        self,
        inspection: Inspection,
        truths: Mapping[str, Path],
        given: Callable[[str], Path] | None,
        labelled: list[str] | None,
    ) -> None:
        """Look whether each picture with a true label map has a prediction, or gets a label.

        Args:
            inspection: Collects faults.
            truths: image_id -> true label map.
            given: See `_given_maps`.
            labelled: The pictures that get a label; None where labels of this chain are not what is measured.
        """
        config = self.config
        if given is not None:
            inspection.pairs([(truth, given(image_id)) for image_id, truth in truths.items()])
        place, listed, advice = config.voc, f" of {config.split}", "take another split"
        if config.masks is not None:
            place, listed, advice = config.masks, "", "take its mask out"
        for image_id in [] if labelled is None else sorted(truths.keys() - set(labelled)):
            message = f"{place}: {image_id}{listed} gets no label, a picture with keywords expected"
            inspection.refuse(f"{message}; set allow_missing, or {advice}", "label-missing")


def _measured(wiring: Wiring) -> dict[str, Path]:
    """Return what is measured where the table does not say it: the last thing made that its settings are meant for."""
    train, labels, deeplab = wiring.last(TrainConfig), wiring.last(PseudoLabelConfig), wiring.last(DeepLabTrainConfig)
    if wiring.tables.gives(EvaluateConfig, "annotations", "foreground"):  # these need a salient-instance network
        return {} if train is None else {"weights": train.run}
    if deeplab is not None:
        return {"weights": deeplab.run}
    return {} if labels is None else {"labels": labels.out}


def _refuse_unpaired(
    inspection: Inspection, found: tuple[Path, int, list[str]], other: Path, what: str, rule: str
) -> None:
    """Note files of a folder that lack their peer in another folder as a fault, if there are any.

    Args:
        inspection: Collects faults.
        found: The folder, the number of its files, and the ids of those that lack their peer.
        other: The folder of the peers.
        what: What a peer is, in words.
        rule: The rule of the fault.
    """
    folder, total, lacking = found
    if lacking:
        message = f"{folder}: {len(lacking)} of {total} files have no {what} of the same name in {other}"
        expected = f"({first_names(lacking)}), expected one for each; complete the folders, or set allow_missing"
        inspection.refuse(f"{message} {expected}", rule)


def _is_network(versus: Path) -> bool:
    """Return whether what is compared with is a network, and no folder of predictions or labels."""
    return versus.is_file() or (versus / "checkpoints").is_dir()


def _versus_hash(versus: Path) -> str | None:
    """Return the hash of what is compared with: predictions, labels or a network."""
    is_folder = versus.is_dir() and not _is_network(versus)
    return contents_hash(find_image_files(versus).items()) if is_folder else weights_hash(versus)
