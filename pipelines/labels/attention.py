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
from s4net.cpu import make_fast

KeywordsOf = Mapping[str, Keywords]
"""image_id -> the keywords of the picture."""

ATTENTION = "attention.safetensors"
"""Name of the classifier's file in a label folder."""

_RECIPE = "2"  # part of the fingerprint: raise it when training or scaling changes
_SIZE = 512  # pixels, as in `_features`; label mIoU of 200 pictures: 76.2 at 384, 77.7 at 448, 77.9 at 512 and at 640
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

    def peaks(self, seen: Tensor, keywords: Keywords) -> Tensor:
        """Return the highest value [K] of each map, given the features [D, h, w] of `look`."""
        with torch.inference_mode():
            return self._log_odds(seen, keywords).amax(dim=(1, 2)) / self.unit

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
    readable, pooled, whole = _pooled_features(net, images, sorted(keywords), events, precision)
    truth = torch.tensor(
        [[float(k in keywords[image_id].positions) for k in range(1, classes.n_outputs)] for image_id in readable]
    )
    _report_held_out(pooled, truth, seed, events)
    _set_classifier(net, *fit_probe(pooled, truth))
    maps = AttentionMaps(net, 1.0, device, precision)
    peaks = torch.cat([maps.peaks(seen.to(device), keywords[image_id]) for image_id, seen in whole.items()])
    # The lower limit is for a classifier that learned nothing: its log-odds are all about 0.
    return AttentionMaps(net, max(float(peaks.mean()), 1e-3), device, precision)


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
    sides = [max(64, round(side * scale / 32) * 32) for side in (height, width)]
    image = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
    image = F.interpolate(image, sides, mode="bilinear", antialias=True)
    with autocast(precision, device):
        features: Tensor = net.trunk(image)[-1][0]
    return features.float()


def _pooled_features(
    net: AttentionNet, images: Mapping[str, ImageFile], ids: Sequence[str], events: Events, precision: str
) -> tuple[list[str], Tensor, dict[str, Tensor]]:
    """Return the features of all readable pictures, on the CPU.

    Returns:
        readable: Ids of the M readable pictures.
        pooled: [M, D], the mean features of each picture.
        whole: image_id -> features [D, h, w] of some _SCALE_PICTURES of the pictures, as `AttentionMaps.look` gives.
    """
    device = net.classifier.weight.device
    readable, pooled = [], []
    whole: dict[str, Tensor] = {}
    some = set(ids[:: max(1, len(ids) // _SCALE_PICTURES)])
    with events.progress(len(ids), "attention") as progress, torch.inference_mode():
        for image_id in ids:
            try:
                picture = open_image(images[image_id])
            except InputError as error:
                events.warn(f"attention: left out {error}")
            else:
                features = _features(net, picture, device, precision)
                pooled.append(features.mean(dim=(1, 2)).cpu())
                readable.append(image_id)
                if image_id in some or not whole:  # at least one
                    whole[image_id] = features.cpu()
            progress.advance()
    if not readable:
        raise InputError(
            f"{len(ids)} pictures with keywords: none can be read, at least one expected; restore them", "keywords-none"
        )
    # A tensor of inference mode cannot be trained on, its clone can.
    return readable, torch.stack(pooled).clone(), whole


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
