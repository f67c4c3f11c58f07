from typing import get_args

import numpy as np
import pytest
import torch

from deeplab.crf import CRF_PRESETS, dense_crf
from pipelines import config
from pipelines.networks.crf import refined_map

CPU = torch.device("cpu")


def picture() -> np.ndarray:
    pixels = np.full((12, 20, 3), 60, np.uint8)
    pixels[:, 10:, 0] = 200
    return pixels


def unsure(classes: int = 4) -> np.ndarray:
    """Classes 1 and 3 share the picture, with a border two columns off that of the colours; the others hardly occur."""
    result = np.full((classes, 12, 20), 0.01, np.float32)
    result[1, :, :12], result[3, :, 12:] = 0.6, 0.6
    result[3, :, :12], result[1, :, 12:] = 0.38, 0.38
    return result


def test_outlines_move_to_the_colours():
    assert (refined_map(unsure(), picture(), "psa", CPU) == np.where(np.arange(20) < 10, 1, 3)).all()


def test_only_classes_that_may_win_take_part():
    both = dense_crf(
        torch.from_numpy(unsure()[[1, 3]]), torch.from_numpy(picture()).permute(2, 0, 1), CRF_PRESETS["psa"]
    )
    expected = np.array([1, 3])[both.argmax(dim=0).numpy()]
    assert (refined_map(unsure(), picture(), "psa", CPU) == expected).all()


def test_a_class_without_rival_is_everywhere():
    alone = np.zeros((3, 12, 20), np.float32)
    alone[2] = 0.9
    assert (refined_map(alone, picture(), "deeplab", CPU) == 2).all()
    assert (refined_map(alone * 0, picture(), "deeplab", CPU) == 0).all()


def test_the_presets_of_the_command_are_those_of_the_crf():
    assert get_args(config.CrfPreset) == tuple(CRF_PRESETS)


@pytest.mark.parametrize("preset", CRF_PRESETS)
def test_every_preset_runs(preset: str):
    assert set(refined_map(unsure(), picture(), preset, CPU).flat) <= {1, 3}
