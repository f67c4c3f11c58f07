"""Attention maps: where a picture shows each of its keywords, from a classifier that learned from keywords alone.

The trunk stays as ImageNet left it. Only a linear layer on its pooled features is trained. Once the features are
computed, the training takes seconds. Applied at every cell, the layer gives the log-odds of each keyword there.

The maps keep the sign of the log-odds (ours): a cell against a keyword tells as much as a cell for it. Log-odds of
different keywords are on one scale already. On pictures of animals and people, the mean inside the mask named this
share of the instances right: signed map 89 %, positive part 87 %, map divided by its own maximum 86 %.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from deeplab.attention import AttentionNet
from deeplab.build import build_attention
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.images import ImageFile, open_working_picture
from pipelines.engine.checkpoint import tensors_sha256
from pipelines.engine.distributed import choose_device
from pipelines.engine.picture_steps import Step, one_by_one
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError, InputError, MachineError
from pipelines.events import Events
from pipelines.files import atomic_write, sha256_lines
from pipelines.labels.linear_probe import fit_probe
from pipelines.labels.plan import LabelPlan
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state
from pipelines.regular_files import require_regular
from pipelines.stores.paths import local_copy
from s4net.cpu import make_fast

KeywordsOf = Mapping[str, Keywords]
"""image_id -> the keywords of the picture."""

ATTENTION = "attention.safetensors"
"""Name of the classifier's file in a label folder."""

_RECIPE = "2"  # part of the fingerprint: raise it when training or scaling changes
_SIZE = 512  # pixels, as in `_features`; label mIoU of 200 pictures: 76.2 at 384, 77.7 at 448, 77.9 at 512 and at 640
_MOST_SIDE = 8192  # pixels; with a shorter side of 64, twice the area of _SIZE x _SIZE
_HELD_OUT = 0.1  # share of the pictures
_FEWEST_HELD_OUT = 10  # pictures; of fewer, no accuracy is reported
_SCALE_PICTURES = 64  # about how many pictures `unit` is measured on


@dataclass(frozen=True)
class AttentionMaps:
    """A trained attention network, as a function of a picture and its keywords.

    Attributes:
        net: The network; its classifier has one output for each class and none for background.
        unit: Log-odds that count as 1 in the maps: the highest of a keyword in a picture that has it, on average.
        device: Where to compute.
        precision: `auto`, `fp32` or `bf16`.
    """

    net: AttentionNet
    unit: float
    device: torch.device
    precision: str

    def __call__(self, picture: NDArray[np.uint8], keywords: Keywords) -> NDArray[np.float32]:
        """Return the maps of a picture.

        Args:
            picture: [H, W, 3] RGB.
            keywords: The picture's K keywords.

        Returns:
            [K, h, w] float32 in units of `unit`, on one scale for all keywords. Values above 0 speak for the keyword,
            values below 0 against it.
        """
        return self.look(picture, keywords)[0]

    def look(self, picture: NDArray[np.uint8], keywords: Keywords) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the maps of a picture, and the features that they come from.

        Args:
            picture: [H, W, 3] RGB.
            keywords: The picture's K keywords.

        Returns:
            maps: [K, h, w], see `__call__`.
            features: [D, h, w] float32.
        """
        with torch.inference_mode():
            seen = _features(self.net, picture, self.device, self.precision)
            maps = self._log_odds(seen, keywords) / self.unit
        return maps.cpu().numpy(), seen.cpu().numpy()

    def _log_odds(self, seen: Tensor, keywords: Keywords) -> Tensor:
        """Return the log-odds [K, h, w] of the keywords at every cell of features [D, h, w] float32."""
        # The classifier has no output for background.
        chosen = torch.tensor(keywords.positions, device=self.device) - 1
        return F.conv2d(seen, self.net.classifier.weight[chosen], _bias(self.net)[chosen])

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the classifier, without the trunk, atomically.

        Args:
            path: The file.
            fingerprint: See `attention_fingerprint`.
        """
        classifier = self.net.classifier
        tensors = {
            "weight": classifier.weight.detach().cpu().contiguous(),
            "bias": _bias(self.net).detach().cpu(),
            "unit": torch.tensor(self.unit, dtype=torch.float64),
        }
        content = save(tensors, metadata={"fingerprint": f"{fingerprint} {tensors_sha256(tensors)}"})
        atomic_write(path, lambda file: file.write(content))


