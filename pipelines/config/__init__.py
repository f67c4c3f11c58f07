"""The settings of every stage: the only place where a default is written.

Each stage has one frozen dataclass. A field is at once an attribute, a TOML key and a flag: `min_score` is
`--min-score`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.config.ablate import AblateConfig
from pipelines.config.base import CrfPreset, Precision, Preset
from pipelines.config.bench import BenchConfig
from pipelines.config.check import CheckConfig
from pipelines.config.convert import ConvertConfig
from pipelines.config.deeplab_train import DeepLabTrainConfig
from pipelines.config.demo import DemoConfig
from pipelines.config.doctor import DoctorConfig
from pipelines.config.evaluate import EvaluateConfig
from pipelines.config.explain import ExplainConfig
from pipelines.config.export import ExportConfig
from pipelines.config.init import InitConfig
from pipelines.config.predict import PredictConfig
from pipelines.config.pseudo_label import PseudoLabelConfig
from pipelines.config.report import ReportConfig
from pipelines.config.resolution import resolve_with
from pipelines.config.review import ReviewConfig
from pipelines.config.run import RunConfig
from pipelines.config.setting import Config, StageConfig, Tell, from_json, to_json
from pipelines.config.shard import Shard
from pipelines.config.toml_text import to_toml
from pipelines.config.train import TrainConfig

__all__ = [
    "STAGES",
    "AblateConfig",
    "BenchConfig",
    "CheckConfig",
    "ConvertConfig",
    "CrfPreset",
    "DeepLabTrainConfig",
    "DemoConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "ExportConfig",
    "InitConfig",
    "Precision",
    "PredictConfig",
    "Preset",
    "PseudoLabelConfig",
    "ReportConfig",
    "ReviewConfig",
    "RunConfig",
    "Shard",
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
        ReviewConfig,
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
"""The settings of every stage by the name of its command, in the order of the chain.

A settings file may have a table for each. `s4 init`, `s4 check`, `s4 doctor`, `s4 report` and `s4 export` take no
settings file, and are not among them.
"""


def resolve(cls: type[Config], toml: Path | None, flags: Mapping[str, Any], tell: Tell | None = None) -> Config:
    """Return the settings of a stage: default < TOML file < flag; see `pipelines.config.resolution.resolve_with`."""
    return resolve_with(STAGES, cls, toml, flags, tell)
