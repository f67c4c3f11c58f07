"""The first stage: a salient-instance network is trained on masks without classes."""

from dataclasses import dataclass
from typing import Any, Self

from pipelines.chain.inputs import listed_sizes_hash
from pipelines.chain.inspection import Inspection
from pipelines.chain.stages.training import TrainingStep
from pipelines.chain.step import Wiring
from pipelines.config import TrainConfig
from pipelines.config.recipes import TRAIN_SCHEDULES
from pipelines.files import sha256_file


@dataclass(frozen=True)
class TrainStep(TrainingStep):
    """`s4 train` in a chain."""

    config_class = TrainConfig
    before_rounds = True
    network_setting = "pseudo-label.weights"

    config: TrainConfig

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        """Return the step; its run folder is `s4net`."""
        return cls.at(wiring, wiring.tables.merged(cls.config_class, {"run": wiring.folder / "s4net"}))

    @property
    def training_steps(self) -> int:
        """The optimiser steps: those of the preset where none are given."""
        return self.config.steps or TRAIN_SCHEDULES[self.config.preset].steps

    @property
    def batch_size(self) -> int:
        """Pictures per optimiser step: those of the preset where none are given."""
        return self.config.batch_size or TRAIN_SCHEDULES[self.config.preset].batch_size

    def check(self, inspection: Inspection) -> None:
        """Look at the trunk weights and at both COCO files with their pictures."""
        inspection.trunk_weights(self.config.trunk_weights)
        for annotations in (self.config.val_annotations, self.config.annotations):
            if annotations is not None:
                with inspection.catching():
                    inspection.seen.pictures = inspection.coco(annotations, self.config.images)

    def inputs(self) -> dict[str, Any]:
        """Return hashes of the COCO files and of their pictures."""
        files = [file for file in (self.config.annotations, self.config.val_annotations) if file is not None]
        pictures = listed_sizes_hash(files, self.config.images)
        return {"annotations": [sha256_file(file) for file in files], "pictures": pictures}
