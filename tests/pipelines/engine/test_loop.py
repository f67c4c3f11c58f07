"""The loop on a network of two layers: what it does is the same for the large ones."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipelines.config import TrainConfig
from pipelines.engine.checkpoint import load_checkpoint
from pipelines.engine.distributed import Processes, choose_device, processes
from pipelines.engine.loop import train_loop
from pipelines.engine.loop_settings import LoopSettings, ParameterGroup
from pipelines.engine.run_dir import RunDir
from pipelines.engine.signals import StopRequest
from pipelines.errors import ConfigError, DivergedError, MachineError, Stopped
from pipelines.events import Events

SETTINGS = LoopSettings(
    steps=12, batch_size=4, lr=0.05, checkpoint_every=3, log_every=5, metric="score", precision="fp32", ema=0.9
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def batch(step: int) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(step))


def losses(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return {"total": (net(x) - x.sum(dim=1, keepdim=True)).square().mean()}


def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(images=tmp_path, annotations=tmp_path / "a.json", run=tmp_path / "run")


def train(
    tmp_path: Path, settings=SETTINGS, evaluate=None, make_batch=batch, resume=False, compute=losses, events=None,
    pictures_of=lambda step: [],
) -> dict:  # fmt: skip
    net = Net()
    run = RunDir.open(tmp_path / "run", config(tmp_path), resume)
    with processes("cpu") as here:
        return train_loop(
            net,
            [ParameterGroup(list(net.parameters()), weight_decay=0.01)],
            make_batch,
            compute,
            evaluate,
            settings,
            run,
            here,
            {"kind": "test"},
            events or Events(),
            pictures_of,
        )


def weights(tmp_path: Path, name: str = "last") -> dict[str, Tensor]:
    return load_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.pt")["model"]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("killed_at", [1, 4, 6, 11])
def test_a_resumed_run_equals_the_unbroken_one_to_the_bit(tmp_path, optimizer, killed_at):
    settings = replace(SETTINGS, optimizer=optimizer)

    def killing(step: int) -> Tensor:
        if step == killed_at:
            raise KeyboardInterrupt
        return batch(step)

    train(tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", settings, make_batch=killing)
    train(tmp_path / "broken", settings, resume=True)
    for name in ("last.pt", "best.pt"):
        whole, broken = (tmp_path / part / "run" / "checkpoints" / name for part in ("whole", "broken"))
        assert whole.read_bytes() == broken.read_bytes(), name
    records = [(tmp_path / part / "run" / "metrics.jsonl").read_text() for part in ("whole", "broken")]
    assert records[0] == records[1]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_loader_threads_change_nothing(tmp_path, workers):
    train(tmp_path / "a", replace(SETTINGS, workers=2))
    train(tmp_path / "b", replace(SETTINGS, workers=workers))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(tmp_path):
    def poisoned(step: int) -> Tensor:
        return batch(step) * (float("nan") if step == 4 else 1.0)

    with pytest.raises(DivergedError, match="step 4") as caught:
        train(tmp_path, make_batch=poisoned)
    assert caught.value.exit_code == 5
    assert all(value.isfinite().all() for value in weights(tmp_path).values())
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 3
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 4)


def test_a_training_that_diverges_names_the_pictures_of_its_step(tmp_path):
    def poisoned(step: int) -> Tensor:
        return batch(step) * (float("inf") if step == 7 else 1.0)

    events = Events(io.StringIO())
    events.attach(tmp_path / "log.txt")
    with pytest.raises(DivergedError) as caught:
        train(
            tmp_path, make_batch=poisoned, events=events, pictures_of=lambda step: [f"p{step}-{i}" for i in range(14)]
        )
    assert "of the pictures of this step: p7-0, p7-1, " in caught.value.message
    assert caught.value.message.endswith("p7-11 and 2 more (see log.txt)")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["pictures"] == [f"p7-{i}" for i in range(14)] and status["state"] == "failed"
    log = (tmp_path / "log.txt").read_text()
    assert "not finite at step 7: total " in log and "p7-13" in log
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 6


def test_a_signal_around_the_loop_is_obeyed_in_it(tmp_path):
    with StopRequest() as around:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            train(tmp_path)
    assert around.asked and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 1


def test_a_gradient_that_is_not_finite_stops_too(tmp_path):
    def root(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
        return {"total": (net(x) * 0).sum().sqrt()}  # value 0, gradient 0 * inf

    with pytest.raises(DivergedError, match="gradient_norm nan"):
        train(tmp_path, compute=root)


def test_the_best_checkpoint_is_the_best_evaluation(tmp_path):
    scores = iter([0.2, 0.7, 0.5, 0.6])
    settings = replace(SETTINGS, evaluate_every=3)
    summary = train(tmp_path, settings, evaluate=lambda net: {"score": next(scores)})
    assert summary["best"] == {"metric": "score", "value": 0.7, "step": 6}
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt")["step"] == 6


def test_a_score_that_could_not_be_judged_is_the_best_only_where_none_could(tmp_path):
    scores, settings = iter([float("nan"), 0.5, float("nan"), 0.4]), replace(SETTINGS, evaluate_every=3)
    summary = train(tmp_path / "some", settings, evaluate=lambda net: {"score": next(scores)})
    assert summary["best"] == {"metric": "score", "value": 0.5, "step": 6}
    for name, figures in (("nan", {"score": float("nan")}), ("nothing", {})):
        summary = train(tmp_path / name, settings, evaluate=lambda net, figures=figures: figures)
        assert summary["best"] == {"metric": "score", "value": None, "step": 12}
        assert load_checkpoint(tmp_path / name / "run" / "checkpoints" / "best.pt")["step"] == 12


def test_the_last_step_is_always_evaluated_and_early_ones_may_be_spared(tmp_path):
    seen = []
    settings = replace(SETTINGS, evaluate_every=5, evaluate_from=0.5)

    def note(net: nn.Module) -> dict[str, float]:
        seen.append(1)
        return {"score": float(len(seen))}

    train(tmp_path, settings, evaluate=note)
    assert len(seen) == 2  # steps 10 and 12; step 5 is in the first half


def test_evaluation_sees_averaged_weights_and_training_goes_on_with_its_own(tmp_path):
    shown = []

    def look(net: nn.Module) -> dict[str, float]:
        shown.append({k: v.clone() for k, v in net.state_dict().items()})
        return {"score": 1.0}

    train(tmp_path, evaluate=look)
    assert not same(shown[-1], weights(tmp_path))
    assert same(shown[-1], weights(tmp_path, "best"))


def test_metrics_are_means_over_the_logged_steps(tmp_path):
    values = []

    def remembered(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
        result = losses(net, x)
        values.append(float(result["total"].detach()))
        return result

    train(tmp_path, compute=remembered)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [5, 10, 12]
    assert records[0]["total"] == pytest.approx(sum(values[:5]) / 5, rel=1e-6)
    assert records[2]["total"] == pytest.approx(sum(values[10:]) / 2, rel=1e-6)


def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(tmp_path):
    def asking(step: int) -> Tensor:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(step)

    with pytest.raises(Stopped, match="--resume") as caught:
        train(tmp_path, replace(SETTINGS, workers=0), make_batch=asking)
    assert caught.value.exit_code == 75
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 6
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(tmp_path, resume=True)
    train(tmp_path / "whole")
    assert same(weights(tmp_path), weights(tmp_path / "whole"))


def test_an_existing_run_is_refused_and_a_missing_one_cannot_be_resumed(tmp_path):
    RunDir.open(tmp_path / "run", config(tmp_path), resume=False)
    with pytest.raises(ConfigError, match="run-exists"):
        RunDir.open(tmp_path / "run", config(tmp_path), resume=False)
    with pytest.raises(ConfigError, match="run-missing"):
        RunDir.open(tmp_path / "other", config(tmp_path), resume=True)


def test_a_missing_gpu_is_an_error_of_the_machine():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match="device-missing"):
        choose_device("cuda:0")
    assert choose_device("auto") == torch.device("cpu")


def test_no_process_makes_the_folder_before_all_have_looked(tmp_path):
    seen = []

    class Other(Processes):
        def barrier(self) -> None:
            seen.append((tmp_path / "run").exists())

    run = RunDir.open(tmp_path / "run", config(tmp_path), False, Other(0, 2, torch.device("cpu")))
    assert seen == [False]
    assert (run.path / "config.json").exists()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    """Two gloo processes with half the batch each end near the weights of one with the whole batch."""
    script = Path(__file__).with_name("train_in_processes.py")
    for world in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        subprocess.run([*command, str(script), str(tmp_path / str(world))], check=True, timeout=120)
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    for key in one:
        assert torch.allclose(one[key], two[key], atol=1e-5)


def test_one_process_is_rank_zero():
    with processes("cpu") as here:
        assert here == Processes(0, 1, torch.device("cpu"))
        assert here.any(True) and not here.any(False)
