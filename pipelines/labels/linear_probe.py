"""Linear classifiers on features that stay as they are; fitting one takes seconds on a processor."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.engine.threads import one_thread

_DECAY = 3e-3  # penalty: best of 1e-3 to 1e-1 in five-fold validation on keywords; values near it do as well


def fit_probe(features: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a logistic regression for each class, with a penalty on the weights of standardised features.

    Args:
        features: [M, D] float, M at least 1.
        truth: [M, C] of 0 and 1.

    Returns:
        Weights [C, D] and biases [C] for the features as given. features @ weights.T + biases are log-odds.
    """
    return _fit(features, truth.shape[1], lambda logits: F.binary_cross_entropy_with_logits(logits, truth))


def fit_softmax_probe(features: Tensor, labels: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    """Fit a multinomial logistic regression, with the penalty of `fit_probe`.

    Args:
        features: [M, D] float, M at least 1.
        labels: [M] int64 in 0..outputs - 1.
        outputs: Number C of classes.

    Returns:
        Weights [C, D] and biases [C] for the features as given. The softmax of features @ weights.T + biases gives
        probabilities.
    """
    return _fit(features, outputs, lambda logits: F.cross_entropy(logits, labels))


def _fit(features: Tensor, outputs: int, cost: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the weights and biases that minimise `cost`, a function of the logits [M, C], plus the penalty."""
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0) + 1e-6
    standard = (features - mean) / deviation
    weight = torch.zeros(outputs, features.shape[1], requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cost(standard @ weight.T + bias)
        # A small penalty holds the bias too: a keyword that every picture has would drive it to infinity.
        value = value + _DECAY / 2 * weight.square().sum() + 1e-5 * bias.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    # After each of thousands of small operations, several threads would wait for the slowest one. On a busy machine
    # that takes far longer than the operation itself.
    with one_thread():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    scaled = weight.detach() / deviation
    return scaled, bias.detach() - scaled @ mean
