"""Checkpoints with a text for a tensor, for tests in which no network reads them."""

import hashlib
from pathlib import Path

import torch

from pipelines.engine.checkpoint import save_checkpoint


def write_weights(path: Path, text: str = "weights", kind: str = "s4net") -> None:
    save_checkpoint(path, {"kind": kind, "model": {"w": torch.tensor(list(text.encode()), dtype=torch.uint8)}})


def hash_of_weights(text: str = "weights") -> str:
    """The hash of the tensors of `write_weights`."""
    return hashlib.sha256(f"w torch.uint8 ({len(text)},)\n{text}".encode()).hexdigest()