class AttentionSteps:
    """What the training of the classifier needs to know of single pictures."""

    def __init__(
        self, net: AttentionNet, images: Mapping[str, ImageFile], keywords: KeywordsOf, precision: str = "auto"
    ) -> None:
        """Take what is the same for all pictures."""
        self.net, self.images, self.keywords, self.precision = net, images, keywords, precision

    @classmethod
    def opened(cls, config: PseudoLabelConfig, plan: LabelPlan) -> "AttentionSteps":
        """Return the steps for the network and the pictures of a label folder."""
        state = trunk_state(resolve_trunk(config.trunk), config.trunk_weights)
        device = choose_device(config.device)
        net = _new_net(config.trunk, len(plan.classes.names), state, config.seed, device)
        return cls(net, plan.images, plan.keywords, config.precision)

    def pooled(self, image_id: str, _: None) -> NDArray[np.float32]:
        """Return the mean features [D] of a picture."""
        picture, _size = open_working_picture(self.images[image_id])
        with torch.inference_mode():
            features = _features(self.net, picture, self.net.classifier.weight.device, self.precision)
        pooled: NDArray[np.float32] = features.mean(dim=(1, 2)).cpu().numpy()
        return pooled

    def peaks(self, image_id: str, classifier: tuple[NDArray[np.float32], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the highest log-odds [K] of a picture's keywords, given weights [C, D] and biases [C]."""
        _set_classifier(self.net, *map(torch.from_numpy, classifier))
        maps = AttentionMaps(self.net, 1.0, self.net.classifier.weight.device, self.precision)
        picture, _size = open_working_picture(self.images[image_id])
        peaks: NDArray[np.float32] = maps(picture, self.keywords[image_id]).max(axis=(1, 2))
        return peaks


Passes = Callable[[Step[AttentionSteps, Any, Any], Sequence[tuple[str, Any]]], Iterator[tuple[str, Any]]]
"""(step, [(image_id, what is given for the picture)]) -> answers, see `PictureWorkers.answers`."""


def open_attention(
    config: PseudoLabelConfig, plan: LabelPlan, events: Events, passes: Passes | None = None
) -> AttentionMaps:
    """Return the attention network of a label folder: read from its file, or trained now and written there.

    Shards that start together each train the network, and all write the same file.

    Args:
        config: Settings of the labels, with the label folder.
        plan: The pictures and keywords to train on.
        events: Receives progress of the training.
        passes: Does the steps of the training; None to do them here.

    Raises:
        ConfigError: The trunk is unknown [trunk-unusable].
        InputError: No picture can be read [keywords-none].
    """
    state, fingerprint = _trunk_of(config, plan)
    stored = _stored(config, plan, state, fingerprint)
    if stored is not None:
        return stored
    given = plan.images, plan.keywords, plan.classes, config.trunk, state, events, config.seed
    trained = train_attention(*given, choose_device(config.device), config.precision, passes)
    trained.save(config.out / ATTENTION, fingerprint)
    return trained


def stored_attention(config: PseudoLabelConfig, plan: LabelPlan) -> AttentionMaps | None:
    """Read the attention network of a label folder; return None if it was not trained yet, or with other settings."""
    return _stored(config, plan, *_trunk_of(config, plan))


def _trunk_of(config: PseudoLabelConfig, plan: LabelPlan) -> tuple[dict[str, Tensor] | None, str]:
    """Return the weights of the trunk, and the fingerprint of the classifier on them."""
    state = trunk_state(resolve_trunk(config.trunk), config.trunk_weights)
    return state, attention_fingerprint(plan.keywords, plan.classes, config.trunk, state, config.seed)


def _stored(
    config: PseudoLabelConfig, plan: LabelPlan, state: dict[str, Tensor] | None, fingerprint: str
) -> AttentionMaps | None:
    """Read the attention network of a label folder, as `stored_attention` does."""
    network = plan.classes, config.trunk, state, config.seed
    return load_attention(config.out / ATTENTION, fingerprint, *network, choose_device(config.device), config.precision)


def attention_fingerprint(
    keywords: KeywordsOf, classes: ClassList, trunk: str, trunk_state: Mapping[str, Tensor] | None, seed: int
) -> str:
    """Hash everything that the classifier depends on, apart from the pictures themselves."""
    digest = hashlib.sha256()
    for name, tensor in sorted((trunk_state or {}).items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    lines = [_RECIPE, trunk, digest.hexdigest(), str(seed), ";".join(classes.names)]
    return sha256_lines(
        [*lines, *(f"{image_id},{';'.join(keywords[image_id].names)}" for image_id in sorted(keywords))]
    )


def load_attention(
    path: Path,
    fingerprint: str,
    classes: ClassList,
    trunk: str,
    trunk_state: dict[str, Tensor] | None,
    seed: int,
    device: torch.device,
    precision: str = "auto",
) -> AttentionMaps | None:
    """Read a classifier that `AttentionMaps.save` wrote.

    Returns:
        None if the file is missing or damaged, or if its fingerprint is another one.

    Raises:
        MachineError: The store that the file lies in does not answer.
    """
    try:
        require_regular(path)
        with local_copy(path) as copy, safe_open(copy, framework="pt") as file:
            # One entry for both: entries of a header have no order, and equal networks shall give equal bytes.
            written, _, sha256 = (file.metadata() or {}).get("fingerprint", "").partition(" ")
            if written != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in ("weight", "bias", "unit")}
    except (MachineError, MemoryError):  # of a store or this machine: the network may be whole
        raise
    except Exception:  # the reader's own errors, and those of types that torch does not know
        return None
    if sha256 and sha256 != tensors_sha256(tensors):  # older files are without
        return None
    net = _new_net(trunk, len(classes.names), trunk_state, seed, device)
    _set_classifier(net, tensors["weight"], tensors["bias"])
    return AttentionMaps(net, float(tensors["unit"]), device, precision)


def train_attention(
    images: Mapping[str, ImageFile],
    keywords: KeywordsOf,
    classes: ClassList,
    trunk: str,
    trunk_state: dict[str, Tensor] | None,
    events: Events,
    seed: int,
    device: torch.device | None = None,
    precision: str = "auto",
    passes: Passes | None = None,
) -> AttentionMaps:
    """Train the classifier on image-level keywords; no mask is involved.

    Args:
        images: image_id -> file.
        keywords: image_id -> keywords, of all pictures to train on. Pictures that cannot be read are left out.
        classes: One output of the classifier for each.
        trunk: As in `resolve_trunk`.
        trunk_state: Weights of the trunk; None for random ones.
        events: Receives progress and the accuracy on held-out pictures.
        seed: Chooses the held-out pictures, and the trunk's weights if they are random.
        device: Where to compute; None for the CPU.
        precision: `auto`, `fp32` or `bf16`.
        passes: Does the steps of the training; None to do them here.

    Raises:
        ConfigError: The trunk cannot be used [trunk-unusable].
        InputError: No picture can be read [keywords-none].
    """
    device = device or torch.device("cpu")
    net = _new_net(trunk, len(classes.names), trunk_state, seed, device)
    steps = AttentionSteps(net, images, keywords, precision)
    passes = passes or (lambda step, items: one_by_one(step, steps, items))
    readable, pooled = _pooled_features(sorted(keywords), events, passes)
    truth = torch.tensor(
        [[float(k in keywords[image_id].positions) for k in range(1, classes.n_outputs)] for image_id in readable]
    )
    _report_held_out(pooled, truth, seed, events)
    weight, bias = fit_probe(pooled, truth)
    _set_classifier(net, weight, bias)
    some = readable[:: max(1, len(readable) // _SCALE_PICTURES)]
    given = weight.numpy(), bias.numpy()
    peaks = [_result(peak) for _, peak in passes(AttentionSteps.peaks, [(image_id, given) for image_id in some])]
    # The lower limit is for a classifier that learned nothing: its log-odds are all about 0.
    return AttentionMaps(net, max(float(np.concatenate(peaks).mean()), 1e-3), device, precision)


def _new_net(
    trunk: str, n_classes: int, trunk_state: dict[str, Tensor] | None, seed: int, device: torch.device
) -> AttentionNet:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(seed)
        try:
            net = build_attention(resolve_trunk(trunk), n_classes, trunk_state)
        except ValueError as error:
            message = f"--trunk {trunk}: {error}; take another trunk or other --trunk-weights"
            raise ConfigError(message, "trunk-unusable") from error
    net.eval().requires_grad_(False).to(device)
    # Packed weights see no later change. So the classifier, which still learns, stays as it is.
    make_fast(net.trunk, net.trunk, net.trunk)
    return net


def _bias(net: AttentionNet) -> Tensor:
    assert net.classifier.bias is not None
    return net.classifier.bias


def _set_classifier(net: AttentionNet, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        net.classifier.weight.copy_(weight.reshape(net.classifier.weight.shape))
        _bias(net).copy_(bias)


def _features(net: AttentionNet, picture: NDArray[np.uint8], device: torch.device, precision: str) -> Tensor:
    """Return features [D, h, w] float32 of a picture, scaled to about _SIZE x _SIZE pixels in all."""
    height, width = picture.shape[:2]
    scale = _SIZE / (height * width) ** 0.5
    # A picture that is hundreds of times as long as wide is squashed: its area would grow with the shorter side.
    sides = [min(_MOST_SIDE, max(64, round(side * scale / 32) * 32)) for side in (height, width)]
    image = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
    image = F.interpolate(image, sides, mode="bilinear", antialias=True)
    with autocast(precision, device):
        features: Tensor = net.trunk(image)[-1][0]
    return features.float()


def _pooled_features(ids: Sequence[str], events: Events, passes: Passes) -> tuple[list[str], Tensor]:
    """Return the ids of the M readable pictures, and the mean features [M, D] of each."""
    readable, pooled = [], []
    with events.progress(len(ids), "attention") as progress:
        for image_id, features in passes(AttentionSteps.pooled, [(image_id, None) for image_id in ids]):
            if isinstance(features, InputError):
                events.warn(f"attention: left out {features}")
            else:
                pooled.append(torch.from_numpy(features))
                readable.append(image_id)
            progress.advance()
    if not readable:
        raise InputError(
            f"{len(ids)} pictures with keywords: none can be read, at least one expected; restore them", "keywords-none"
        )
    return readable, torch.stack(pooled)


def _result(answer: NDArray[np.float32] | InputError) -> NDArray[np.float32]:
    """Return the answer of a step, unless its picture cannot be used any more."""
    if isinstance(answer, InputError):
        raise answer
    return answer


def _report_held_out(pooled: Tensor, truth: Tensor, seed: int, events: Events) -> None:
    """Log how many keywords of held-out pictures a classifier gets right that learned from the others.

    Args:
        pooled: [M, D] features of pictures.
        truth: [M, C] of 0 and 1, the keywords.
        seed: Chooses the held-out pictures.
        events: Where the log line goes.
    """
    held_out = round(_HELD_OUT * len(pooled))
    if held_out < _FEWEST_HELD_OUT:
        return
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pooled)))
    test, rest = order[:held_out], order[held_out:]
    weight, bias = fit_probe(pooled[rest], truth[rest])
    right = ((pooled[test] @ weight.T + bias > 0) == (truth[test] > 0)).float()
    whole = right.amin(dim=1).mean()
    events.info(
        f"attention: on {held_out} held-out pictures {100 * right.mean():.1f} % of keywords are right, "
        f"and {100 * whole:.1f} % of pictures are right in every keyword"
    )
