import numpy as np
import pytest

from pipelines.data.classes import Keywords
from pipelines.labels.assign_in_picture import UNASSIGNED
from pipelines.labels.assign_in_set import InstanceSet, PictureInstances, assign_set, keyword_probabilities


def two_kinds(n: int, seed: int = 0, told: float = 0.5) -> tuple[InstanceSet, np.ndarray]:
    """Make instances of classes 0 and 1 that lie apart in features; a third of the pictures has both keywords.

    In that third, the attention is right about the share `told` of the instances and wrong about the rest.
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


def as_pictures(instances: InstanceSet) -> dict[str, PictureInstances]:
    """Put each instance in a picture of its own; classes 0 and 1 are the second and the first in a list of three."""
    result = {}
    for number, allowed in enumerate(instances.allowed):
        own = np.flatnonzero(allowed)
        keywords = Keywords(tuple("ab"[k] for k in own), tuple((2, 1)[k] for k in own))
        log_odds = instances.attention[number : number + 1, own]
        result[f"p{number:03d}"] = PictureInstances(number, keywords, instances.features[number : number + 1], log_odds)
    return result


def chosen(instances: InstanceSet) -> np.ndarray:
    """Return the position in the class list of each instance's keyword."""
    return np.array([assignment.keyword[0] for assignment in assign_set(as_pictures(instances), 3).values()])


def test_instances_of_clear_pictures_teach_those_of_unclear_ones():
    instances, true = two_kinds(150)
    several = instances.allowed.all(axis=1)
    assert (instances.attention.argmax(axis=1) == true)[several].mean() < 0.7
    probability = keyword_probabilities(instances)
    assert (probability.argmax(axis=1) == true).mean() > 0.95
    assert np.allclose(probability.sum(axis=1), 1)
    assert (probability[~instances.allowed] == 0).all()
    assert (chosen(instances) == 2 - true).mean() > 0.95


def test_without_enough_to_learn_from_the_attention_decides():
    instances, _ = two_kinds(12, told=0.0)
    # Softmax of log-odds 1 and -1: e / (e + 1 / e) = 0.88.
    several = instances.allowed.all(axis=1)
    probability = keyword_probabilities(instances)
    assert probability[several].max(axis=1) == pytest.approx(0.8808, abs=1e-4)
    assert (probability.argmax(axis=1) == instances.attention.argmax(axis=1))[several].all()


def test_an_only_keyword_is_certain():
    instances, true = two_kinds(30)
    for assignment, own, allowed in zip(
        assign_set(as_pictures(instances), 3).values(), true, instances.allowed, strict=True
    ):
        if not allowed.all():
            assert assignment.keyword.tolist() == [2 - own] and assignment.affinity.tolist() == [[1]]
            assert assignment.rule == "single"


def test_an_instance_alone_that_could_be_any_of_three_gets_no_keyword():
    keywords = Keywords(("a", "b", "c"), (4, 1, 2))
    alone = PictureInstances(0, keywords, np.ones((1, 4), np.float32), np.zeros((1, 3), np.float32))
    found = assign_set({"p": alone}, 5)["p"]  # p = 1 / 3 for each, less than the 1 / 2 of no keyword
    assert found.keyword.tolist() == [UNASSIGNED] and found.rule == "graph"
    assert found.affinity == pytest.approx(np.full((1, 3), 1 / 3))


def test_pictures_without_instance_are_no_error():
    nothing = PictureInstances(1, Keywords(("a", "b"), (1, 2)))
    assert assign_set({"p": nothing}, 2)["p"].affinity.shape == (0, 2)
    some = PictureInstances(0, Keywords(("a",), (1,)), np.ones((1, 4), np.float32), np.zeros((1, 1), np.float32))
    found = assign_set({"q": some, "p": nothing}, 2)
    assert found["q"].keyword.tolist() == [1]
    assert (found["p"].keyword.shape, found["p"].affinity.shape, found["p"].rule) == ((0,), (0, 2), "none")


def test_the_order_of_instances_does_not_matter():
    instances, _ = two_kinds(90)
    moved = [*as_pictures(instances).items()]
    np.random.default_rng(1).shuffle(moved)
    renumbered = {
        image_id: PictureInstances(number, picture.keywords, picture.features, picture.log_odds)
        for number, (image_id, picture) in enumerate(moved)
    }
    before, after = assign_set(as_pictures(instances), 3), assign_set(renumbered, 3)
    assert np.mean([before[image_id].keyword[0] == after[image_id].keyword[0] for image_id in before]) > 0.98


def test_a_named_instance_may_get_its_own_keyword_alone():
    keywords = Keywords(("a", "b"), (2, 1))
    looks = np.zeros((2, 4), np.float32), np.array([[5, -5], [5, -5]], np.float32)  # both look like "a"
    whole = InstanceSet.of([PictureInstances(0, keywords, *looks, np.array([1, 0]))], 3)
    assert whole is not None
    assert whole.allowed.tolist() == [[True, False, False], [True, True, False]]
    np.testing.assert_allclose(keyword_probabilities(whole)[:, :2], [[1, 0], [0, 1]], atol=1e-4)
