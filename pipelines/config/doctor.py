"""Settings of `s4 doctor`."""

from dataclasses import dataclass
from typing import ClassVar

from pipelines.config.setting import StageConfig, opt


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(StageConfig):
    """Settings of `s4 doctor`: what to leave out. No settings file gives them."""

    command: ClassVar[str] = "doctor"
    example: ClassVar[str] = "s4 doctor"

    offline: bool = opt(False, "Do not ask whether weights can be downloaded.")
    measure: bool = opt(True, "Time small products of matrices, for about two seconds.")
