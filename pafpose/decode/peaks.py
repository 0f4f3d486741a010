# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Peaks of heatmaps: 3x3 maxima, the highest of each keypoint type, placed between the cells.

All coordinates are in cells. The logarithm of a Gaussian of ``sigma`` cells is ``-d^2 / (2 sigma^2)``: along
an axis it is a parabola whose second difference is ``-1 / sigma^2`` everywhere. So three neighbouring cells
give its top exactly. Two cells do when sigma is known, which helps at the border and where another peak
covers one side.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from pafpose.decode.sorting import descending, lower_median
from pafpose.runtime.jit import njit

_TINY = 1e-3  # share of the peak below which a cell says nothing about its shape
_FLAT = 0.03  # a peak flatter than the known Gaussian by this share may have a neighbour on one side
_CLEAN = 0.1  # a side whose curvature is within this share of the Gaussian's belongs to one peak only
_ENOUGH = 8  # peaks whose median width means something
_CLEAR = 0.1  # peaks below this height are faint: they need support, and say nothing about the width
_WIDER, _WIDEST = 1.1, 2.5  # measured variances count from 1.1 times the known one on, up to 2.5 times
_PLATEAU = 1.0 - 1e-6  # a peak whose neighbours are this close to it has no width
_REACH = 1.0  # cells that a peak may lie beyond the border


class Refine(IntEnum):
    """``decode.refine``: where between the cells a peak lies."""

    none = 0  # at the centre of its cell
    quadratic = 1  # at the top of parabolas through the cells beside it
    log_quadratic = 2  # the same with their logarithms: exact for a Gaussian


class Peaks(NamedTuple):
    """Peaks of one picture, ordered by keypoint type."""

    points: np.ndarray  # (N, 3) float64: column, row (cells), height
    starts: np.ndarray  # (K + 1,) int64: type k has the rows from starts[k] to starts[k + 1]


class PeakParameters(NamedTuple):
    """What counts as a peak and how it is placed, as numba takes it."""

    threshold: float
    max_peaks: int  # of each type
    support: float  # of faint peaks: the lowest mean of the four neighbours, as a share of the peak
    refine: int  # a ``Refine``
    variance: float  # of the targets' Gaussians, cells squared


def least_support(min_support: float, variance: float) -> float:
    """Return ``min_support`` times the share of a Gaussian's height that is left one cell from its top.

    Away from the border, the four neighbours of a Gaussian's highest cell have at least that share of it on
    average, wherever the top lies in the cell. 0 gives minus infinity, so that all peaks have support.

    >>> round(least_support(1.0, 1.0), 2)
    0.61
    """
    return min_support * math.exp(-0.5 / variance) if min_support > 0 else -math.inf


@njit
def find_peaks(heatmaps: np.ndarray, parameters: PeakParameters) -> tuple[Peaks, np.ndarray, float]:
    """Find the peaks of heatmaps ``(K, h, w)``, contiguous float32 without a background channel.

    Of each type the ``max_peaks`` highest are kept, in reading order. Returns the peaks, the row and column
    ``(N, 2)`` of their cells, and the variance that they have in this picture.
    """
    cells, starts = _find_maxima(heatmaps, parameters.threshold, parameters.max_peaks, parameters.support)
    variance = _picture_variance(heatmaps, cells, starts, parameters.variance)
    points = np.empty((len(cells), 3))
    for k in range(len(heatmaps)):
        plane = heatmaps[k]
        for n in range(starts[k], starts[k + 1]):
            points[n] = place_peak(plane, cells[n, 0], cells[n, 1], parameters.refine, variance)
    return Peaks(points, starts), cells, variance


