"""Settings of `s4 evaluate`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.base import CLASS_WORDS, SCALES, WEIGHT_WORDS, CommonConfig, CrfPreset, require_list_name
from pipelines.config.setting import Tell, opt
from pipelines.config.usual_places import DEEPLAB_RUN, salient_network, usual_run

_SALIENT = "s4 evaluate --images DIR --annotations test.json"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(CommonConfig):
    """Settings of `s4 evaluate`: mIoU of predictions or labels, or mask AP of instances."""

    command: ClassVar[str] = "evaluate"
    example: ClassVar[str] = "s4 evaluate --voc VOCDIR --weights RUN"

    voc: Path | None = opt(None, "VOC folder with the true label maps.", argument="VOCDIR", must_be="voc")
    split: str = opt("val", "List of the VOC folder to evaluate on.", check=require_list_name)
    weights: Path | None = opt(
        None,
        "Network to evaluate: run folder (its best checkpoint, else the last) or file. Unset: runs/deeplab for label "
        "maps, the network that pseudo-label takes for instances.",
        words=WEIGHT_WORDS,
        must_be="weights",
    )
    predictions: Path | None = opt(
        None, "Folder of predicted label maps to evaluate, instead of a network.", must_be="folder"
    )
    labels: Path | None = opt(None, "Label folder to evaluate, instead of a network.", must_be="folder")
    images: Path | None = opt(None, "Folder of the pictures, for --masks and for mask AP.", must_be="folder")
    masks: Path | None = opt(
        None,
        "Folder of the true label maps, instead of a VOC folder. A label map has the name of its picture, and lies in "
        "the same sub-folder.",
        must_be="folder",
    )
    annotations: Path | None = opt(None, "COCO JSON file with the true instances, for mask AP.", must_be="file")
    classes: str | None = opt(
        None,
        "Class list: voc, or a file with one class name per line. Unset or auto: that of the network or of the label "
        "folder. For label maps of others, unset is voc.",
        words=CLASS_WORDS,
        must_be="file",
    )
    scales: str = opt("1.0", "Picture scales to average over.", form=SCALES)
    flip: bool = opt(
        False, "Average over the picture and its mirror image. --flip works for salient-instance networks too."
    )
    crf: bool = opt(False, "Refine the probabilities of the network with a dense CRF.")
    crf_preset: CrfPreset = opt("deeplab", "With --crf: the published kernels to use.")
    allow_missing: bool = opt(
        False,
        "Leave out pictures that have no prediction or, with --masks, no label map, instead of stopping with an error.",
    )
    save_predictions: Path | None = opt(None, "Folder to write the predicted label maps to.", writes="maps")
    versus: Path | None = opt(
        None,
        "Second set of predictions to compare with: a folder of label maps, or the run of a DeepLab.",
        must_be="path",
    )
    foreground: bool = opt(
        False,
        "Score a salient-instance network on the VOC list. The union of all instances is compared with the union of "
        "all classes.",
    )
    report: Path | None = opt(
        None,
        "HTML page to write: IoU by class, confusions, precision by confidence, worst pictures. Unset: no page.",
        writes="file",
    )
    min_score: float = opt(0.5, "With --foreground: leave out instances with a lower score.", at_least=0, at_most=1)

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the usual network, if nothing to score was named.

        Raises:
            ConfigError: The usual network is not there [setting-missing].
        """
        if (self.weights, self.predictions, self.labels) != (None, None, None):
            return self
        if self.annotations is not None or ((self.voc or self.masks) is not None and self.foreground):
            return replace(self, weights=salient_network("--weights", f"{_SALIENT} --weights RUN", tell))
        if self.voc is None and self.masks is None:
            return self
        return replace(self, weights=usual_run(DEEPLAB_RUN, "s4 deeplab-train", "--weights", self.example, tell))
