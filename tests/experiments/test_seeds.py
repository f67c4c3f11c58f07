"""`experiments/seeds.py`: means over trainings with several seeds."""

import numpy as np
import pytest

from experiments.seeds import figures
from pipelines.metrics.miou_bootstrap import JudgedMaps


def judged(*pictures: tuple[list[int], list[int]]) -> JudgedMaps:
    """Right pixels, and pixels of the union, of two classes in each picture."""
    return JudgedMaps(np.array(pictures, np.int64))


def test_the_mean_is_that_of_the_networks_and_the_ratio_is_that_of_the_means() -> None:
    first = judged(([8, 2], [10, 4]), ([2, 0], [10, 4]))  # IoU 10 of 20, 2 of 8: mIoU 0.375
    second = judged(([10, 4], [10, 4]), ([10, 4], [10, 4]))  # mIoU 1
    other = judged(([5, 2], [10, 4]), ([5, 2], [10, 4]))  # mIoU 0.5
    both = np.arange(2)
    found = figures([first, second], [other], both)
    assert found == pytest.approx({"miou": 0.6875, "ratio": 1.375, "difference": 0.1875})
    assert figures([first], [], both) == pytest.approx({"miou": 0.375})
    # The second picture twice: 2 of 10 and 0 of 4.
    assert figures([first], [], np.array([1, 1])) == pytest.approx({"miou": 0.1})
