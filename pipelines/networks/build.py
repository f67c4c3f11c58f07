"""Networks built anew, with ImageNet weights in their trunks."""

from collections.abc import Sequence

import torch

from deeplab import DeepLab, build_deeplab
from deeplab.multi_scale import MultiScale
from pipelines.config import DeepLabTrainConfig, TrainConfig
from pipelines.config.recipes import deeplab_recipe
from pipelines.data.classes import ClassList
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


def new_deeplab(
    config: DeepLabTrainConfig, classes: ClassList, pretrained: bool = True, pretrained_head: Sequence[str] = ()
) -> DeepLab | MultiScale:
    """Build the network of a run, with the scales of the recipe.

    Args:
        config: Settings of `s4 deeplab-train`.
        classes: The classes to tell apart.
        pretrained: Whether the trunk gets the weights of `--trunk-weights`. A network that is loaded next needs none.
        pretrained_head: Without these weights: layers of the head that they filled when the run began.

    Raises:
        ConfigError: The weights do not fit the trunk [trunk-unusable].
    """
    torch.manual_seed(config.seed)
    trunk = resolve_trunk(config.network)  # the networks are named after their trunks
    state = trunk_state(trunk, config.trunk_weights) if pretrained else None
    try:
        net = build_deeplab(config.network, classes.n_outputs, state)
    except ValueError as error:
        raise ConfigError(
            f"--trunk-weights {config.trunk_weights}: {error}; give the weights of {trunk}",
            "trunk-unusable",
        ) from error
    if pretrained_head:
        net = net.with_pretrained(pretrained_head)
    speed_up_depthwise(net)
    return MultiScale(net) if deeplab_recipe(config.network, config.recipe).multi_scale else net
