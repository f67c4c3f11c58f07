"""Settings of `s4 init`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.config.setting import FOLDER_FILE, StageConfig, opt


@dataclass(frozen=True, kw_only=True)
class InitConfig(StageConfig):
    """Settings of `s4 init`: a settings file for what a folder holds. No settings file gives them."""

    command: ClassVar[str] = "init"
    example: ClassVar[str] = "s4 init pictures"

    folder: Path = opt(Path(), "Folder to look at.", positional="DIR", must_be="folder")
    out: Path = opt(Path(FOLDER_FILE), "Settings file to write.", writes="file")
    force: bool = opt(False, "Replace files that exist.")
