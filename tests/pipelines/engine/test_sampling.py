import numpy as np

from pipelines.engine.sampling import batch_indices, sample_generator


def stream(steps: int, n: int, size: int, seed: int = 0, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
    return [pair for step in range(steps) for pair in batch_indices(step, n, size, seed, rank, world)]


def test_every_item_is_seen_once_an_epoch_though_batches_cross_epochs():
    # 7 items in batches of 3: 7 steps are 21 items, three epochs.
    pairs = stream(7, 7, 3)
    for epoch in range(3):
        assert sorted(i for e, i in pairs if e == epoch) == list(range(7))
    assert [e for e, _ in pairs] == [0] * 7 + [1] * 7 + [2] * 7


def test_epochs_are_shuffled_differently_and_seeds_too():
    pairs = stream(8, 40, 10)
    first, second = ([i for e, i in pairs if e == epoch] for epoch in (0, 1))
    assert first != second
    assert first != [i for _, i in stream(4, 40, 10, seed=1)]
    assert first == [i for _, i in stream(4, 40, 10)]


def test_two_processes_share_the_batches_of_one():
    alone = [batch_indices(step, 11, 4, seed=3) for step in range(5)]
    for step, whole in enumerate(alone):
        halves = [batch_indices(step, 11, 2, 3, rank, 2) for rank in (0, 1)]
        assert halves[0] + halves[1] == whole


def test_a_batch_may_be_larger_than_the_data_set():
    assert len(batch_indices(0, 2, 5, seed=0)) == 5


def test_augmentation_depends_on_seed_epoch_and_item_alone():
    draw = sample_generator(1, 2, 3).random(4)
    assert np.array_equal(draw, sample_generator(1, 2, 3).random(4))
    others = [sample_generator(*key).random(4) for key in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (1, 3, 2))]
    assert not any(np.array_equal(draw, other) for other in others)
