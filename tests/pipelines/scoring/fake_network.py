"""A salient-instance network that finds given masks, in the place of one that would have to be trained."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Network = Callable[[NDArray[np.uint8]], SimpleNamespace]


class FakeTensor:
    """An array with the two methods of a tensor that lead to numpy."""

    def __init__(self, values: Any) -> None:
        self.values = np.array(values)

    def cpu(self) -> "FakeTensor":
        return self

    def numpy(self) -> NDArray[Any]:
        return self.values


def instances(masks: Any, scores: Any) -> SimpleNamespace:
    """Return what a network gives for a picture: masks [N, H, W] and scores [N]."""
    return SimpleNamespace(masks=FakeTensor(masks), scores=FakeTensor(scores))


def load_instead(monkeypatch: pytest.MonkeyPatch, network: Network) -> list[dict[str, Any]]:
    """Make `load_s4net` return a network; return the list that receives the options of each call."""
    options: list[dict[str, Any]] = []

    def load_s4net(weights: object, **given: Any) -> Network:
        options.append(given)
        return network

    module = ModuleType("pipelines.networks.load")
    module.load_s4net = load_s4net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipelines.networks.load", module)
    return options
