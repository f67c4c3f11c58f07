"""Settings of `s4 evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CLASSES, SCALES, CommonConfig, CrfPreset
from pipelines.config.setting import opt


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(CommonConfig):
    """Settings of `s4 evaluate`: mIoU of predictions or labels, or mask AP of instances."""

    command: ClassVar[str] = "evaluate"

    voc: Path | None = opt(None, "VOC folder with the true label maps.")
    split: str = opt("val", "List of the VOC folder to evaluate on.")
    weights: Path | None = opt(None, "Network to evaluate: run folder (its best checkpoint) or file.")
    predictions: Path | None = opt(None, "Folder of predicted label maps to evaluate, instead of a network.")
    labels: Path | None = opt(None, "Label folder to evaluate, instead of a network.")
    images: Path | None = opt(None, "Folder of the pictures, for mask AP.")
    annotations: Path | None = opt(None, "COCO JSON file with the true instances, for mask AP.")
    classes: str = opt("voc", CLASSES)
    scales: str = opt("1.0", "Picture scales to average over.", form=SCALES)
    flip: bool = opt(
        False, "Average over the picture and its mirror image. --flip works for salient-instance networks too."
    )
    crf: bool = opt(False, "Refine the probabilities of the network with a dense CRF.")
    crf_preset: CrfPreset = opt("deeplab", "With --crf: the published kernels to use.")
    allow_missing: bool = opt(False, "Leave out pictures that have no prediction, instead of stopping with an error.")
    save_predictions: Path | None = opt(None, "Folder to write the predicted label maps to.")
    versus: Path | None = opt(
        None, "Second set of predictions to compare with: a folder of label maps, or the run of a DeepLab."
    )
    foreground: bool = opt(
        False,
        "Score a salient-instance network on the VOC list. The union of all instances is compared with the union of "
        "all classes.",
    )
    min_score: float = opt(0.5, "With --foreground: leave out instances with a lower score.", at_least=0, at_most=1)
