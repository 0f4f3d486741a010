"""The decorator of this package's kernels: numba, cached on disk, free of Python's lock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit


@cache
def sources_digest() -> str:
    """One hash of all source files of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with ``nogil`` and a cache that is void once any file of this package changes.

    numba alone looks at the file of the outermost function, so a kernel that calls one from an edited
    file would go on running the old code.
    """
    compiled: Any = njit(cache=True, nogil=True)(function)
    compiled._cache._cache_file._source_stamp = sources_digest()
    return compiled


@kernel
def descending(values: np.ndarray) -> np.ndarray:
    """Indices of float64 values, largest first, equal ones as they stand; one type compiles once."""
    return np.argsort(-values, kind="mergesort")
