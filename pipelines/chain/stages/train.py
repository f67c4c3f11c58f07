"""The first stage: a salient-instance network is trained on masks without classes."""

from dataclasses import dataclass
from typing import Any, Self

from pipelines.chain.findings import Seen
from pipelines.chain.inputs import listed_sizes_hash, weights_hash
from pipelines.chain.inspection import Inspection
from pipelines.chain.stages.training import TrainingStep
from pipelines.chain.step import Wiring
from pipelines.config import TrainConfig
from pipelines.config.paths import goes_on
from pipelines.config.recipes import TRAIN_SCHEDULES, TrainSchedule
from pipelines.errors import S4Error
from pipelines.files import sha256_file


@dataclass(frozen=True)
class TrainStep(TrainingStep):
    """`s4 train` in a chain."""

    config_class = TrainConfig
    before_rounds = True
    faster = "fewer --steps, a smaller --trunk or a GPU would shorten it"
    network_setting = "pseudo-label.weights"

    config: TrainConfig

    @classmethod
    def wire(cls, wiring: Wiring) -> Self:
        """Return the step; its run folder is `s4net`."""
        return cls.at(wiring, wiring.tables.merged(cls.config_class, {"run": wiring.folder / "s4net"}))

    @property
    def training_steps(self) -> int:
        """The optimiser steps: those of the preset where none are given."""
        return self.config.steps or self._schedule.steps

    @property
    def batch_size(self) -> int:
        """Pictures per optimiser step: those of the preset where none are given."""
        return self.config.batch_size or self._schedule.batch_size

    @property
    def _schedule(self) -> TrainSchedule:
        if self.config.preset is not None:
            return TRAIN_SCHEDULES[self.config.preset]
        try:
            return TRAIN_SCHEDULES[self._settled().preset]
        except S4Error:  # the check tells it
            return TRAIN_SCHEDULES["modern"]

    def _settled(self) -> TrainConfig:
        """Return the settings with what the network to start from gives.

        Raises:
            S4Error: The network cannot be used.
        """
        if self.config.start_from is None:
            return self.config
        from pipelines.networks.start import read_start  # brings torch

        start = read_start(self.config)
        return start.config if start else self.config

    def check(self, inspection: Inspection) -> None:
        """Look at the weights to start from, and at both COCO files with their pictures."""
        if self.config.start_from is None and not goes_on(self.config):
            inspection.trunk_weights(self.config.trunk, self.config.trunk_weights)
        with inspection.catching():
            self._settled()
        for annotations in (self.config.val_annotations, self.config.annotations):
            if annotations is not None:
                with inspection.catching():
                    inspection.seen.pictures = inspection.coco(annotations, self.config.images)

    def disk_bytes(self, seen: Seen) -> int | None:
        """Return the disk space of the checkpoints; None if the network cannot be built."""
        import torch

        from pipelines.engine.resume import checkpoint_room
        from pipelines.networks.build import new_s4net

        adamw = self._schedule.adamw
        try:
            with torch.device("meta"):  # without memory
                net = new_s4net(self._settled(), pretrained=False)
        except S4Error:  # the check tells it
            return None
        return checkpoint_room(net, net.parameters(), 2 if adamw else 1, averaged=adamw)

    def inputs(self) -> dict[str, Any]:
        """Return hashes of the COCO files, of their pictures, and of the network to start from, if there is one."""
        files = [file for file in (self.config.annotations, self.config.val_annotations) if file is not None]
        pictures = listed_sizes_hash(files, self.config.images)
        inputs = {"annotations": [sha256_file(file) for file in files], "pictures": pictures}
        start = weights_hash(self.config.start_from)
        return inputs if start is None else {**inputs, "start_from": start}
