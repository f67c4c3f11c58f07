import math

import pytest
import torch

from pipelines.labels.linear_probe import fit_probe, fit_softmax_probe

# Features that say nothing: the biases alone tell how often each class was counted.
NOTHING = torch.zeros(10, 3)
RARE = torch.tensor([1.0, *[0.0] * 9])  # one of ten


def test_without_counts_the_bias_is_the_share_of_the_rows():
    _, bias = fit_probe(NOTHING, RARE[:, None])
    assert bias.item() == pytest.approx(math.log(1 / 9), abs=0.01)


def test_rows_count_as_often_as_asked():
    counts = torch.tensor([9.0, *[1.0] * 9])  # as if the rare row came nine times: even odds
    assert fit_probe(NOTHING, RARE[:, None], counts)[1].item() == pytest.approx(0, abs=0.01)
    _, bias = fit_softmax_probe(NOTHING, RARE.long(), 2, counts)
    assert (bias[1] - bias[0]).item() == pytest.approx(0, abs=0.01)
    # Twice the counts change nothing: the penalty keeps its weight.
    _, twice = fit_softmax_probe(NOTHING, RARE.long(), 2, 2 * counts)
    torch.testing.assert_close(bias, twice)


def test_equal_counts_are_no_counts():
    _, plain = fit_softmax_probe(NOTHING, RARE.long(), 2)
    _, counted = fit_softmax_probe(NOTHING, RARE.long(), 2, torch.full((10,), 3.0))
    torch.testing.assert_close(plain, counted)
    assert (plain[1] - plain[0]).item() == pytest.approx(math.log(1 / 9), abs=0.01)
