"""Settings of `s4 export`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pipelines.config.base import WEIGHT_WORDS
from pipelines.config.setting import StageConfig, Tell, opt
from pipelines.config.usual_places import newest_network
from pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExportConfig(StageConfig):
    """Settings of `s4 export`: a trained network as one ONNX file."""

    command: ClassVar[str] = "export"
    example: ClassVar[str] = "s4 export RUN --out network.onnx"

    weights: Path = opt(
        None,
        "DeepLab or S4Net: run folder (its best checkpoint, else the last), file, or builtin for the S4Net that ships. "
        "Unset: the newest run in runs, else builtin.",
        words=WEIGHT_WORDS,
        must_be="weights",
        found=True,
        argument="RUN",
    )
    out: Path = opt(Path("network.onnx"), "File to write, ending in .onnx.", writes="file")
    opset: int = opt(18, "Version of ONNX's operators.", at_least=18, at_most=20)

    def __post_init__(self) -> None:
        """Check each field, and the name of the file."""
        super().__post_init__()
        if self.out.suffix.lower() != ".onnx":
            message = f"--out: {self.out} given, a name ending in .onnx expected; change it"
            raise ConfigError(message, "setting-value")

    def located(self, tell: Tell = lambda line: None) -> Self:
        """Return the same settings with the newest run in `runs`, or the network that ships, if none was given.

        Raises:
            ConfigError: There is neither [setting-missing].
        """
        if self.weights is not None:
            return self
        return replace(self, weights=newest_network("--weights", self.example, tell))
