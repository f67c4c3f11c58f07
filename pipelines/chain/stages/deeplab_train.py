"""The stage that trains a DeepLab on the labels of its round, or on labels that were there before."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pipelines.chain.findings import Seen
from pipelines.chain.inputs import labels_hashes, sizes_hash, voc_hashes
from pipelines.chain.inspection import Inspection
from pipelines.chain.stages.training import TrainingStep
from pipelines.chain.step import Wiring
from pipelines.config import DeepLabTrainConfig, PseudoLabelConfig
from pipelines.config.paths import goes_on
from pipelines.config.recipes import DeepLabRecipe, deeplab_recipe
from pipelines.data.classes import ClassList, load_classes
from pipelines.data.label_folder import open_labels
from pipelines.data.notes import Notes
from pipelines.data.picture_folders import find_pictures
from pipelines.data.record_files import RECORDS, read_records
from pipelines.data.voc import read_id_list
from pipelines.errors import InputError
from pipelines.files import sha256_lines, write_text
from pipelines.journal import Journal


@dataclass(frozen=True)
class DeepLabTrainStep(TrainingStep):
    """`s4 deeplab-train` in a chain.

    Attributes:
        single: Train only on pictures with a single keyword. The step writes them to the list of its settings.
        within: With `single`, the list of the table, from which these pictures are taken; None for all labels.
    """

    config_class = DeepLabTrainConfig
    needed_for_rounds = True
    faster = "--network efficientnet_lite0, fewer --steps or a GPU would shorten it"
    set_by_rounds = ("labels",)
    network_setting = "evaluate.weights"

    config: DeepLabTrainConfig
    single: bool = False
    within: Path | None = None

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        """Return the step. Labels and pictures are those of the round; its run folder is `deeplab`."""
        wired: dict[str, Any] = {"run": wiring.folder / "deeplab"}
        labels = wiring.last(PseudoLabelConfig)
        if labels is not None:
            wired |= {"images": labels.images, "labels": labels.out}
        values = wiring.tables.merged(cls.config_class, wired)
        values["run"] = wiring.numbered(values["run"])
        if wiring.number > 1 or wiring.tables.config.first_round != "single":
            return cls.at(wiring, values)
        within, values["list"] = values.get("list"), wiring.folder / "round-1.txt"
        return cls.at(wiring, values, single=True, within=within)

    @property
    def searched_folders(self) -> tuple[Path, ...]:
        """The folders of the pictures."""
        return self.config.images

    @property
    def training_steps(self) -> int:
        """The optimiser steps: those of the recipe where none are given."""
        return self.config.steps or self._recipe.steps

    @property
    def batch_size(self) -> int:
        """Pictures per optimiser step: those of the recipe where none are given."""
        return self.config.batch_size or self._recipe.batch_size

    @property
    def _recipe(self) -> DeepLabRecipe:
        return deeplab_recipe(self.config.network, self.config.recipe)

    def check(self, inspection: Inspection) -> None:
        """Look at the trunk weights, the validation list, the labels and their pictures."""
        config = self.config
        if not goes_on(config):
            inspection.trunk_weights(config.network, config.trunk_weights)
        if config.val_voc is not None:
            with inspection.catching():
                inspection.voc_pairs(config.val_voc, "val")
        asked = None if config.classes in (None, "auto") else load_classes(config.classes)
        source = self.within if self.single else config.list
        listed = read_id_list(source) if source is not None else []
        maker = self.maker_of(config.labels)
        if maker is None:
            self._check_labels_from_elsewhere(inspection, asked, listed)
            return
        made = inspection.seen_of(maker.name)
        if made.classes is not None:
            inspection.seen.classes = made.classes
            inspection.same_classes(asked, made.classes, f"[{config.command}] classes {config.classes}")
        self._check_pictures(inspection, made, source, listed, searched=maker.searched_folders != config.images)

    def disk_bytes(self, seen: Seen) -> int | None:
        """Return the disk space of the checkpoints; of unknown classes, that of VOC's."""
        import torch

        from pipelines.engine.resume import checkpoint_room
        from pipelines.networks.build import new_deeplab

        classes, recipe = seen.classes or load_classes("voc"), self._recipe
        with torch.device("meta"):  # without memory
            net = new_deeplab(replace(self.config, trunk_weights="none"), classes)
        slots = 2 if recipe.optimizer == "adamw" else 1
        return checkpoint_room(net, net.parameters(), slots, averaged=recipe.ema is not None)

    def inputs(self) -> dict[str, Any]:
        """Return hashes of the labels, the list, the pictures on it, and the validation list."""
        config = self.config
        labels = open_labels(config.labels, config.labels_are, None)
        if self.single:
            ids = single_keyword_ids(config.labels, self.within)
        else:
            ids = read_id_list(config.list) if config.list is not None else labels.ids()
        images = find_pictures(config.images)
        inputs: dict[str, Any] = {
            "labels": labels_hashes(labels, ids),
            "list": sha256_lines(ids),
            "pictures": sizes_hash((image_id, images.get(image_id)) for image_id in ids),
        }
        if config.val_voc is not None:
            inputs["val"] = voc_hashes(config.val_voc, "val", pictures=True)
        return inputs

    def prepare(self) -> None:
        """Write the list of the pictures with a single keyword, if only these are trained on.

        Raises:
            InputError: There are none [chain-single].
        """
        if self.single and self.config.list is not None:
            ids = single_keyword_ids(self.config.labels, self.within)
            write_text(self.config.list, "".join(f"{image_id}\n" for image_id in ids))

    def _check_labels_from_elsewhere(self, inspection: Inspection, asked: ClassList | None, listed: list[str]) -> None:
        """Look at labels that no step makes, and at their pictures."""
        config = self.config
        labels = open_labels(config.labels, config.labels_are, asked)
        inspection.seen.classes = labels.classes
        notes = Notes(inspection.events)
        ids, images = listed or labels.ids(), find_pictures(config.images, notes)
        notes.tell()
        inspection.seen.pictures = len(ids)
        usual = config.images[0]
        inspection.pairs(
            [(images.get(image_id, usual / f"{image_id}.jpg"), labels.label_path(image_id)) for image_id in ids]
        )

    def _check_pictures(
        self, inspection: Inspection, made: Seen, source: Path | None, listed: list[str], searched: bool
    ) -> None:
        """Look at the pictures of labels that an earlier step makes.

        Args:
            inspection: Collects faults.
            made: What the inputs of the earlier step show.
            source: The list of pictures to train on; None for all labels.
            listed: The ids on the list.
            searched: The pictures lie in another folder than those of the earlier step.
        """
        if made.labelled is None:  # its faults are told already
            return
        labelled = set(made.labelled)
        for image_id in listed:
            if image_id not in labelled:
                message = f"{source}: {image_id} gets no label, a picture with keywords expected; take it off the list"
                inspection.refuse(message, "label-missing")
        ids = [image_id for image_id in listed or made.labelled if image_id in labelled]
        inspection.seen.pictures = len(ids)
        inspection.seen.files = {image_id: made.files[image_id] for image_id in ids if image_id in made.files}
        if searched:
            usual, images = self.config.images[0], find_pictures(self.config.images)
            inspection.pictures(images.get(image_id, usual / f"{image_id}.jpg") for image_id in ids)


def single_keyword_ids(labels: Path, within: Path | None) -> list[str]:
    """Return the ids of the pictures that have a label map and a single keyword, in the order of the records.

    Args:
        labels: A finished label folder.
        within: A list that the pictures must be on; None for all.

    Raises:
        InputError: There is no such picture [chain-single].
    """
    wanted = None if within is None else set(read_id_list(within))
    ids = [
        record["image_id"]
        for record in read_records(Journal(labels / RECORDS))
        if len(record.get("keywords", ())) == 1 and (wanted is None or record["image_id"] in wanted)
    ]
    if not ids:
        message = f"{labels}: no labelled picture has a single keyword, some expected; leave --first-round at all"
        raise InputError(message, "chain-single")
    return ids
