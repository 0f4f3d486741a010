"""Kernels on masks as runs: which pixels of a photo lie in a shape, looked up without ever drawing it.

Masks run down the columns of the photo: pixel (x, y) has the number ``x * height + y``. Runs alternate
between outside and inside, starting outside; a shape is the ends of its runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose.runtime.jit import njit


def run_ends(counts: bytes | np.ndarray) -> np.ndarray:
    """Ends of the alternating runs of a mask that COCO compressed; run 0 is outside.

    >>> run_ends(b"52203").tolist()
    [5, 7, 9, 11, 16]
    """
    return _run_ends(np.frombuffer(counts, np.uint8) if isinstance(counts, bytes) else counts)


@njit
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


@njit
def mark_runs(pixels: np.ndarray, height: int, ends: np.ndarray, out: np.ndarray) -> None:
    """Set ``out`` where the pixel of that number is in the shape; what is set already stays.

    Rows and columns that the shape does not reach are told apart before any run is looked for.
    """
    if len(ends) < 2:
        return
    top, bottom = _rows(ends, height)
    first, last, runs = ends[0], ends[-1], len(ends)
    for n, pixel in enumerate(pixels):
        if out[n] or pixel < first or pixel >= last:
            continue
        y = pixel % height
        if y < top or y >= bottom:
            continue
        low, high = 0, runs
        while low < high:  # the first run that ends beyond the pixel
            middle = (low + high) >> 1
            if ends[middle] <= pixel:
                low = middle + 1
            else:
                high = middle
        out[n] = low & 1


@njit
def _rows(ends: np.ndarray, height: int) -> tuple[int, int]:
    """The first row of a shape, and the one after its last."""
    top, bottom = height, 0
    for run in range(1, len(ends), 2):
        if ends[run] == ends[run - 1]:
            continue
        start, stop = ends[run - 1] % height, (ends[run] - 1) % height + 1
        if ends[run] - ends[run - 1] > stop - start:
            return 0, height  # it goes on in the next column
        top, bottom = min(top, start), max(bottom, stop)
    return top, bottom


@njit
def mark_box(pixels: np.ndarray, height: int, box: np.ndarray, out: np.ndarray) -> None:
    """Set ``out`` where the centre of the pixel is in the box x, y, w, h; what is set already stays."""
    for n, pixel in enumerate(pixels):
        x, y = pixel // height + 0.5 - box[0], pixel % height + 0.5 - box[1]
        out[n] |= 0 <= x < box[2] and 0 <= y < box[3]


@njit
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


class Regions(NamedTuple):
    """Where the P people of a photo are: in their masks, in their boxes when a mask is empty."""

    boxes: np.ndarray  # (P, 4) float64 x, y, w, h
    masks: np.ndarray  # uint8, COCO's compressed run lengths of all
    first: np.ndarray  # (P + 1,) int64: person p has masks[first[p]:first[p + 1]]
    ignored: np.ndarray  # (P,) bool
    protected: np.ndarray  # (P,) bool: counts again where somebody is ignored


@njit
def ignored_pixels(pixels: np.ndarray, height: int, regions: Regions, outside: bool) -> np.ndarray:
    """(n,) bool: which of ``pixels`` are in the region of somebody ignored and of nobody protected.

    ``outside`` is the answer for pixel -1, which lies in no photo.
    """
    out = np.zeros(len(pixels), np.bool_)
    _mark_people(pixels, height, regions, regions.ignored, out)
    if regions.protected.any() and out.any():
        counts = ~out
        _mark_people(pixels, height, regions, regions.protected, counts)
        out = ~counts
    for n, pixel in enumerate(pixels):
        if pixel < 0:
            out[n] = outside
    return out


@njit
def _mark_people(
    pixels: np.ndarray, height: int, regions: Regions, chosen: np.ndarray, out: np.ndarray
) -> None:
    """Set ``out`` where the pixel is in the region of any of the ``chosen`` people."""
    first = regions.first
    for m in range(len(chosen)):
        if not chosen[m]:
            continue
        if first[m + 1] > first[m]:
            mark_runs(pixels, height, _run_ends(regions.masks[first[m] : first[m + 1]]), out)
        else:
            mark_box(pixels, height, regions.boxes[m], out)


@njit
def draw_runs(ends: np.ndarray, height: int, window: tuple[int, int, int, int]) -> np.ndarray:
    """The part ``window`` (x, y, w, h) of a mask in a photo of that height, as (h, w) uint8: 0 or 255."""
    left, top, width, rows = window
    out = np.zeros((rows, width), np.uint8)
    for run in range(1, len(ends), 2):
        for pixel in range(max(ends[run - 1], left * height), min(ends[run], (left + width) * height)):
            x, y = pixel // height - left, pixel % height - top
            if 0 <= y < rows:
                out[y, x] = 255
    return out
