"""Settings that several commands share, and the texts of flags that mean the same in each."""

from dataclasses import dataclass

from pipelines.config.setting import StageConfig, opt

TRUNK_WEIGHTS = "Trunk weights: imagenet (from the model library), none, or a file."
CRF_PRESETS = ("deeplab", "psa", "irn-label", "mct-seg")
"""Names of `deeplab.crf.CRF_PRESETS`, without torch."""
_SCALE = r"([1-9]\d*(\.\d*)?|0?\.\d*[1-9]\d*)"
SCALES = (rf"{_SCALE}(,{_SCALE})*", "numbers above 0 with commas, such as 0.5,1.0,1.5")
"""Form of a list of picture scales, and its description."""
MASK_SLACK = "How far a mask may leave its box, as a share of the box; unset, the preset's (paper: 0)."
RESUME = "Go on with the run in --run; its own settings hold."


@dataclass(frozen=True, kw_only=True)
class CommonConfig(StageConfig):
    """Settings that every stage has; none of them alters what is computed beyond rounding."""

    device: str = opt(
        "auto",
        "Where to compute; auto takes a GPU where there is one.",
        form=(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
        may_change=True,
    )
    precision: str = opt(
        "auto", "Arithmetic of the networks; auto takes bf16 where it is fast.", choices=("auto", "fp32", "bf16")
    )
    workers: int = opt(2, "Threads that prepare pictures; 0 does it in the main one.", at_least=0, may_change=True)
