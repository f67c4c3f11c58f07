"""Trained networks as functions of a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deeplab import DeepLab, MultiScale, build_deeplab, predict_probabilities
from pipelines.data.classes import ClassList
from pipelines.data.images import open_image
from pipelines.data.label_crops import reduced_size
from pipelines.data.transforms import to_network
from pipelines.data.working_size import WorkingSize
from pipelines.engine.checkpoint import weights_file
from pipelines.engine.distributed import choose_device
from pipelines.engine.precision import autocast
from pipelines.errors import ConfigError, InputError
from pipelines.networks.build import new_s4net
from pipelines.networks.network_file import (
    deeplab_checkpoint,
    kind_of_network,
    load_weights,
    require_buildable,
    s4net_checkpoint,
)
from pipelines.networks.picture_results import PictureInstances
from pipelines.stores.paths import to_path
from s4net import S4Net
from s4net.instances import RawDetections
from s4net.mirror import MirrorReader, can_mirror
from s4net.postprocess import least_objectness, to_picture

Picture = str | Path | Image.Image | NDArray[np.uint8]


def load_s4net(
    weights: str | Path, *, min_score: float = 0.0, flip: bool = False, device: str = "auto", precision: str = "auto"
) -> "S4NetPredictor":
    """Load a trained S4Net.

    Args:
        weights: Run folder (its best checkpoint, else the last), checkpoint, or `builtin` for the network that ships.
        min_score: Boxes whose instances cannot reach this score do not reach the mask branch. This saves their time.
            Instances with a lower score may still be among those returned.
        flip: Whether to read the mirror image too, for twice the time.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32 or bf16.

    Raises:
        InputError: There is no checkpoint, or one of another kind.
        ConfigError: With `flip`, mirror images have other anchors in this network [flip-unusable].
    """
    path = weights_file(to_path(weights))
    config, content = s4net_checkpoint(path)
    require_buildable(path, content["model"], lambda: new_s4net(config, pretrained=False))
    net = new_s4net(config, pretrained=False)
    load_weights(net, content["model"], path)
    if flip and not can_mirror(net.anchors, config.image_size):
        raise ConfigError(
            f"--flip: {path} is of preset {config.preset} at {config.image_size} pixels, whose mirror image has other "
            "anchors, one with anchors at the centres of cells and a multiple of 64 pixels expected; leave it out",
            "flip-unusable",
        )
    return S4NetPredictor(net, config.image_size, min_score, flip, device, precision)


class S4NetPredictor:
    """A callable: picture -> Instances at picture size.

    Attributes:
        net: The network, ready for inference.
        image_size: Side of the network's input in pixels.
        min_score: See `load_s4net`.
        device: Device of the network.
        precision: auto, fp32 or bf16.
    """

    def __init__(self, net: S4Net, image_size: int, min_score: float, flip: bool, device: str, precision: str) -> None:
        """Prepare the network for inference; see `load_s4net`."""
        self.device, self.precision = choose_device(device), precision
        self.image_size, self.min_score = image_size, min_score
        self.net = net.to(self.device).prepare_for_inference()
        self._reader = MirrorReader(self.net) if flip else self.net
        # The first call packs weights for pictures of this size. That shall be this call and not the user's.
        self._detect(torch.zeros(1, 3, image_size, image_size, device=self.device), least=0.0)

    @overload
    def __call__(self, picture: Picture) -> PictureInstances: ...

    @overload
    def __call__(self, picture: list[Picture]) -> list[PictureInstances]: ...

    def __call__(self, picture: Picture | list[Picture]) -> PictureInstances | list[PictureInstances]:
        """Find the salient instances.

        Args:
            picture: File, PIL picture, or uint8 array [H, W, 3] RGB; or a list of these.

        Returns:
            Instances at picture size (H, W), best first; for a list of pictures a list of them.
        """
        return [self._find(one) for one in picture] if isinstance(picture, list) else self._find(picture)

    def together(self, pictures: Sequence[Picture]) -> list[PictureInstances]:
        """Find the salient instances of several pictures in one pass of the network.

        Sums are rounded otherwise in a batch. Scores differ from those of single pictures by less than 1e-6 in fp32,
        and by about 0.01 in bf16.

        Args:
            pictures: One or more pictures of any sizes, see `__call__`.

        Returns:
            What `__call__` returns for each.
        """
        pixels = [as_pixels(picture) for picture in pictures]
        sizes = [(one.shape[0], one.shape[1]) for one in pixels]
        images = [
            to_network(WorkingSize.of(size).reduce(one), self.image_size)
            for size, one in zip(sizes, pixels, strict=True)
        ]
        # The network drops boxes by objectness, before it knows their masks. A sure mask raises the score.
        gate = least_objectness(self.min_score, self.net.settings.mask_trust)
        raw = self._detect(torch.stack(images).to(self.device).float() / 255, gate)
        with torch.inference_mode():
            return [self._pasted(one, size) for one, size in zip(raw, sizes, strict=True)]

    def _find(self, picture: Picture) -> PictureInstances:
        return self.together([picture])[0]

    def _pasted(self, raw: RawDetections, size: tuple[int, int]) -> PictureInstances:
        found = to_picture(raw, self.image_size, size, self.net.settings.mask_slack)
        return PictureInstances(found.boxes, found.scores, found.masks)

    def _detect(self, images: Tensor, least: float) -> list[RawDetections]:
        with torch.inference_mode(), autocast(self.precision, self.device):
            return self._reader.detect(images.contiguous(memory_format=torch.channels_last), least)


def load_deeplab(
    weights: str | Path, *, ignore_presence: bool = False, device: str = "auto", precision: str = "auto"
) -> "DeepLabPredictor":
    """Load a trained DeepLab.

    Args:
        weights: Run folder (its best checkpoint, else the last) or checkpoint.
        ignore_presence: Whether pixels alone decide. Else the network holds down the classes that it does not see in
            the picture as a whole, which is of no use where it is known what a picture shows.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32 or bf16.

    Raises:
        InputError: There is no checkpoint, or one of another kind.
    """
    path = weights_file(to_path(weights))
    classes, content = deeplab_checkpoint(path)
    net: DeepLab | MultiScale = build_deeplab(content["network"], classes.n_outputs)
    if content["multi_scale"]:
        net = MultiScale(cast(DeepLab, net))
    load_weights(net, content["model"], path)
    if ignore_presence and isinstance(net, DeepLab):  # at several scales a network never asks
        net = net.without_presence()
    return DeepLabPredictor(net, classes, content["longest_side"], device, precision)


class DeepLabPredictor:
    """A callable: picture -> label map.

    Attributes:
        classes: The classes that the network knows.
    """

    def __init__(
        self, net: DeepLab | MultiScale, classes: ClassList, longest_side: int, device: str, precision: str
    ) -> None:
        """Prepare the network for inference; see `load_deeplab`."""
        self.classes, self.longest_side = classes, longest_side
        self.device, self.precision = choose_device(device), precision
        net.to(self.device).eval().prepare_for_inference()
        self.net = net

    def probabilities(
        self, picture: Picture, scales: tuple[float, ...] = (1.0,), flip: bool = False
    ) -> NDArray[np.float32]:
        """Return class probabilities [n, H, W], background first, averaged over scales and mirror image.

        A picture larger than those of the training is reduced first. The result has the size of the picture.
        """
        pixels = as_pixels(picture)
        reduction = reduced_size(pixels.shape[0], pixels.shape[1], self.longest_side)[0] / pixels.shape[0]
        image = torch.from_numpy(pixels).permute(2, 0, 1).to(self.device).float() / 255
        with torch.inference_mode(), autocast(self.precision, self.device):
            result: Tensor = predict_probabilities(self.net, image, [s * reduction for s in scales], flip)
        return result.float().cpu().numpy()

    @property
    def class_names(self) -> dict[int, str]:
        """The name behind each number of a label map; 0 is the background."""
        return {0: "background", **dict(zip(self.classes.indices, self.classes.names, strict=True))}

    @overload
    def __call__(self, picture: Picture) -> NDArray[np.uint8]: ...

    @overload
    def __call__(self, picture: list[Picture]) -> list[NDArray[np.uint8]]: ...

    def __call__(self, picture: Picture | list[Picture]) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Label a picture, or each of a list.

        Args:
            picture: File, PIL picture, or uint8 array [H, W, 3] RGB; or a list of these.

        Returns:
            Label map [H, W] uint8 in palette indices of `classes`, named by `class_names`; or a list of them.
        """
        return [self._label(one) for one in picture] if isinstance(picture, list) else self._label(picture)

    def _label(self, picture: Picture) -> NDArray[np.uint8]:
        pixels = as_pixels(picture)
        size = WorkingSize.of((pixels.shape[0], pixels.shape[1]))
        label_map = self.probabilities(size.reduce(pixels)).argmax(axis=0).astype(np.uint8)
        return size.enlarge(self.classes.to_palette(label_map))


def network_kind(weights: Path) -> str:
    """Return what a run or checkpoint holds: `s4net` or `deeplab`.

    Raises:
        InputError: There is no checkpoint, or one of neither network.
    """
    return kind_of_network(weights_file(weights))


def as_pixels(picture: Picture) -> NDArray[np.uint8]:
    """Return any accepted picture as uint8 [H, W, 3] RGB.

    Raises:
        InputError: The file cannot be opened, or the array is not uint8 [H, W, 3].
    """
    if isinstance(picture, str | Path):
        return open_image(to_path(picture))
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(
            f"array: {picture.dtype} of shape {picture.shape} found, uint8 [H, W, 3] RGB expected; convert it",
            "image-array",
        )
    return picture
