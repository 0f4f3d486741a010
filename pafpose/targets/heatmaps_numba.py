"""Heatmaps on the CPU: a numba kernel that touches only the cells near a keypoint.

All positions and distances are float64, in pixels of the network input.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from pafpose.geometry import cell_to_px, px_to_cell
from pafpose.runtime.jit import njit

MIN_SIGMA = 1e-6  # px; a person without any extent still gets a peak
ROUNDING = 1e-12  # relative; a Gaussian this little below heatmap.truncate is not cut
MARGIN = 1e-6  # relative; windows are this much larger than they must be
ZERO, ONE = np.float32(0), np.float32(1)


class HeatmapMerge(IntEnum):
    """``heatmap.merge``: the value of a cell where the Gaussians of several people overlap."""

    max = 0  # the largest
    sum = 1  # their sum, clipped to 1


class Background(IntEnum):
    """``heatmap.background``: the last channel, made from the keypoint channels."""

    max = 0  # 1 - max_k S_k
    sum = 1  # clip(1 - sum_k S_k, 0, 1)
    none = 2  # no such channel


@njit
def point(keypoints: np.ndarray, b: int, p: int, k: int) -> tuple[float, float, float]:
    """Return x, y and v of one keypoint in double precision."""
    x, y, v = keypoints[b, p, k, 0], keypoints[b, p, k, 1], keypoints[b, p, k, 2]
    return np.float64(x), np.float64(y), np.float64(v)


@njit
def is_labelled(x: float, y: float, v: float, threshold: float) -> bool:
    """Whether a keypoint is a target: its ``v > threshold`` and its position is finite."""
    return v > threshold and math.isfinite(x) and math.isfinite(y)


@njit
def draw_heatmaps(
    keypoints: np.ndarray,
    sigmas: np.ndarray,
    out: np.ndarray,
    *,
    threshold: float,
    truncate: float,
    merge: int,
    background: int,
    stride: int,
) -> None:
    """Fill ``out (B, K [+ 1], h, w)`` float32 with the Gaussians of people ``keypoints (B, P, K, 3)``.

    Keypoints are drawn if :func:`is_labelled`. ``sigmas (B, P, K)`` are in pixels. ``merge`` is a
    ``HeatmapMerge`` and ``background`` a ``Background``.
    """
    reach = math.sqrt(-2 * math.log(truncate)) if truncate > 0 else math.inf  # in sigmas
    reach, cut = reach * (1 + MARGIN), truncate * (1 - ROUNDING)
    row = np.empty(out.shape[3])
    batch, people, kinds = sigmas.shape
    for b in range(batch):
        out[b] = 0
        for p in range(people):
            for k in range(kinds):
                x, y, v = point(keypoints, b, p, k)
                if is_labelled(x, y, v, threshold):
                    sigma = max(sigmas[b, p, k], MIN_SIGMA)
                    _add_gaussian(out[b, k], row, x, y, sigma, reach * sigma, cut, merge, stride)
        if background != Background.none:
            _fill_background(out[b], background)


@njit
def _add_gaussian(  # noqa: PLR0917
    channel: np.ndarray,
    row: np.ndarray,
    x: float,
    y: float,
    sigma: float,
    reach: float,
    cut: float,
    merge: int,
    stride: int,
) -> None:
    """Merge one Gaussian into its channel ``(h, w)``; it is 0 beyond ``reach`` px and below ``cut``.

    ``row`` is memory for the factors of the columns, ``(w,)``.
    """
    top, bottom = cells_between(y - reach, y + reach, stride, channel.shape[0])
    left, right = cells_between(x - reach, x + reach, stride, channel.shape[1])
    sharpness = 1 / (2 * sigma * sigma)
    for j in range(left, right):
        row[j] = math.exp(-((cell_to_px(j, stride) - x) ** 2) * sharpness)
    for i in range(top, bottom):
        height = math.exp(-((cell_to_px(i, stride) - y) ** 2) * sharpness)
        for j in range(left, right):
            value = height * row[j]
            new = np.float32(value if value >= cut else 0.0)  # a select and no branch: a quarter faster
            if merge == HeatmapMerge.max:
                channel[i, j] = max(channel[i, j], new)
            else:
                channel[i, j] = min(channel[i, j] + new, ONE)


@njit
def _fill_background(fields: np.ndarray, background: int) -> None:
    """Make the last channel of ``fields (K + 1, h, w)`` from the others."""
    last = fields[-1]
    last[:] = 1
    for k in range(len(fields) - 1):
        for i in range(last.shape[0]):
            for j in range(last.shape[1]):
                if background == Background.max:
                    last[i, j] = min(last[i, j], ONE - fields[k, i, j])
                else:
                    last[i, j] = max(last[i, j] - fields[k, i, j], ZERO)


@njit
def cells_between(low: float, high: float, stride: int, size: int) -> tuple[int, int]:
    """Return the first cell, and one past the last, of ``size`` whose centres lie in ``[low, high]`` px."""
    first = min(max(np.ceil(px_to_cell(low, stride)), 0.0), float(size))
    last = min(max(np.floor(px_to_cell(high, stride)), -1.0), size - 1.0)
    return int(first), int(last) + 1
