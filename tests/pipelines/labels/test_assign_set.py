import numpy as np
import pytest

from pipelines.labels.assign_set import InstanceSet, assign_set, keyword_probabilities
from pipelines.labels.graph import NOISE


def two_kinds(n: int, seed: int = 0, told: float = 0.5) -> tuple[InstanceSet, np.ndarray]:
    """Instances of classes 0 and 1 that lie apart in features; a third of the pictures has both keywords.

    In those, the attention is right about the share `told` of the instances and wrong about the rest.
    """
    generator = np.random.default_rng(seed)
    true = generator.integers(2, size=n)
    features = generator.normal(size=(n, 8)).astype(np.float32)
    features[:, 0] += np.where(true == 1, 4, -4)
    several = np.arange(n) % 3 == 0
    allowed = np.where(several[:, None], True, np.arange(2) == true[:, None])
    says = np.where(generator.random(n) < told, true, 1 - true)
    attention = np.where(np.arange(2) == says[:, None], 1, -1).astype(np.float32)
    return InstanceSet(features, attention, allowed, np.arange(n, dtype=np.int64)), true


def test_instances_of_clear_pictures_teach_those_of_unclear_ones():
    instances, true = two_kinds(150)
    several = instances.allowed.all(axis=1)
    assert (instances.attention.argmax(axis=1) == true)[several].mean() < 0.7
    probability = keyword_probabilities(instances)
    assert (probability.argmax(axis=1) == true).mean() > 0.95
    assert np.allclose(probability.sum(axis=1), 1)
    assert (probability[~instances.allowed] == 0).all()
    keyword, _ = assign_set(instances)
    assert (keyword == true).mean() > 0.95


def test_without_enough_to_learn_from_the_attention_decides():
    instances, _ = two_kinds(12, told=0.0)
    # Softmax of log-odds 1 and -1: e / (e + 1 / e) = 0.88.
    several = instances.allowed.all(axis=1)
    probability = keyword_probabilities(instances)
    assert probability[several].max(axis=1) == pytest.approx(0.8808, abs=1e-4)
    assert (probability.argmax(axis=1) == instances.attention.argmax(axis=1))[several].all()


def test_an_only_keyword_is_certain():
    instances, true = two_kinds(30)
    keyword, probability = assign_set(instances)
    single = ~instances.allowed.all(axis=1)
    assert (keyword[single] == true[single]).all() and (probability[single].max(axis=1) == 1).all()


def test_an_instance_alone_that_could_be_any_of_three_gets_no_keyword():
    allowed = np.ones((1, 3), bool)
    alone = InstanceSet(
        np.ones((1, 4), np.float32), np.zeros((1, 3), np.float32), allowed, np.zeros(1, np.int64)
    )  # p = 1 / 3 for each, less than the 1 / 2 of no keyword
    assert assign_set(alone)[0].tolist() == [NOISE]


def test_no_instance_is_no_error():
    nothing = InstanceSet(
        np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32), np.zeros((0, 3), bool), np.zeros(0, np.int64)
    )
    keyword, probability = assign_set(nothing)
    assert keyword.shape == (0,) and probability.shape == (0, 3)


def test_the_order_of_instances_does_not_matter():
    instances, _ = two_kinds(90)
    order = np.random.default_rng(1).permutation(90)
    # The same instances in another order, their pictures with them.
    moved = InstanceSet(*(part[order] for part in vars(instances).values()))
    assert (assign_set(moved)[0] == assign_set(instances)[0][order]).mean() > 0.98
