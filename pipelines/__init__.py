"""Stages of weakly-supervised semantic segmentation, and all that touches files, processes and data sets.

The two loaders are imported on first use. They import torch, and importing the settings of a stage must not do so.
"""

from typing import TYPE_CHECKING, Any

from pipelines.engine.version import __version__

if TYPE_CHECKING:
    from pipelines.networks.load import load_deeplab, load_s4net

__all__ = ["__version__", "load_deeplab", "load_s4net"]

_LOADERS = ("load_deeplab", "load_s4net")


def __getattr__(name: str) -> Any:
    """Import a loader on first use (PEP 562)."""
    if name not in _LOADERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipelines.networks import load

    return getattr(load, name)
