"""Networks built anew, with ImageNet weights in their trunks."""

import torch

from pipelines.config import TrainConfig
from pipelines.engine.depthwise import speed_up_depthwise
from pipelines.errors import ConfigError
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state
from s4net import S4Net, build_s4net


def new_s4net(config: TrainConfig, pretrained: bool = True) -> S4Net:
    """Build the network of a run.

    Args:
        config: Settings of `s4 train`.
        pretrained: Whether the trunk gets the weights of `--trunk-weights`. A network that is loaded next needs none.

    Raises:
        ConfigError: The trunk is unknown, or the weights do not fit it [trunk-unusable].
    """
    name = resolve_trunk(config.trunk)
    torch.manual_seed(config.seed)
    try:
        state = trunk_state(name, config.trunk_weights) if pretrained else None
        net = build_s4net(
            config.preset,
            config.trunk,
            state,
            roi=config.roi,
            alpha=config.alpha,
            mask_slack=config.mask_slack,
            proposals=config.proposals,
        )
        speed_up_depthwise(net)
        return net
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"--trunk {config.trunk}: {error}", "trunk-unusable") from error
