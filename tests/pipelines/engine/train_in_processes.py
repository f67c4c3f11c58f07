"""Trains the network of two layers under torchrun; run by test_loop."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.config import TrainConfig
from pipelines.engine.distributed import processes
from pipelines.engine.loop import train_loop
from pipelines.engine.loop_settings import LoopSettings, ParameterGroup
from pipelines.engine.run_dir import RunDir
from pipelines.events import Events


def main(folder: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    with processes("cpu") as here:
        size = 8 // here.world

        def batch(step: int) -> Tensor:
            whole = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            return whole[here.rank * size : (here.rank + 1) * size]

        def losses(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
            return {"total": (model(x) - x.sum(dim=1, keepdim=True)).square().mean()}

        config = TrainConfig(images=folder, annotations=folder / "a.json", run=folder / "run")
        run = RunDir.open(folder / "run", config, resume=False, here=here)
        settings = LoopSettings(steps=6, batch_size=size, lr=0.1, precision="fp32")
        groups = [ParameterGroup(list(net.parameters()))]
        train_loop(net, groups, batch, losses, None, settings, run, here, {"kind": "test"}, Events())


def gloo_threads() -> list[str]:
    """Names of the threads of torch's process group; [] where the system does not tell."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    if gloo_threads():
        # One that is still at work when the interpreter ends may abort the process.
        sys.exit(f"threads left: {gloo_threads()}")
