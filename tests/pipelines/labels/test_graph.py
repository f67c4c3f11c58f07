import itertools

import numpy as np
import pytest

from pipelines.labels import graph as keyword_graph
from pipelines.labels.graph import Edges, assign_graph, mutual_neighbours


def edges(*joined: tuple[int, int, float]) -> Edges:
    first, second, weight = zip(*joined, strict=True) if joined else ((), (), ())
    return Edges(np.array(first, np.int64), np.array(second, np.int64), np.array(weight, np.float32))


def objective(
    labels: np.ndarray,
    affinity: np.ndarray,
    joined: Edges,
    unary_weight: float,
    noise_affinity: float,
) -> float:
    """Return what `assign_graph` maximises, written down anew; label C stands for no keyword."""
    nothing = affinity.shape[1]
    worth = np.append(affinity, np.full((len(affinity), 1), noise_affinity), axis=1)
    alike = (labels[joined.first] == labels[joined.second]) & (labels[joined.first] != nothing)
    return float(unary_weight * worth[np.arange(len(labels)), labels].sum() + joined.weight[alike].sum())


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    array = np.array(rows, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_edges_join_mutual_neighbours_of_different_pictures():
    # Angles 0, 10, 30 and 90 degrees. With k = 1: 0 <-> 10 are mutual; 30 prefers 10, which prefers 0.
    angles = np.radians([0, 10, 30, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    everything = np.ones((4, 1), bool)
    found = mutual_neighbours(features, np.arange(4), everything, 1)
    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])
    assert found.weight[0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    # Instances of one picture are not joined. If 0 and 10 are in one picture, 10 <-> 30 are mutual.
    found = mutual_neighbours(features, np.array([0, 0, 1, 2]), everything, 1)
    assert (found.first.tolist(), found.second.tolist()) == ([1], [2])


def test_pictures_without_a_common_keyword_are_not_joined():
    same = unit((1, 0), (1, 0), (1, 0))
    allowed = np.array([[1, 0], [0, 1], [1, 1]], bool)
    found = mutual_neighbours(same, np.arange(3), allowed, 2)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 2), (1, 2)]


