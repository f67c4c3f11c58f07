"""The settings of every stage: the only place where a default is written.

One frozen dataclass per stage. A field is at once an attribute, a TOML key and a flag: `min_score` is `--min-score`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.base import CRF_PRESETS
from pipelines.config.chain import DeepLabTrainConfig, EvaluateConfig, PseudoLabelConfig, TrainConfig
from pipelines.config.exports import ConvertConfig, PredictConfig
from pipelines.config.pipeline import RunConfig
from pipelines.config.studies import AblateConfig, BenchConfig, DemoConfig, ExplainConfig
from pipelines.settings import Config, StageConfig, from_json, resolve_with, to_json, to_toml

__all__ = [
    "CRF_PRESETS",
    "STAGES",
    "AblateConfig",
    "BenchConfig",
    "ConvertConfig",
    "DeepLabTrainConfig",
    "DemoConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "PredictConfig",
    "PseudoLabelConfig",
    "RunConfig",
    "StageConfig",
    "TrainConfig",
    "from_json",
    "resolve",
    "to_json",
    "to_toml",
]

STAGES: dict[str, type[StageConfig]] = {
    stage.command: stage
    for stage in (
        TrainConfig,
        PseudoLabelConfig,
        DeepLabTrainConfig,
        EvaluateConfig,
        PredictConfig,
        ConvertConfig,
        DemoConfig,
        AblateConfig,
        ExplainConfig,
        BenchConfig,
        RunConfig,
    )
}
"""The settings of every stage by the name of its command, in the order of the chain."""


def resolve(cls: type[Config], toml: Path | None, flags: Mapping[str, Any]) -> Config:
    """The settings of a stage: default < TOML file < flag; see `pipelines.settings.resolve_with`."""
    return resolve_with(STAGES, cls, toml, flags)
