import threading

import numpy as np

from pipelines.scoring.worst_pictures import MOST, Judged, WorstPictures

MAP = np.zeros((2, 2), np.uint8)


def test_the_worst_are_kept_in_any_order() -> None:
    worst = WorstPictures()
    for number in np.random.default_rng(0).permutation(5 * MOST):
        worst.add(f"{number:03d}", number / 1000, MAP, MAP)
    worst.add("unjudged", float("nan"), MAP, MAP)
    assert [each.image_id for each in worst.sorted()] == [f"{number:03d}" for number in range(MOST)]


def test_a_picture_that_comes_while_another_thread_leaves_out_the_better_ones_is_kept() -> None:
    others: list[threading.Thread] = []

    class Interrupted(WorstPictures):
        def sorted(self) -> list[Judged]:
            found = super().sorted()
            if not others:
                others.append(threading.Thread(target=self.add, args=("worst", 0.0, MAP, MAP)))
                others[0].start()
                others[0].join(timeout=0.1)  # it may have to wait
            return found

    worst = Interrupted()
    for number in range(2 * MOST):
        worst.add(f"{number:03d}", 0.5, MAP, MAP)
    others[0].join(timeout=5)
    assert worst.sorted()[0].image_id == "worst"
