"""The arithmetic of a run: which precision to use, and where mixed precision must be off."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch


def resolve_precision(precision: str) -> str:
    """Turn ``auto`` into bf16-mixed where hardware multiplies bfloat16 matrices fast, otherwise into 32-true.

    Fast hardware is a GPU with bfloat16 tensor cores, or a CPU with AMX, which is looked for on Linux only.
    Elsewhere bfloat16 saves memory but no time. ``ONEDNN_MAX_CPU_ISA`` below AMX counts as a CPU without it.
    Any other precision is returned as it is.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if _cpu_has_amx() else "32-true"


def _cpu_has_amx() -> bool:
    """Whether oneDNN, which computes the convolutions, has the matrix unit and may use it."""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    return ("AMX" in allowed or allowed in ("", "ALL", "DEFAULT")) and "amx_bf16" in _cpu_flags()


def _cpu_flags() -> list[str]:
    """Return what the processor can do, as Linux lists it; nothing on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.split() for line in lines if line.startswith("flags")), [])


def network_precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes in a precision of the trainer: autocast or nothing.

    float16 needs a GPU: on other devices ``16-mixed`` is full precision.

    >>> with network_precision("bf16-mixed", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(resolve_precision(precision))
    if dtype is None or (dtype is torch.float16 and device.type != "cuda"):
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context without autocast on a device, for targets and losses.

    >>> with full_precision(torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
