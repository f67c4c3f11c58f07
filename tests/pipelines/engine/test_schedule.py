import pytest

from pipelines.engine.schedule import lr_factor


def test_poly_by_hand():
    assert lr_factor("poly", 0, 100) == 1.0
    assert lr_factor("poly", 50, 100) == pytest.approx(0.5**0.9)


def test_cosine_ends_near_zero():
    assert lr_factor("cosine", 50, 100) == pytest.approx(0.5)
    assert lr_factor("cosine", 99, 100) == pytest.approx(0.000247, rel=0.01)


def test_drops_of_the_release():
    rates = [lr_factor("step", step, 20_000, drops=(0.5, 0.75)) for step in (9_999, 10_000, 14_999, 15_000)]
    assert rates == pytest.approx([1.0, 0.1, 0.1, 0.01])


def test_warm_up_rises_linearly():
    assert [lr_factor("step", step, 100, warmup=4) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
