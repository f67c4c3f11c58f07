"""Every command with arguments that it takes, and stages that stand in for the real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from s4cli.main import main

ROOT = Path(__file__).parent.parent.parent
MODULES = {
    "train": "train",
    "pseudo-label": "pseudo_label",
    "review": "review",
    "deeplab-train": "deeplab_train",
    "evaluate": "evaluate",
    "predict": "predict",
    "convert": "convert",
    "demo": "demo",
    "ablate": "ablate",
    "explain": "explain",
    "bench": "bench",
    "run": "run",
}
NEEDED = {
    "train": ["--images", "i", "--annotations", "a", "--run", "r"],
    "pseudo-label": ["--images", "i", "--weights", "w", "--out", "o"],
    "review": ["--labels", "l", "--images", "i"],
    "deeplab-train": ["--images", "i", "--labels", "l", "--run", "r"],
    "evaluate": [],
    "predict": ["--images", "i", "--weights", "w", "--out", "o"],
    "convert": ["--to", "csv", "--images", "i", "--out", "o.csv"],
    "demo": [],
    "ablate": ["--table", "1", "--images", "i", "--annotations", "a", "--test-annotations", "t", "--out", "o"],
    "explain": ["--images", "i", "--annotations", "a", "--weights", "w", "--out", "o"],
    "bench": [],
    "run": [str(ROOT / "examples" / "own-pictures.toml")],
}

Replace = Callable[[str, Callable[[Any, Any], Any]], None]


def raising(error: BaseException) -> Callable[[Any, Any], Any]:
    def stage(config: Any, events: Any) -> Any:
        raise error

    return stage


def config_seen(command: str, replace: Replace, arguments: list[str]) -> Any:
    """The settings that a command line gives to a stage."""
    seen: list[Any] = []

    def stage(config: Any, events: Any) -> dict[str, Any]:
        seen.append(config)
        return {}

    replace(command, stage)
    assert main([command, *arguments]) == 0
    return seen[0]
