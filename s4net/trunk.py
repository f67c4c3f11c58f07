"""The ImageNet network under the FPN: any timm model that yields features."""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Features of an ImageNet network at the given strides, with BatchNorm frozen for ever.

    The released S4Net freezes statistics and affine parameters of BatchNorm; every convolution learns. With batches of
    a few pictures nothing else is stable. `freeze_below` stops learning in the first stages too: early ImageNet
    filters are generic, and gradients of their large maps are expensive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        strides: Sequence[int] = (8, 16, 32),
        state: dict[str, Tensor] | None = None,
        freeze_below: int = 0,
    ) -> None:
        """Build the timm network.

        Args:
            name: timm's name of the network.
            strides: Strides of the maps to return.
            state: Weights in timm's naming, with or without the classifier. None: random.
            freeze_below: Stride below which stages do not learn; 0: all learn.

        Raises:
            ValueError: The network has no map of one of the strides, or the weights do not fit.
        """
        super().__init__()
        everything: Any = timm.create_model(name, features_only=True, pretrained=False).feature_info
        reductions = everything.reduction()
        missing = [s for s in strides if s not in reductions]
        if missing:
            raise ValueError(f"trunk {name} has features of stride {reductions}, {missing} are needed")
        taps = [reductions.index(s) for s in strides]
        self.net: Any = timm.create_model(name, features_only=True, pretrained=False, out_indices=taps)
        self.strides = tuple(strides)
        self.channels: tuple[int, ...] = tuple(everything.channels(taps))
        config = timm.get_pretrained_cfg(name)
        mean, std = (config.mean, config.std) if config is not None else (IMAGENET_MEAN, IMAGENET_STD)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        if state is not None:
            self._load(state)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self._freeze_early([i["module"] for i in everything.info if i["reduction"] < freeze_below])

    def _load(self, state: dict[str, Tensor]) -> None:
        own = self.net.state_dict()
        flat = {_flat(key): value for key, value in state.items()}
        absent = [key for key in own if _flat(key) not in flat]
        if absent:
            raise ValueError(f"trunk weights lack {len(absent)} of {len(own)} tensors, first {absent[0]}")
        self.net.load_state_dict({key: flat[_flat(key)] for key in own})

    def _freeze_early(self, stages: list[str]) -> None:
        if not stages:
            return
        stage = _flat(stages[-1])
        names = [_flat(name) for name, _ in self.net.named_modules()]  # in the order of execution, parents first
        last = max(i for i, name in enumerate(names) if name == stage or name.startswith(stage + "_"))
        for _, module in list(self.net.named_modules())[: last + 1]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> "Trunk":
        """Set training mode, with BatchNorm kept in evaluation mode."""
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one [B, C, S / stride, S / stride] map per stride for images [B, 3, S, S] in 0..1."""
        features: list[Tensor] = self.net((images - self.mean) / self.std)
        return features


def _flat(name: str) -> str:
    """Return the name of a module or parameter as timm spells it where it cuts stages: "stages.0" -> "stages_0"."""
    return name.replace(".", "_")
