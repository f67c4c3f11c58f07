"""Checkpoints with a text for a tensor, for tests in which no network reads them."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from pipelines.data.classes import ClassList
from pipelines.engine.checkpoint import save_checkpoint

_FACTS: dict[str, dict[str, Any]] = {
    "deeplab": {
        "network": "vgg16",
        "longest_side": 512,
        "classes": ClassList.from_names(["cat", "dog"]).described(),
    },
}


def write_weights(path: Path, text: str = "weights", kind: str = "s4net") -> None:
    model = {"w": torch.tensor(list(text.encode()), dtype=torch.uint8)}
    save_checkpoint(path, {"kind": kind, "model": model, **_FACTS.get(kind, {})})


def hash_of_weights(text: str = "weights") -> str:
    """The hash of the tensors of `write_weights`."""
    return hashlib.sha256(f"w torch.uint8 ({len(text)},)\n{text}".encode()).hexdigest()
