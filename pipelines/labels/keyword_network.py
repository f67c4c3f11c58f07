"""Opens the networks that judge keywords: the attention network of a label folder, and ImageNet's classifier."""

from torch import Tensor

from pipelines.config import PseudoLabelConfig
from pipelines.engine.distributed import choose_device
from pipelines.events import Events
from pipelines.labels.attention import ATTENTION, AttentionMaps, attention_fingerprint, load_attention, train_attention
from pipelines.labels.plan import LabelPlan
from pipelines.labels.recognizer import Recognizer
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state


def open_attention(config: PseudoLabelConfig, plan: LabelPlan, events: Events) -> AttentionMaps:
    """Return the attention network of a label folder: read from its file, or trained now and written there.

    Shards that start together each train the network, and all write the same file.

    Args:
        config: Settings of the labels, with the label folder.
        plan: The pictures and keywords to train on.
        events: Receives progress of the training.

    Raises:
        ConfigError: The trunk is unknown [trunk-unusable].
        InputError: No picture can be read [keywords-none].
    """
    state = _trunk_state(config)
    device = choose_device(config.device)
    path = config.out / ATTENTION
    fingerprint = attention_fingerprint(plan.keywords, plan.classes, config.trunk, state, config.seed)
    network = (plan.classes, config.trunk, state)
    loaded = load_attention(path, fingerprint, *network, config.seed, device, config.precision)
    if loaded is not None:
        return loaded
    trained = train_attention(
        plan.images, plan.keywords, *network, events, config.seed, device=device, precision=config.precision
    )
    trained.save(path, fingerprint)
    return trained


def open_recognizer(config: PseudoLabelConfig) -> Recognizer:
    """Return ImageNet's classifier for `--recognise`, with the weights of `--trunk-weights`.

    Raises:
        ConfigError: The trunk is unknown [trunk-unusable], or the weights hold no classifier [recognise-unusable].
    """
    return Recognizer(config.trunk, _trunk_state(config), choose_device(config.device), config.precision)


def _trunk_state(config: PseudoLabelConfig) -> dict[str, Tensor] | None:
    return trunk_state(resolve_trunk(config.trunk), config.trunk_weights)
