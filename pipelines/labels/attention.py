"""Attention maps: where a picture shows each of its keywords, from a classifier that learned from keywords alone.

The trunk stays as ImageNet left it. Only a linear layer on its pooled features is trained. Once the features are
computed, the training takes seconds. Applied at every cell, the layer gives the log-odds of each keyword there.

The maps keep the sign of the log-odds (ours): a cell against a keyword tells as much as a cell for it. Log-odds of
different keywords are on one scale already. On pictures of animals and people, the mean inside the mask named this
share of the instances right: signed map 89 %, positive part 87 %, map divided by its own maximum 86 %.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deeplab.attention import AttentionNet
from deeplab.build import build_attention
from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.images import ImageFile, open_image
from pipelines.engine.distributed import choose_device
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import atomic_write, sha256_lines
from pipelines.labels.linear_probe import fit_probe
from pipelines.labels.plan import LabelPlan
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_weights import trunk_state

KeywordsOf = Mapping[str, Keywords]
"""image_id -> the keywords of the picture."""

ATTENTION = "attention.safetensors"
"""Name of the classifier's file in a label folder."""

_RECIPE = "1"  # part of the fingerprint: raise it when training or scaling changes
_TRAINING_SIZE = 448  # pixels, as in `_features`
_MAP_SIZES = (640,)  # pixels; adding 448 did not change the figures above
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
            features: [D, h, w] float32, the mean over the picture and its mirror image.
        """
        chosen = torch.tensor(keywords.positions, device=self.device) - 1  # the classifier has no output for background
        total: Tensor | None = None
        first: Tensor | None = None
        for size in _MAP_SIZES:
            with torch.inference_mode(), autocast(self.precision, self.device):
                features = _features(self.net, picture, size, self.device)
                evidence = self.net.classifier(features)[:, chosen]
            mean = (evidence[:1] + evidence[1:].flip(3)).float() / 2
            scaled = mean if total is None else F.interpolate(mean, total.shape[2:], mode="bilinear")
            total = scaled if total is None else total + scaled
            first = (features[0] + features[1].flip(2)).float() / 2 if first is None else first
        assert total is not None and first is not None
        maps: NDArray[np.float32] = (total[0] / (len(_MAP_SIZES) * self.unit)).cpu().numpy()
        seen: NDArray[np.float32] = first.cpu().numpy()
        return maps, seen

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
        content = save(tensors, metadata={"fingerprint": fingerprint})
        atomic_write(path, lambda file: file.write(content))


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
    state = trunk_state(resolve_trunk(config.trunk), config.trunk_weights)
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
    """
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in ("weight", "bias", "unit")}
    except (OSError, SafetensorError):
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

    Raises:
        ConfigError: The trunk cannot be used [trunk-unusable].
        InputError: No picture can be read [keywords-none].
    """
    device = device or torch.device("cpu")
    net = _new_net(trunk, len(classes.names), trunk_state, seed, device)
    readable, pooled = _pooled_features(net, images, sorted(keywords), events, precision)
    truth = torch.tensor(
        [[float(k in keywords[image_id].positions) for k in range(1, classes.n_outputs)] for image_id in readable]
    )
    _report_held_out(pooled, truth, seed, events)
    _set_classifier(net, *fit_probe(pooled.flatten(0, 1), truth.repeat_interleave(2, dim=0)))
    maps = AttentionMaps(net, 1.0, device, precision)
    some = readable[:: max(1, len(readable) // _SCALE_PICTURES)]
    peaks = [maps(open_image(images[image_id]), keywords[image_id]).max(axis=(1, 2)) for image_id in some]
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
    return net.prepare_for_inference().to(device)


def _bias(net: AttentionNet) -> Tensor:
    assert net.classifier.bias is not None
    return net.classifier.bias


def _set_classifier(net: AttentionNet, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        net.classifier.weight.copy_(weight.reshape(net.classifier.weight.shape))
        _bias(net).copy_(bias)


def _features(net: AttentionNet, picture: NDArray[np.uint8], size: int, device: torch.device) -> Tensor:
    """Return features [2, D, h, w] of a picture and its mirror image, scaled to about size x size pixels in all."""
    height, width = picture.shape[:2]
    scale = size / (height * width) ** 0.5
    sides = [max(64, round(side * scale / 32) * 32) for side in (height, width)]
    image = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
    image = F.interpolate(image, sides, mode="bilinear", antialias=True)
    features: Tensor = net.trunk(torch.cat([image, image.flip(3)]))[-1]
    return features


def _pooled_features(
    net: AttentionNet, images: Mapping[str, ImageFile], ids: Sequence[str], events: Events, precision: str
) -> tuple[list[str], Tensor]:
    """Return the ids of the M readable pictures, and mean features [M, 2, D] of each and its mirror image.

    The features are on the CPU.
    """
    device = net.classifier.weight.device
    readable, pooled = [], []
    with events.progress(len(ids), "attention") as progress, torch.inference_mode():
        for image_id in ids:
            try:
                picture = open_image(images[image_id])
            except InputError as error:
                events.warn(f"attention: left out {error}")
            else:
                with autocast(precision, device):
                    features = _features(net, picture, _TRAINING_SIZE, device)
                pooled.append(features.float().mean(dim=(2, 3)).cpu())
                readable.append(image_id)
            progress.advance()
    if not readable:
        raise InputError(
            f"{len(ids)} pictures with keywords: none can be read, at least one expected; restore them", "keywords-none"
        )
    return readable, torch.stack(pooled).clone()  # a tensor of inference mode cannot be trained on, its clone can


def _report_held_out(pooled: Tensor, truth: Tensor, seed: int, events: Events) -> None:
    """Log how many keywords of held-out pictures a classifier gets right that learned from the others.

    Args:
        pooled: [M, 2, D] features of pictures and their mirror images.
        truth: [M, C] of 0 and 1, the keywords.
        seed: Chooses the held-out pictures.
        events: Where the log line goes.
    """
    held_out = round(_HELD_OUT * len(pooled))
    if held_out < _FEWEST_HELD_OUT:
        return
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pooled)))
    test, rest = order[:held_out], order[held_out:]
    weight, bias = fit_probe(pooled[rest].flatten(0, 1), truth[rest].repeat_interleave(2, dim=0))
    right = ((pooled[test, 0] @ weight.T + bias > 0) == (truth[test] > 0)).float()
    whole = right.amin(dim=1).mean()
    events.info(
        f"attention: on {held_out} held-out pictures {100 * right.mean():.1f} % of keywords are right, "
        f"and {100 * whole:.1f} % of pictures are right in every keyword"
    )
