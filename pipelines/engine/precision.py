"""The arithmetic of a network: fp32 or bf16."""

from contextlib import AbstractContextManager, nullcontext

import torch


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Return whether `--precision` means bf16 on this device.

    Args:
        precision: fp32, bf16, or auto: bf16 where the processor or GPU multiplies it natively.
        device: Device of the network.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    return torch.autocast(device.type, torch.bfloat16) if uses_bf16(precision, device) else nullcontext()
