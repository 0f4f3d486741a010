"""Orders and medians that several steps of the decoder need."""

from __future__ import annotations

import numpy as np

from pafpose.runtime.jit import njit


@njit
def descending(values: np.ndarray) -> np.ndarray:
    """Return the indices of float64 values, largest first, equal ones in their order."""
    return np.argsort(-values, kind="mergesort")


@njit
def lower_median(values: np.ndarray) -> float:
    """Return the median of float64 values; of an even number the lower of the two in the middle.

    Hoare's selection by hand: ``np.partition`` takes four more seconds to compile, sorting 3 % of the
    decoding of a crowd.

    >>> lower_median(np.array([4.0, 1.0, 3.0, 2.0]))
    2.0
    """
    values, middle = values.copy(), (len(values) - 1) // 2
    low, high = 0, len(values) - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        low, high = (low if middle <= j else i), (high if middle >= i else j)
    return values[middle]
