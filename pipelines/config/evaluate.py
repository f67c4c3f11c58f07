"""Settings of `s4 evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CRF_PRESETS, SCALES, CommonConfig
from pipelines.config.setting import opt


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(CommonConfig):
    """Settings of `s4 evaluate`: mIoU of predictions or labels, or mask AP of instances."""

    command: ClassVar[str] = "evaluate"

    voc: Path | None = opt(None, "VOC folder with the true label maps.")
    split: str = opt("val", "List of the VOC folder to evaluate on.")
    weights: Path | None = opt(None, "Network to evaluate: run folder (its best checkpoint) or file.")
    predictions: Path | None = opt(None, "Folder of predicted label maps to evaluate, instead of a network.")
    labels: Path | None = opt(None, "Label folder whose own quality to measure, instead of a network's.")
    images: Path | None = opt(None, "Folder of the pictures, for mask AP.")
    annotations: Path | None = opt(None, "COCO JSON file with the true instances, for mask AP.")
    classes: str = opt("voc", "Class list: voc, or a file with one name a line.")
    scales: str = opt(
        "1.0",
        "Picture scales to average over.",
        form=SCALES,
    )
    flip: bool = opt(False, "Average over the mirrored picture too, for salient instances as well.")
    crf: bool = opt(False, "Refine the network's probabilities with a dense CRF.")
    crf_preset: str = opt("deeplab", "With --crf: its kernels, as published.", choices=CRF_PRESETS)
    allow_missing: bool = opt(False, "Leave out pictures that have no prediction, instead of refusing.")
    save_predictions: Path | None = opt(None, "Folder to write the predicted label maps to.")
    versus: Path | None = opt(
        None, "Other predictions of the same list to compare with: a folder of label maps, or a DeepLab's run."
    )
    foreground: bool = opt(
        False, "Score a salient-instance network on the VOC list: union of its instances against all classes together."
    )
    min_score: float = opt(0.5, "With --foreground: instances scored below this are left out.", at_least=0, at_most=1)
