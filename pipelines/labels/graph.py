"""A graph of all instances: those that look alike, in different pictures, get the same keyword.

After Fan et al., "Associating Inter-Image Salient Instances for Weakly Supervised Semantic Segmentation" (ECCV 2018).
Instances are the vertices of a graph, and edges join those that look alike. An instance may only take a keyword of its
own picture, or none. The assignment maximises

    sum over edges (i, j) with equal keywords of w_ij  +  lambda * sum over instances j of p_j(its keyword)

- The edges are those of LIID (TPAMI 2020): mutual nearest neighbours, in pictures that share a keyword.
- Taking no keyword is worth a constant (ours). The papers fix the share of instances without keyword instead. The
  constant is the Lagrange multiplier of that share.
- The solvers are ours. Small components of the graph are solved exactly, as an integer programme. Large ones are solved
  by alpha-expansion (Boykov, Veksler and Zabih, PAMI 2001). Its result is at most a factor of two from the best, and
  closer in practice.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

_BLOCK = 1024  # rows of a similarity matrix that exist at a time
_EXACT_CHOICES = 60  # binary variables up to which a component is solved exactly: milliseconds
_UNIT = 1 << 16  # a weight of 1 as a capacity: max-flow counts in whole numbers
_SWEEPS = 20  # of alpha-expansion; two or three are usual


@dataclass(frozen=True, eq=False)
class Edges:
    """E undirected edges, each once.

    Attributes:
        first, second: [E] int64, instances; first < second.
        weight: [E] float32, above 0.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float32]


def mutual_neighbours(
    features: NDArray[np.float32], pictures: NDArray[np.int64], allowed: NDArray[np.bool_], k: int
) -> Edges:
    """Join two instances if each is among the k most similar to the other, in pictures that share a keyword.

    Let M be the number of instances that may take a keyword. Time grows with the square of M, memory with M.

    Args:
        features: [N, D] of unit length. The weight of an edge is the product of two of them; it must be above 0.
        pictures: [N], number of each instance's picture.
        allowed: [N, C] bool, the keywords of each instance's picture.
        k: Neighbours of an instance, 1 or more.
    """
    n = len(features)
    nearest = np.full((n, k), -1, np.int64)
    closeness = np.full((n, k), 0, np.float32)
    for own in allowed.T:
        members = np.flatnonzero(own)
        for start in range(0, len(members), _BLOCK):
            rows = members[start : start + _BLOCK]
            # By torch, whose threads are set: the sums of NumPy's library depend on how many threads it takes.
            similar = (torch.tensor(features[rows]) @ torch.tensor(features[members]).T).numpy()
            similar[pictures[rows][:, None] == pictures[members][None]] = 0
            best = np.argpartition(-similar, min(k, len(members)) - 1, axis=1)[:, :k]
            _merge(nearest, closeness, rows, members[best], np.take_along_axis(similar, best, axis=1))
    first = np.repeat(np.arange(n), k)
    second, weight = nearest.ravel(), closeness.ravel()
    real = (second >= 0) & (weight > 0)
    first, second, weight = first[real], second[real], weight[real]
    low, high = np.minimum(first, second), np.maximum(first, second)
    _, where, times = np.unique(low * n + high, return_index=True, return_counts=True)
    mutual = where[times == 2]
    return Edges(low[mutual], high[mutual], weight[mutual])


def _merge(
    nearest: NDArray[np.int64],
    closeness: NDArray[np.float32],
    rows: NDArray[np.int64],
    candidates: NDArray[np.int64],
    similar: NDArray[np.float32],
) -> None:
    """Update the k nearest neighbours of the given rows [R], in place, with candidates [R, <= k]; keep each once."""
    k = nearest.shape[1]
    known = (candidates[:, :, None] == nearest[rows][:, None, :]).any(axis=2)
    pool = np.concatenate([nearest[rows], candidates], axis=1)
    values = np.concatenate([closeness[rows], np.where(known, -1, similar)], axis=1)
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    nearest[rows] = np.take_along_axis(pool, best, axis=1)
    closeness[rows] = np.maximum(np.take_along_axis(values, best, axis=1), 0)


def assign_graph(
    affinity: NDArray[np.float32], allowed: NDArray[np.bool_], edges: Edges, unary_weight: float, noise_affinity: float
) -> NDArray[np.int64]:
    """Choose the keywords that maximise the sum above.

    Args:
        affinity: [N, C], p_j of each instance and keyword.
        allowed: [N, C] bool, the keywords that an instance may take.
        edges: See `mutual_neighbours`.
        unary_weight: The factor lambda.
        noise_affinity: The value p_j of no keyword. Two instances without keyword do not count as equal.

    Returns:
        [N] int64, column of `affinity`; C for an instance that gets no keyword.
    """
    n, c = affinity.shape
    # Column C stands for no keyword. A keyword that is not allowed is worth minus infinity.
    worth = np.full((n, c + 1), unary_weight * noise_affinity, np.float64)
    worth[:, :c] = np.where(allowed, unary_weight * affinity, -np.inf)
    labels: NDArray[np.int64] = worth.argmax(axis=1)
    adjacency = coo_array((edges.weight, (edges.first, edges.second)), shape=(n, n))
    _, component = connected_components(adjacency, directed=False)
    by_component = np.argsort(component, kind="stable")
    sizes = np.bincount(component)
    starts = np.cumsum(sizes) - sizes
    edge_order = np.argsort(component[edges.first], kind="stable")
    edge_counts = np.bincount(component[edges.first], minlength=len(sizes))
    edge_starts = np.cumsum(edge_counts) - edge_counts
    position = np.empty(n, np.int64)
    position[by_component] = np.arange(n) - np.repeat(starts, sizes)
    for number in np.flatnonzero(sizes > 1):
        members = by_component[starts[number] : starts[number] + sizes[number]]
        own = edge_order[edge_starts[number] : edge_starts[number] + edge_counts[number]]
        inner = Edges(position[edges.first[own]], position[edges.second[own]], edges.weight[own])
        choices = np.isfinite(worth[members]).sum()
        solve = _exact if choices <= _EXACT_CHOICES else _alpha_expansion
        labels[members] = solve(worth[members], inner, labels[members])
    return labels


