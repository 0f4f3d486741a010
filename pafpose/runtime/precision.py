"""Which arithmetic a run uses, and what mixed precision must not touch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast off on a device; nothing to do where there is no autocast.

    >>> with full_precision(torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def mixed(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A network's arithmetic on a device in a precision of training: autocast, or nothing of the kind.

    float16 is for GPUs; elsewhere ``16-mixed`` is full precision.

    >>> with mixed("bf16-mixed", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(choose(precision))
    if dtype is None or (dtype is torch.float16 and device.type != "cuda"):
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def choose(precision: str) -> str:
    """``auto`` becomes bf16-mixed where hardware of its own multiplies bfloat16 matrices, else 32-true.

    That is so on GPUs with tensor cores for it and on CPUs with AMX; elsewhere bfloat16 saves memory, not
    time. Any other value stays as it is.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"
