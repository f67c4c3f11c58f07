import numpy as np
import pytest

from pipelines.engine.sampling import Draw, Epochs, repeat_factors, sample_generator


def stream(steps: int, n: int, size: int, seed: int = 0, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
    epochs = Epochs(n, seed)
    return [(epoch, index) for step in range(steps) for epoch, index, _ in epochs.batch(step, size, rank, world)]


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
    epochs = Epochs(11, seed=3)
    alone = [epochs.batch(step, 4) for step in range(5)]
    for step, whole in enumerate(alone):
        halves = [epochs.batch(step, 2, rank, 2) for rank in (0, 1)]
        assert halves[0] + halves[1] == whole


def test_a_batch_may_be_larger_than_the_data_set():
    assert len(Epochs(2, 0).batch(0, 5)) == 5


def test_augmentation_depends_on_seed_epoch_item_and_copy_alone():
    draw = sample_generator(1, Draw(2, 3)).random(4)
    assert np.array_equal(draw, sample_generator(1, Draw(2, 3, 0)).random(4))
    others = [(0, Draw(2, 3)), (1, Draw(0, 3)), (1, Draw(2, 0)), (1, Draw(3, 2)), (1, Draw(2, 3, 1))]
    assert not any(np.array_equal(draw, sample_generator(*key).random(4)) for key in others)


def test_items_come_as_often_as_their_factors_say():
    # 1, 1, 2.5 and 1.5 are 6 draws an epoch; half of the epochs have a third copy of item 2, the others one more of 3.
    epochs = Epochs(4, 0, np.array([1, 1, 2.5, 1.5]))
    counts = np.zeros(4)
    for epoch in range(400):
        draws = [draw for step in range(2) for draw in epochs.batch(2 * epoch + step, 3)]
        assert {draw.epoch for draw in draws} == {epoch}
        own = np.bincount([draw.item for draw in draws], minlength=4)
        assert own[:2].tolist() == [1, 1] and own[2] in (2, 3) and own[3] in (1, 2) and own.sum() == 6
        for item in range(4):  # copies are numbered, so that each has an augmentation of its own
            assert sorted(draw.copy for draw in draws if draw.item == item) == list(range(own[item]))
        counts += own
    assert counts[2] / 400 == pytest.approx(2.5, abs=0.08)


def test_rare_classes_have_larger_factors():
    # Three classes in 4, 4 and 1 of 9 pictures: mean share 1/3; the third has 1/9, a third of the mean.
    shown = np.eye(3, dtype=bool)[[0, 0, 0, 0, 1, 1, 1, 1, 2]]
    assert repeat_factors(shown)[[0, 4, 8]] == pytest.approx([1, 1, 3**0.5])
    assert repeat_factors(shown, power=1.0)[8] == pytest.approx(3)
    shown[0, 2] = True  # a picture has the factor of its rarest class: shares 4, 4 and 2 of 9, the mean is 10/27
    assert repeat_factors(shown)[[0, 1, 8]] == pytest.approx([(5 / 3) ** 0.5, 1, (5 / 3) ** 0.5])


def test_equal_shares_and_classes_that_none_shows_change_nothing():
    shown = np.eye(3, dtype=bool)[[0, 1, 0, 1]]
    assert repeat_factors(shown) is None
    assert repeat_factors(np.zeros((4, 3), bool)) is None
    assert repeat_factors(np.eye(3, dtype=bool)[[0, 0, 0, 1]])[3] == pytest.approx(2**0.5)  # 1/4 beside a mean of 1/2
