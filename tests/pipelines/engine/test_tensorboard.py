"""What TensorBoard shows of a run that was killed and resumed."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipelines.config import TrainConfig
from pipelines.engine.distributed import ALONE
from pipelines.engine.loop import train_loop
from pipelines.engine.loop_settings import LoopSettings, ParameterGroup
from pipelines.engine.run_dir import RunDir
from pipelines.engine.tensorboard import FOLDER, tensorboard
from pipelines.events import Events

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
SETTINGS = LoopSettings(
    steps=6, batch_size=1, lr=0.1, checkpoint_every=2, log_every=1, metric="score", precision="fp32", workers=0
)


def train(folder: Path, killed_at: int | None = None) -> None:
    """Train, in a run that goes on if it is there; a kill comes before the step `killed_at`, counted from 0."""
    net = nn.Linear(2, 1)

    def batch(step: int) -> Tensor:
        if step == killed_at:
            raise KeyboardInterrupt
        return torch.ones(1, 2)

    config = TrainConfig(images=folder, annotations=folder / "a.json", run=folder / "run")
    run = RunDir.open(config.run, config, (config.run / "config.json").exists())
    groups = [ParameterGroup(list(net.parameters()))]
    with tensorboard(run, True):
        train_loop(net, groups, batch, lambda net, x: {"total": net(x).sum()}, None, SETTINGS, run, ALONE, {}, Events())


@pytest.mark.parametrize("killed_at", [1, 3, 5])  # before the first checkpoint, and a step after the first and second
def test_a_step_that_is_done_again_after_a_kill_is_shown_once(tmp_path, killed_at):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, killed_at)
    train(tmp_path)
    shown = EventAccumulator(str(tmp_path / "run" / FOLDER)).Reload().Scalars("loss/total")
    assert [event.step for event in shown] == [1, 2, 3, 4, 5, 6]