def test_opposite_instances_are_not_joined():
    assert len(mutual_neighbours(unit((1, 0), (-1, 0)), np.arange(2), np.ones((2, 1), bool), 3).first) == 0


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_neighbours_are_those_of_the_whole_matrix(seed, block, monkeypatch):
    monkeypatch.setattr(keyword_graph, "_BLOCK", block)
    random = np.random.default_rng(seed)
    features = random.normal(size=(40, 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pictures = np.sort(random.integers(0, 15, 40))
    of_picture = random.random((15, 3)) < 0.5
    of_picture[:, 0] |= ~of_picture.any(axis=1)
    allowed = of_picture[pictures]
    similar = features @ features.T
    similar[pictures[:, None] == pictures[None]] = 0
    similar[(allowed[:, None] & allowed[None]).sum(axis=2) == 0] = 0
    nearest = [set(np.argsort(-row)[:4].tolist()) & set(np.flatnonzero(row > 0).tolist()) for row in similar]
    expected = {(i, j) for i in range(40) for j in nearest[i] if i < j and i in nearest[j]}
    found = mutual_neighbours(features, pictures, allowed, 4)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected
    assert np.allclose(found.weight, similar[found.first, found.second], atol=1e-6)


def test_an_unsure_instance_follows_those_that_look_like_it():
    # By itself, instance 2 is slightly more of keyword 1. The two that look like it can only be of keyword 0.
    affinity = np.array([[1, 0], [1, 0], [0.4, 0.5]], np.float32)
    allowed = np.array([[1, 0], [1, 0], [1, 1]], bool)
    joined = edges((0, 2, 0.9), (1, 2, 0.9))
    assert assign_graph(affinity, allowed, joined, 1.0, -1.0).tolist() == [0, 0, 0]
    # Its own evidence is 0.1 times the weight, against two edges of 0.9. So it wins above a weight of 18.
    assert assign_graph(affinity, allowed, joined, 17.0, -1.0).tolist() == [0, 0, 0]
    assert assign_graph(affinity, allowed, joined, 19.0, -1.0).tolist() == [0, 0, 1]


def test_an_instance_without_evidence_gets_no_keyword_unless_it_has_likes():
    affinity = np.array([[-0.5], [-0.5], [1.0]], np.float32)
    allowed = np.ones((3, 1), bool)
    assert assign_graph(affinity, allowed, edges(), 1.0, 0.0).tolist() == [1, 1, 0]
    assert assign_graph(affinity, allowed, edges((0, 2, 0.6)), 1.0, 0.0).tolist() == [0, 1, 0]
    # Two instances without evidence do not hold each other up: one edge of 0.6 is less than 2 x 0.5.
    assert assign_graph(affinity, allowed, edges((0, 1, 0.6)), 1.0, 0.0).tolist() == [1, 1, 0]
    # An edge between two instances without keyword is worth 0. So a strong edge makes both take the keyword.
    assert assign_graph(affinity, allowed, edges((0, 1, 1.1)), 1.0, 0.0).tolist() == [0, 0, 0]


def test_no_instances():
    none = assign_graph(np.zeros((0, 2), np.float32), np.zeros((0, 2), bool), edges(), 1.0, 0.0)
    assert none.shape == (0,)


def problem(seed: int, n: int = 7, c: int = 3) -> tuple[np.ndarray, np.ndarray, Edges]:
    random = np.random.default_rng(seed)
    affinity = random.normal(0, 0.5, (n, c)).astype(np.float32)
    allowed = random.random((n, c)) < 0.7
    allowed[:, 0] |= ~allowed.any(axis=1)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if random.random() < 0.5]
    return affinity, allowed, edges(*((i, j, float(random.random())) for i, j in pairs))


def best_of_all(affinity: np.ndarray, allowed: np.ndarray, joined: Edges, weight: float, noise: float) -> float:
    choices = [[*np.flatnonzero(row).tolist(), len(row)] for row in allowed]
    return max(objective(np.array(labels), affinity, joined, weight, noise) for labels in itertools.product(*choices))


@pytest.mark.parametrize("seed", range(12))
def test_small_components_are_solved_exactly(seed):
    affinity, allowed, joined = problem(seed)
    labels = assign_graph(affinity, allowed, joined, 0.8, -0.1)
    assert np.append(allowed, np.ones((7, 1), bool), axis=1)[np.arange(7), labels].all()
    found = objective(labels, affinity, joined, 0.8, -0.1)
    assert found == pytest.approx(best_of_all(affinity, allowed, joined, 0.8, -0.1), abs=1e-5)


def test_expansion_comes_close_to_the_best(monkeypatch):
    monkeypatch.setattr(keyword_graph, "_EXACT_CHOICES", 0)
    gaps, bests = [], []
    for seed in range(12):
        affinity, allowed, joined = problem(seed)
        labels = assign_graph(affinity, allowed, joined, 0.8, -0.1)
        assert np.append(allowed, np.ones((7, 1), bool), axis=1)[np.arange(7), labels].all()
        best = best_of_all(affinity, allowed, joined, 0.8, -0.1)
        gaps.append(best - objective(labels, affinity, joined, 0.8, -0.1))
        bests.append(best)
    assert min(gaps) >= -1e-5
    assert sum(gap < 1e-4 for gap in gaps) >= 10
    assert sum(gaps) < 0.03 * sum(bests)


@pytest.mark.parametrize("seed", range(5))
def test_one_expansion_is_the_best_of_all_subsets(seed):
    affinity, allowed, joined = problem(seed)
    worth = np.concatenate([np.where(allowed, affinity, -np.inf), np.zeros((7, 1))], axis=1)
    labels = worth.argmax(axis=1)

    def value(labels: np.ndarray) -> float:
        return objective(labels, affinity, joined, 1.0, 0.0)

    for alpha in range(4):
        free = np.flatnonzero(np.isfinite(worth[:, alpha]))
        every = []
        for taken in itertools.product((False, True), repeat=len(free)):
            tried = labels.copy()
            tried[free[list(taken)]] = alpha
            every.append(value(tried))
        assert value(keyword_graph._expand(worth, joined, labels, alpha)) == pytest.approx(max(every), abs=1e-3)
