"""A training of DeepLab that takes a moment."""

from pathlib import Path
from typing import Any

from pipelines.config import DeepLabTrainConfig


def small_deeplab(images: Path, labels: Path, run: Path, **settings: Any) -> DeepLabTrainConfig:
    """Two steps of two crops of 33 pixels, on one core and with nothing loaded; `settings` over these."""
    small: dict[str, Any] = {
        "network": "efficientnet_lite0", "trunk_weights": "none", "steps": 2, "batch_size": 2, "crop": 33,
        "device": "cpu", "precision": "fp32", "workers": 0,
    }  # fmt: skip
    return DeepLabTrainConfig(images=(images,), labels=labels, run=run, **(small | settings))
