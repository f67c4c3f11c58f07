"""How long a step will take, in numbers and in words."""

import io

import pytest

from pipelines.chain.estimate import estimated, in_words, tell_estimate
from pipelines.chain.stages.deeplab_train import DeepLabTrainStep
from pipelines.config import DeepLabTrainConfig
from pipelines.engine.rehearsal import Pace
from pipelines.events import Events


def told(pace: Pace, pictures: int) -> str:
    stream = io.StringIO()
    step = DeepLabTrainStep("deeplab-train", 0, DeepLabTrainConfig())
    tell_estimate(step, estimated(pace, pictures), Events(stream))
    return stream.getvalue().rstrip("\n")


def test_a_training_counts_steps_and_a_labelling_counts_pictures() -> None:
    assert estimated(Pace(2.0, "step", 8, "cpu, 2 threads"), 12_000) == {
        "seconds": 3000,  # 12,000 / 8 = 1,500 steps of 2 s
        "per": "step",
        "seconds_each": 2.0,
        "count": 1500,
        "device": "cpu, 2 threads",
    }
    assert told(Pace(0.75, "picture", 1, "cpu, 1 thread"), 200) == (
        "deeplab-train: estimated to take 2 min (200 pictures of 0.75 s, measured now on cpu, 1 thread)"
    )


def test_more_than_a_day_is_a_warning_with_a_remedy() -> None:
    pace = Pace(6.0, "step", 10, "cpu, 2 threads")  # VGG16 on a processor, 20,000 steps
    line = told(pace, 200_000)
    assert line.startswith("warning: deeplab-train: estimated to take 33.3 h (20,000 steps of 6 s")
    assert line.endswith("more than a day: --network efficientnet_lite0, fewer --steps or a GPU would shorten it")
    assert not told(pace, 144_000).startswith("warning")  # a day to the second


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (432_000, "5.0 days")],
)
def test_times_are_told_in_round_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
