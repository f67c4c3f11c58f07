"""The network that a training starts from: `s4 train --start-from`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.config import TrainConfig
from pipelines.config.paths import goes_on
from pipelines.config.usual_places import BUILTIN
from pipelines.engine.checkpoint import tensors_sha256, weights_file
from pipelines.errors import InputError
from pipelines.networks.build import new_s4net
from pipelines.networks.network_file import load_weights, require_buildable, s4net_checkpoint
from s4net import S4Net


@dataclass(frozen=True)
class Start:
    """A trained S4Net that a training goes on from.

    Attributes:
        config: Settings of the new training, complete.
        record: What the run remembers of it: {"from": path or builtin, "sha256": hash of the tensors}.
        path: The file.
        model: The tensors by name. None where the run has a checkpoint of its own to go on from.
    """

    config: TrainConfig
    record: dict[str, str]
    path: Path
    model: dict[str, Tensor] | None

    def load_into(self, net: S4Net) -> None:
        """Give a network the tensors.

        Raises:
            InputError: They do not fit it [weights-damaged].
        """
        if self.model is not None:
            load_weights(net, self.model, self.path)


def read_start(config: TrainConfig) -> Start | None:
    """Read the network that a training starts from; None if it starts anew.

    A run that has a checkpoint goes on from there, and remembers what it started from. The first network is not read
    again.

    Args:
        config: Settings of `s4 train`.

    Raises:
        InputError: The file is missing or damaged, or holds no S4Net [weights-missing] [weights-damaged]
            [weights-kind].
        ConfigError: Settings ask for another network [start-differs].
    """
    if config.start_from is None:
        return None
    if goes_on(config):
        path = config.run / "checkpoints" / "last.pt"
        made, content = s4net_checkpoint(path)
        return Start(config.started_from(made), _recorded(content, path), path, None)
    path = weights_file(config.start_from)
    made, content = s4net_checkpoint(path)
    model: dict[str, Tensor] = content["model"]
    require_buildable(path, model, lambda: new_s4net(made, pretrained=False))
    is_builtin = str(config.start_from) == BUILTIN
    name = BUILTIN if is_builtin else str(config.start_from.absolute())
    return Start(config.started_from(made), {"from": name, "sha256": tensors_sha256(model)}, path, model)


def _recorded(content: dict[str, Any], path: Path) -> dict[str, str]:
    record = content.get("start")
    if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in ("from", "sha256")):
        message = f"{path}: does not say what it started from, a checkpoint of a run with --start-from expected"
        raise InputError(f"{message}; start a new run", "weights-damaged")
    return record