def _exact(worth: NDArray[np.float64], edges: Edges, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Solve a small component [n, C + 1] as an integer programme.

    There is a binary variable for each instance and keyword: the instance takes the keyword. There is a continuous one
    for each edge and keyword: both ends take the keyword.
    """
    n, columns = worth.shape
    rows, keywords = np.nonzero(np.isfinite(worth))
    choice = np.full((n, columns), -1)
    choice[rows, keywords] = np.arange(len(rows))
    shared = (choice[edges.first, :-1] >= 0) & (choice[edges.second, :-1] >= 0)
    edge, keyword = np.nonzero(shared)
    n_choices, n_pairs = len(rows), len(edge)
    pair = n_choices + np.arange(n_pairs)
    one_each = coo_array((np.ones(n_choices), (rows, np.arange(n_choices))), shape=(n, n_choices + n_pairs))
    constraints = [LinearConstraint(one_each.tocsr(), 1, 1)]
    for end in (edges.first[edge], edges.second[edge]):
        values = np.concatenate([np.ones(n_pairs), -np.ones(n_pairs)])
        places = (np.tile(np.arange(n_pairs), 2), np.concatenate([pair, choice[end, keyword]]))
        both = coo_array((values, places), shape=(n_pairs, n_choices + n_pairs))
        constraints.append(LinearConstraint(both.tocsr(), -np.inf, 0))
    gain = np.concatenate([worth[rows, keywords], edges.weight[edge]])
    whole = np.concatenate([np.ones(n_choices), np.zeros(n_pairs)])
    found = milp(-gain, integrality=whole, bounds=Bounds(0, 1), constraints=constraints if n_pairs else constraints[:1])
    if found.x is None:
        return _alpha_expansion(worth, edges, labels)
    taken = found.x[:n_choices] > 0.5
    result = labels.copy()
    result[rows[taken]] = keywords[taken]
    return result


def _alpha_expansion(worth: NDArray[np.float64], edges: Edges, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Improve the labels [n]: let one keyword after the other take instances, until no keyword raises the sum."""
    n, columns = worth.shape
    nothing = columns - 1

    def total(labels: NDArray[np.int64]) -> float:
        alike = (labels[edges.first] == labels[edges.second]) & (labels[edges.first] != nothing)
        return float(worth[np.arange(n), labels].sum() + edges.weight[alike].sum())

    best = total(labels)
    for _ in range(_SWEEPS):
        before = best
        for alpha in range(columns):
            grown = _expand(worth, edges, labels, alpha)
            value = total(grown)
            if value > best + 1e-9:
                labels, best = grown, value
        if best <= before:
            break
    return labels


def _expand(worth: NDArray[np.float64], edges: Edges, labels: NDArray[np.int64], alpha: int) -> NDArray[np.int64]:
    """Return the best labels in which each instance keeps its label or takes `alpha`, found as a minimum cut."""
    n, columns = worth.shape
    nothing = columns - 1
    free = np.isfinite(worth[:, alpha]) & (labels != alpha)
    if not free.any():
        return labels
    # Cost of keeping the label, and of taking alpha. An edge whose ends do not agree costs its weight.
    keep = -worth[np.arange(n), labels]
    take = np.where(free, -worth[:, alpha], keep)
    first, second, weight = edges.first, edges.second, edges.weight.astype(np.float64)

    def lost(a: NDArray[np.int64] | int, b: NDArray[np.int64] | int) -> NDArray[np.float64]:
        return np.where((np.asarray(a) == b) & (np.asarray(a) != nothing), 0, weight)

    at_first, at_second = labels[first], labels[second]
    # Costs of each edge: E(keep, keep), E(keep, take), E(take, keep), E(take, take). An end that is not free keeps.
    take_first, take_second = np.where(free[first], alpha, at_first), np.where(free[second], alpha, at_second)
    kk, kt = lost(at_first, at_second), lost(at_first, take_second)
    tk, tt = lost(take_first, at_second), lost(take_first, take_second)
    # Kolmogorov and Zabih (PAMI 2004): E = const + (tk - kk) x_i + (tt - tk) x_j + (kt + tk - kk - tt) (1 - x_i) x_j.
    taking = take - keep
    np.add.at(taking, first, tk - kk)
    np.add.at(taking, second, tt - tk)
    crossing = kt + tk - kk - tt
    source, sink = n, n + 1
    # Instances on the source's side keep their label. Cutting source -> i means taking, cutting i -> sink keeping.
    whole = np.rint(np.concatenate([np.maximum(taking, 0), np.maximum(-taking, 0), crossing]) * _UNIT).astype(np.int64)
    tails = np.concatenate([np.full(n, source), np.arange(n), first])
    heads = np.concatenate([np.arange(n), np.full(n, sink), second])
    capacity = csr_array((np.minimum(whole, 2**31 - 1).astype(np.int32), (tails, heads)), shape=(n + 2, n + 2))
    capacity.eliminate_zeros()
    flow = maximum_flow(capacity, source, sink).flow
    residual = csr_array(capacity - flow)
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    keeping = np.zeros(n + 2, bool)
    keeping[breadth_first_order(residual, source, return_predecessors=False)] = True
    return np.where(free & ~keeping[:n], alpha, labels)
