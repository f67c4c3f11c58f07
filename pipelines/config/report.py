"""Settings of `s4 report`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.setting import REQUIRED, StageConfig, Tell, opt


@dataclass(frozen=True, kw_only=True)
class ReportConfig(StageConfig):
    """Settings of `s4 report`: the page of one result, or one page that compares several. No settings file has them."""

    command: ClassVar[str] = "report"
    example: ClassVar[str] = "s4 report runs/deeplab runs/other"

    results: tuple[Path, ...] = opt(
        REQUIRED,
        "Results to show: runs, label folders, predictions, folders of s4 run, JSON files of s4 evaluate, or pages of "
        "them. Two or more are compared.",
        argument="RESULT",
        must_be="path",
    )
    images: tuple[Path, ...] | None = opt(
        None, "Folders of the pictures. Unset: those that the results name.", must_be="folder"
    )
    out: Path = opt(
        None,
        "HTML page to write. Unset: report.html in the folder of the one result, or comparison.html.",
        writes="file",
        found=True,
    )

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the usual page."""
        if self.out is not None:
            return self
        if len(self.results) > 1:
            return replace(self, out=Path("comparison.html"))
        result = self.results[0]
        return replace(self, out=result / "report.html" if result.is_dir() else result.with_suffix(".html"))
