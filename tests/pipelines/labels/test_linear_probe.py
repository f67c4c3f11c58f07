from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pipelines.labels import linear_probe
from pipelines.labels.linear_probe import fit_probe, fit_softmax_probe

FEATURES = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.2, 0.8], [0.9, 0.3]])


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "cross_entropy"])
def test_a_fit_takes_one_thread_and_gives_the_others_back(name: str, monkeypatch: pytest.MonkeyPatch):
    threads: set[int] = set()
    cost = getattr(torch.nn.functional, name)

    def watched(logits: Tensor, truth: Tensor) -> Tensor:
        threads.add(torch.get_num_threads())
        result: Tensor = cost(logits, truth)
        return result

    monkeypatch.setattr(linear_probe.F, name, watched)
    if name == "cross_entropy":
        fit_softmax_probe(FEATURES, torch.tensor([0, 1, 0, 1]), 2)
    else:
        fit_probe(FEATURES, torch.tensor([[0.0], [1.0], [0.0], [1.0]]))
    assert threads == {1} and torch.get_num_threads() == 2


def test_a_fit_that_fails_gives_the_threads_back(monkeypatch: pytest.MonkeyPatch):
    def broken(logits: Tensor, truth: Tensor) -> Tensor:
        raise RuntimeError("broken")

    monkeypatch.setattr(linear_probe.F, "binary_cross_entropy_with_logits", broken)
    with pytest.raises(RuntimeError, match="broken"):
        fit_probe(FEATURES, torch.ones(4, 1))
    assert torch.get_num_threads() == 2
