"""Stages of weakly-supervised semantic segmentation, and all that touches files, processes and data sets.

The two loaders are imported on first use: they bring torch with them, and importing a stage's settings must not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.predict import load_deeplab, load_s4net

__version__ = "0.1.0"

__all__ = ["load_deeplab", "load_s4net"]


def __getattr__(name: str) -> Any:
    """Imports a loader on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipelines import predict

    return getattr(predict, name)
