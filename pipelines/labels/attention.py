"""Maps of where a picture shows each of its keywords, from a classifier that learned from the keywords alone.

The trunk stays as ImageNet left it; only a linear layer on its pooled features is trained, which takes seconds once the
features are there. Applied at every cell, the layer gives the log-odds of each keyword there. These are kept with
their sign: a cell that speaks against a keyword tells as much as one that speaks for it (on pictures of animals and
people, the mean of the signed map named 89 % of the instances, that of its positive part 87 %). Being log-odds, the
maps of different keywords are on one scale already; dividing each by its own maximum made more mistakes (86 %).
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
from pipelines.data.classes import ClassList, Keywords
from pipelines.data.images import ImageFile, open_image
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.files import atomic_write, sha256_lines
from pipelines.labels.linear_probe import fit_probe

KeywordsOf = Mapping[str, Keywords]
"""image_id -> the keywords of the picture."""

ATTENTION = "attention.safetensors"
"""The file of a classifier in the label folder that it was trained for."""

_RECIPE = "1"  # part of the fingerprint: raise it when training or scaling changes
_TRAINING_SIZE = 448
_MAP_SIZES = (640,)  # mirror images are averaged as well; adding 448 changed nothing in the measurement above
_HELD_OUT = 0.1
_FEWEST_HELD_OUT = 10
_SCALE_PICTURES = 64


@dataclass(frozen=True)
class AttentionMaps:
    """A trained classifier as a function of a picture.

    Attributes:
        net: Its classifier holds one output for each class.
        unit: What counts as 1 in the maps: the highest log-odds of a keyword in a picture that has it, on average.
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
            [K, h, w] in units of `unit`, on one scale for all keywords; 0 says nothing, below 0 speaks against.
        """
        return self.look(picture, keywords)[0]

    def look(self, picture: NDArray[np.uint8], keywords: Keywords) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the maps of a picture, and the features that they come from.

        Args:
            picture: [H, W, 3] RGB.
            keywords: The picture's K keywords.

        Returns:
            The maps [K, h, w] as of a call, and features [D, h, w] of the first size, the mirror image averaged in.
        """
        chosen = torch.tensor(keywords.positions, device=self.device) - 1  # it has no output for background
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
        """Write the classifier, without the trunk, atomically."""
        classifier = self.net.classifier
        tensors = {
            "weight": classifier.weight.detach().cpu().contiguous(),
            "bias": _bias(self.net).detach().cpu(),
            "unit": torch.tensor(self.unit, dtype=torch.float64),
        }
        content = save(tensors, metadata={"fingerprint": fingerprint})
        atomic_write(path, lambda file: file.write(content))


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
    """Read a classifier that `AttentionMaps.save` wrote; None if there is none, or one made from something else."""
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
        images: image_id -> path.
        keywords: image_id -> keywords; these pictures are trained on. Those that cannot be read are left out.
        classes: The classifier's outputs.
        trunk: As in `build_attention`.
        trunk_state: Its weights; None: random.
        events: Receives progress and the accuracy on held-out pictures.
        seed: Chooses the held-out pictures, and the trunk's weights if they are random.
        device: Where to compute; None: the CPU.
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
    # A classifier that learned nothing has no evidence to scale by.
    return AttentionMaps(net, max(float(np.concatenate(peaks).mean()), 1e-3), device, precision)


def _new_net(
    trunk: str, n_classes: int, trunk_state: dict[str, Tensor] | None, seed: int, device: torch.device
) -> AttentionNet:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(seed)
        try:
            net = build_attention(trunk, n_classes, trunk_state)
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
    """Return features [2, D, h, w] of a picture and its mirror image, scaled to an area of about size x size."""
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
    """Return the ids that can be read, and features [M, 2, D] of each picture and its mirror image, on the CPU."""
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
    return readable, torch.stack(pooled).clone()  # cloned: an ordinary tensor, which can be trained on


def _report_held_out(pooled: Tensor, truth: Tensor, seed: int, events: Events) -> None:
    """Tell how many keywords of unseen pictures a classifier gets right that is trained on the others."""
    held_out = round(_HELD_OUT * len(pooled))
    if held_out < _FEWEST_HELD_OUT:
        return
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pooled)))
    test, rest = order[:held_out], order[held_out:]
    weight, bias = fit_probe(pooled[rest].flatten(0, 1), truth[rest].repeat_interleave(2, dim=0))
    right = ((pooled[test, 0] @ weight.T + bias > 0) == (truth[test] > 0)).float()
    whole = right.amin(dim=1).mean()
    events.info(
        f"attention: {100 * right.mean():.1f} % of keywords right on {held_out} held-out pictures, "
        f"{100 * whole:.1f} % of pictures entirely"
    )
