"""Settings of `s4 check`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.base import CLASS_WORDS, CLASSES, MOST_THREADS
from pipelines.config.setting import StageConfig, opt


@dataclass(frozen=True, kw_only=True)
class CheckConfig(StageConfig):
    """Settings of `s4 check`: what to look at. No settings file gives them."""

    command: ClassVar[str] = "check"
    example: ClassVar[str] = "s4 check pictures s4.toml"

    paths: tuple[Path, ...] | None = opt(
        None,
        "What to check: folders of data or labels, runs, COCO files, tables, tars, weights, settings files. Unset: the "
        "current folder.",
        must_be="path",
        argument="PATH",
    )
    classes: str | None = opt(None, CLASSES, must_be="file", words=CLASS_WORDS)
    workers: int = opt(4, "Threads that decode pictures and masks.", at_least=1, at_most=MOST_THREADS)
