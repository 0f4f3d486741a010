"""Kernels on masks as runs: which pixels of a photo lie in a shape, looked up without ever drawing it.

Masks run down the columns of the photo: pixel (x, y) has the number ``x * height + y``. Runs alternate
between outside and inside, starting outside; a shape is the ends of its runs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def run_ends(counts: bytes | np.ndarray) -> np.ndarray:
    """Ends of the alternating runs of a mask that COCO compressed; run 0 is outside.

    >>> run_ends(b"52203").tolist()
    [5, 7, 9, 11, 16]
    """
    return _run_ends(np.frombuffer(counts, np.uint8) if isinstance(counts, bytes) else counts)


@njit(cache=True, nogil=True)
def _run_ends(counts: np.ndarray) -> np.ndarray:
    """COCO's format: numbers of 5-bit digits, lowest first, plus 48; bit 5 says that more follow, bit 4 of
    the last is the sign; from the fourth number on, each is the difference to the one two before."""
    ends = np.empty(len(counts), np.int64)
    found, place, value, last, before, end = 0, 0, 0, 0, 0, 0
    for byte in counts:
        digit = int(byte) - 48
        value |= (digit & 31) << place
        place += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << place
        if found > 2:
            value += before
        end += value
        ends[found] = end
        before, last = last, value
        found, place, value = found + 1, 0, 0
    return ends[:found]


@njit(cache=True, nogil=True)
def mark_runs(pixels: np.ndarray, ends: np.ndarray, out: np.ndarray) -> None:
    """Set ``out`` where the pixel of that number is in the shape; what is set already stays."""
    if not len(ends):
        return
    first, last = ends[0], ends[-1]
    for n, pixel in enumerate(pixels):
        if not out[n] and first <= pixel < last:
            out[n] = np.searchsorted(ends, pixel, side="right") & 1


@njit(cache=True, nogil=True)
def mark_box(pixels: np.ndarray, height: int, box: np.ndarray, out: np.ndarray) -> None:
    """Set ``out`` where the centre of the pixel is in the box x, y, w, h; what is set already stays."""
    for n, pixel in enumerate(pixels):
        x, y = pixel // height + 0.5 - box[0], pixel % height + 0.5 - box[1]
        out[n] |= 0 <= x < box[2] and 0 <= y < box[3]


@njit(cache=True, nogil=True)
def pixels_under_cells(
    back: np.ndarray, cells: tuple[int, int], stride: int, size: tuple[int, int]
) -> np.ndarray:
    """(h * w,) number of the photo pixel under each cell, -1 outside; ``back``: input -> photo.

    The pixel is the one nearest to where input pixel ``stride * cell + stride // 2`` came from.
    """
    (rows, columns), (height, width) = cells, size
    out = np.empty(rows * columns, np.int64)
    n = 0
    for i in range(rows):
        v = stride * i + stride // 2
        for j in range(columns):
            u = stride * j + stride // 2
            x = int(np.floor(back[0, 0] * u + back[0, 1] * v + (back[0, 2] + 0.5)))
            y = int(np.floor(back[1, 0] * u + back[1, 1] * v + (back[1, 2] + 0.5)))
            inside = 0 <= x < width and 0 <= y < height
            out[n] = x * height + y if inside else -1
            n += 1
    return out