@njit
def _find_maxima(
    heatmaps: np.ndarray, threshold: float, max_peaks: int, support: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column ``(N, 2)`` of the maxima, in reading order, and where the types start."""
    kinds, rows, cols = heatmaps.shape
    low = np.float32(threshold)
    most = kinds * ((rows + 1) // 2) * ((cols + 1) // 2)  # maxima are never neighbours
    cells = np.empty((most, 2), np.int64)
    starts, count = np.zeros(kinds + 1, np.int64), 0
    for k in range(kinds):
        plane = heatmaps[k]
        for y in range(rows):
            above, tops = False, 0
            for x in range(cols):  # without leaving early: this loop runs on vectors, and most rows have none
                above |= plane[y, x] > low
            if not above:
                continue
            up, down, first = max(y - 1, 0), min(y + 1, rows - 1), y == 0
            for x in range(cols):
                value = plane[y, x]
                tops += int((value > low) & ((value > plane[up, x]) | first) & (value >= plane[down, x]))
            if tops == 0:
                continue
            left = low
            for x in range(cols):
                value, right = plane[y, x], plane[y, min(x + 1, cols - 1)]
                if value > max(low, left) and value >= right and _has_support(plane, y, x, support):
                    cells[count, 0], cells[count, 1] = y, x
                    count += int(_is_maximum(plane, y, x))
                left = value
        if count - starts[k] > max_peaks:
            _keep_highest(plane, cells[starts[k] : count], max_peaks)
            count = starts[k] + max_peaks
        starts[k + 1] = count
    return cells[:count].copy(), starts


@njit
def _is_maximum(plane: np.ndarray, y: int, x: int) -> bool:
    """Whether no cell of the 3x3 around is higher; of equal cells the first in reading order counts."""
    value = plane[y, x]
    for i in range(max(y - 1, 0), min(y + 2, plane.shape[0])):
        for j in range(max(x - 1, 0), min(x + 2, plane.shape[1])):
            earlier = i < y or (i == y and j < x)
            if plane[i, j] > value or (plane[i, j] == value and earlier):
                return False
    return True


@njit
def _has_support(plane: np.ndarray, y: int, x: int, support: float) -> bool:
    """Whether a cell is clear, or the cells beside it, as far as they are on the map, are high enough."""
    value = plane[y, x]
    if value >= _CLEAR:
        return True
    up, down = max(y - 1, 0), min(y + 1, plane.shape[0] - 1)
    left, right = max(x - 1, 0), min(x + 1, plane.shape[1] - 1)
    count = (down - up) + (right - left)
    beside = np.float64(plane[up, x]) + plane[down, x] + plane[y, left] + plane[y, right]
    beside -= (4 - count) * value  # which stood in for those beyond the map
    return beside >= support * value * max(count, 1)


@njit
def _keep_highest(plane: np.ndarray, cells: np.ndarray, limit: int) -> None:
    """Move the ``limit`` highest cells of one type to the front, in their order; of equal ones the first."""
    heights = np.empty(len(cells))
    for n in range(len(cells)):
        heights[n] = plane[cells[n, 0], cells[n, 1]]
    keep, kept = np.zeros(len(cells), np.bool_), 0
    keep[descending(heights)[:limit]] = True
    for n in range(len(cells)):
        cells[kept] = cells[n]
        kept += int(keep[n])


@njit
def _picture_variance(heatmaps: np.ndarray, cells: np.ndarray, starts: np.ndarray, known: float) -> float:
    """Return the variance of a picture's clear peaks: the known one, or their median where that is wider.

    Networks blur what they are unsure of, and the known width would then misplace peaks.
    """
    found, count = np.empty(len(cells)), 0
    for k in range(len(heatmaps)):
        plane = heatmaps[k]
        for n in range(starts[k], starts[k + 1]):
            y, x = cells[n, 0], cells[n, 1]
            found[count] = _variance(plane, y, x)
            count += int(found[count] > 0.0 and plane[y, x] >= _CLEAR)
    if count < _ENOUGH:
        return known
    median = lower_median(found[:count])
    return min(median, _WIDEST * known) if median > _WIDER * known else known


@njit
def _variance(plane: np.ndarray, y: int, x: int) -> float:
    """Return the variance of the Gaussian through a peak and its four neighbours; -1 where there is none."""
    if not (0 < y < plane.shape[0] - 1 and 0 < x < plane.shape[1] - 1):
        return -1.0
    centre = np.float64(plane[y, x])
    left, right = np.float64(plane[y, x - 1]), np.float64(plane[y, x + 1])
    above, below = np.float64(plane[y - 1, x]), np.float64(plane[y + 1, x])
    if min(left, right, above, below) <= _TINY * centre:
        return -1.0
    product = (left / centre) * (right / centre) * (above / centre) * (below / centre)
    return -2.0 / math.log(product) if product < _PLATEAU else -1.0


@njit
def place_peak(plane: np.ndarray, y: int, x: int, refine: int, variance: float) -> tuple[float, float, float]:
    """Return column, row and height of the peak at a cell."""
    centre = np.float64(plane[y, x])
    if refine == Refine.none:
        return float(x), float(y), centre
    left, right = _value(plane, y, x - 1), _value(plane, y, x + 1)
    above, below = _value(plane, y - 1, x), _value(plane, y + 1, x)
    if refine == Refine.quadratic:
        dx, rise_x = _quadratic(left, centre, right)
        dy, rise_y = _quadratic(above, centre, below)
        return x + dx, y + dy, centre + rise_x + rise_y
    left2, right2 = _value(plane, y, x - 2), _value(plane, y, x + 2)
    above2, below2 = _value(plane, y - 2, x), _value(plane, y + 2, x)
    dx, rise_x = _log_quadratic(left2, left, centre, right, right2, variance)
    dy, rise_y = _log_quadratic(above2, above, centre, below, below2, variance)
    height = centre * math.exp(min(rise_x + rise_y, 1.0))
    return x + dx, y + dy, min(height, max(centre, 1.0))


@njit
def _value(plane: np.ndarray, y: int, x: int) -> float:
    """Return the value of a cell, -1 outside the map."""
    if 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]:
        return np.float64(plane[y, x])
    return -1.0


@njit
def _quadratic(before: float, centre: float, after: float) -> tuple[float, float]:
    """Return offset and rise of the parabola through three values; 0, 0 at borders and on plateaus."""
    bend = before - 2.0 * centre + after
    if before < 0.0 or after < 0.0 or bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (before - after) / bend
    return offset, -0.25 * (before - after) * offset


@njit
def _one_sided(drop: float, variance: float) -> tuple[float, float]:
    """Return offset and log rise of a known Gaussian's top, away from one neighbour.

    ``drop`` is how much lower the neighbour's logarithm is.
    """
    offset = min(max(variance * drop - 0.5, -_REACH), _REACH)
    return offset, 0.5 * offset * offset / variance


@njit
def _log_quadratic(  # noqa: PLR0911 - cases of the border and of neighbours
    before2: float, before: float, centre: float, after: float, after2: float, variance: float
) -> tuple[float, float]:
    """Return offset and log rise of a Gaussian's top from five values along an axis (-1: outside the map).

    The three middle values decide, whatever the width. One side alone does at the border, and where the
    middle is flatter than the known Gaussian while one side is not: another peak covers the other side.
    """
    tiny = _TINY * centre
    if before <= tiny and after <= tiny:
        return 0.0, 0.0
    if before <= tiny:
        offset, rise = _one_sided(math.log(centre / after), variance)
        return -offset, rise
    if after <= tiny:
        return _one_sided(math.log(centre / before), variance)
    drop0, drop1 = math.log(centre / before), math.log(centre / after)
    bend, known = -drop0 - drop1, -1.0 / variance
    if bend > (1.0 - _FLAT) * known:
        bend0 = drop0 - math.log(before / before2) if before2 > tiny else 0.0
        bend1 = drop1 - math.log(after / after2) if after2 > tiny else 0.0
        error0, error1 = abs(bend0 - known), abs(bend1 - known)
        if min(error0, error1) < min(-_CLEAN * known, 0.5 * abs(bend - known)):
            if error0 <= error1:
                return _one_sided(drop0, variance)
            offset, rise = _one_sided(drop1, variance)
            return -offset, rise
    if bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (drop1 - drop0) / bend
    return offset, -0.25 * (drop1 - drop0) * offset
