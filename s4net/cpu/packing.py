"""Convolutions whose weights lie ready for the processor, with the activation behind them in the same pass."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from .onednn import (
    ACTIVATIONS,
    NO_ACTIVATION,
    Geometry,
    PackedWeights,
    convolve,
    convolve_add_relu,
    pack,
    supported_types,
)

_PASSING_ON = (nn.Identity, nn.BatchNorm2d, nn.Dropout)


class PackedConv2d(nn.Conv2d):
    """A convolution for inference on a processor: weights in oneDNN's own layout, activation fused.

    An ordinary layer copies its weights into that layout in every call, and under autocast converts them to bf16 first.
    With one picture per call that is a third of the time of the late layers. A packed layer does it once for each type
    of numbers, in the first call; it does not see later changes of the weights. Results are those of the ordinary
    layer. The ordinary layer also does the work wherever oneDNN does not: on a GPU, in float64, where gradients are
    wanted, and with a torch that `supported_types` does not know.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        """Share weight and bias of `conv`, and apply `activation` (nn.ReLU, nn.ReLU6 or none) to what comes out."""
        # The parameters made on "meta" take no memory.
        super().__init__(conv.in_channels, conv.out_channels, 1, groups=conv.groups, device="meta")
        self.kernel_size, self.stride, self.dilation = conv.kernel_size, conv.stride, conv.dilation
        self.padding = conv.padding
        self.weight, self.bias = conv.weight, conv.bias
        self.activation = activation or nn.Identity()
        self._fused = ACTIVATIONS.get(type(self.activation), NO_ACTIVATION)
        self._geometry = Geometry(cast(tuple[int, ...], self.padding), self.stride, self.dilation, self.groups)
        self._types = supported_types()
        self._packed: dict[torch.dtype, PackedWeights | None] = {}

    def forward(self, input: Tensor) -> Tensor:
        """Map [B, C, H, W] to the activated result, in the type of autocast where that is on."""
        ready = self._ready(input)
        if ready is not None:
            return convolve(*ready, self._geometry, self._fused)
        result: Tensor = self.activation(super().forward(input))
        return result

    def add_relu(self, input: Tensor, other: Tensor) -> Tensor:
        """Return relu(convolution + other), without the layer's own activation.

        Args:
            input: [B, C, H, W].
            other: Summand of the shape of the result.
        """
        ready = self._ready(input)
        if ready is not None:
            x, packed = ready
            other = other.to(x.dtype).contiguous(memory_format=torch.channels_last)
            return convolve_add_relu(x, other, packed, self._geometry)
        return (super().forward(input) + other).relu()

    def _ready(self, input: Tensor) -> tuple[Tensor, PackedWeights] | None:
        """Return the input and the weights as oneDNN takes them; None where the ordinary layer does the work."""
        dtype = self._arithmetic(input)
        if dtype is None:
            return None
        x = input.to(dtype).contiguous(memory_format=torch.channels_last)
        if dtype not in self._packed:
            # A fused ReLU makes numbers of what is none, so weights that are not finite stay with the ordinary layer.
            finite = bool(self.weight.isfinite().all())
            self._packed[dtype] = pack(self.weight, self.bias, self._geometry, x) if finite else None
        packed = self._packed[dtype]
        return None if packed is None else (x, packed)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the packed weights, which cannot be copied: a copy packs its own."""
        return {**self.__dict__, "_packed": {}}

    def _arithmetic(self, x: Tensor) -> torch.dtype | None:
        """Return the type in which oneDNN is to compute; None where the ordinary layer does."""
        if torch.is_grad_enabled() or not x.is_cpu or x.dim() != 4 or not len(x) or torch.compiler.is_compiling():
            return None
        if torch.is_autocast_enabled("cpu") and x.dtype != torch.float64:
            dtype = torch.get_autocast_dtype("cpu")
        elif x.dtype == self.weight.dtype:
            dtype = x.dtype
        else:
            return None
        return dtype if dtype in self._types else None


@torch.no_grad()
def pack_convolutions(module: nn.Module, run: Callable[[], object]) -> int:
    """Replace the ordinary convolutions of a network by `PackedConv2d`, in place.

    An activation moves into the convolution before it where one forward pass shows two things: the activation reads
    nothing but the untouched results of that convolution, and no other module reads them. Readers that are no modules
    are not seen. Depthwise convolutions stay, because they gain nothing; those with hooks stay too.

    Args:
        module: Network in evaluation mode, best with BatchNorm folded.
        run: A function that does a forward pass of the whole network.

    Returns:
        Number of convolutions replaced.
    """
    behind = _activations_behind(module, run)
    convolutions = [(name, m) for name, m in module.named_modules() if _is_ordinary(m)]
    for name, conv in convolutions:
        parent, _, child = name.rpartition(".")
        own = copy.copy(behind[conv]) if conv in behind else None
        setattr(module.get_submodule(parent), child, PackedConv2d(cast(nn.Conv2d, conv), own))
    for activation in behind.values():
        activation.forward = nn.Identity().forward
    return len(convolutions)


def _is_ordinary(module: nn.Module) -> bool:
    # The exact type: timm's subclasses pad in ways of their own.
    if type(module) is not nn.Conv2d or module.groups > 1 or module._forward_hooks or module._forward_pre_hooks:
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _activations_behind(module: nn.Module, run: Callable[[], object]) -> dict[nn.Module, nn.Module]:
    """Return convolution -> activation for each pair that a forward pass shows to belong together."""
    made_by: dict[int, tuple[nn.Module, int]] = {}
    outputs: list[Tensor] = []  # kept alive, so that ids stay unique
    calls: Counter[nn.Module] = Counter()
    reads: Counter[tuple[nn.Module, nn.Module]] = Counter()

    def after_convolution(conv: nn.Module, _: object, output: Tensor) -> None:
        made_by[id(output)] = conv, output._version
        outputs.append(output)

    def before_any(reader: nn.Module, inputs: tuple[object, ...]) -> None:
        calls[reader] += 1
        first = inputs[0] if inputs else None
        if isinstance(first, Tensor) and id(first) in made_by:
            conv, version = made_by[id(first)]
            # The version has changed where something was added to the result in place, as in a residual block.
            reads[conv, reader] += first._version == version

    # Layers that were folded away, or that do nothing in evaluation, pass their input on and are no readers.
    leaves = [m for m in module.modules() if not list(m.children()) and not isinstance(m, _PASSING_ON)]
    hooks = [m.register_forward_hook(after_convolution) for m in leaves if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(before_any) for m in leaves]
    run()
    for hook in hooks:
        hook.remove()
    read, own = Counter[nn.Module](), Counter[nn.Module]()
    for (conv, _), count in reads.items():
        read[conv] += count
    pairs = [
        (conv, reader)
        for (conv, reader), count in reads.items()
        if type(reader) in ACTIVATIONS and _is_ordinary(conv) and read[conv] == calls[conv] == count
    ]
    for conv, reader in pairs:
        own[reader] += calls[conv]
    return {conv: reader for conv, reader in pairs if own[reader] == calls[reader]}
