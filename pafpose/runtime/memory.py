"""How the C library handles the memory of a training."""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what comes next; elsewhere nothing.

    A step of training takes and frees the same gigabyte over and over. Given back in between, every page of
    it must be mapped and cleared again by the kernel, thousands of them in a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_THRESHOLD, 2**30) or mallopt(MMAP_THRESHOLD, 2**25)  # older ones take no more
