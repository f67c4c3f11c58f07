"""Settings of `s4 demo`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import LARGEST_SEED, SEED, CommonConfig
from pipelines.config.setting import opt


@dataclass(frozen=True, kw_only=True)
class DemoConfig(CommonConfig):
    """Settings of `s4 demo`: the whole chain on generated scenes."""

    command: ClassVar[str] = "demo"
    example: ClassVar[str] = "s4 demo"

    out: Path = opt(Path("demo"), "Folder for the scenes, the runs and the report.", writes="demo")
    seed: int = opt(0, SEED, at_least=0, at_most=LARGEST_SEED)
    small: bool = opt(False, "Use tiny sizes, to test that every stage works. The scores mean nothing then.")
