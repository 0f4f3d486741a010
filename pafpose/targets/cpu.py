"""Targets on the CPU: numba kernels that touch only the cells near a keypoint or a limb.

Coordinates are pixels of the network input, float64; cell ``(i, j)`` has its centre at
``x = stride*j + (stride - 1)/2``. A limb is drawn row by row: all rules (band, caps) are convex, so what it
covers in a row is one interval. Nothing is computed for cells outside.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

TOLERANCE = 1e-9  # px; a cell exactly on a limb's border belongs to it, whichever way its distance is rounded
GRAIN = 2.0**20  # distances and magnitudes that agree to 1/GRAIN are ties
MERGE = {"mean": 0, "sum": 1, "nearest": 2, "max": 3, "last": 4}
CAPS = {"bbox": 0, "none": 1, "round": 2}
PROFILE = {"rigid": 0, "linear": 1, "cosine": 2, "gaussian": 3}
BACKGROUND = {"none": 0, "max": 1, "sum": 2}


@njit(cache=True, nogil=True)
def draw_heatmaps(
    keypoints: np.ndarray,
    scales: np.ndarray,
    ratios: np.ndarray,
    out: np.ndarray,
    *,
    threshold: float,
    sigma: float,
    truncate: float,
    merge_sum: bool,
    background: int,
    stride: int,
) -> None:
    """Draw Gaussians of people ``(B, P, K, 3)`` into ``out (B, K [+ 1], h, w)``, which need not be zeroed.

    A keypoint counts when ``v > threshold``. ``sigma`` times ``scales (B, P)`` times ``ratios (K,)`` is the
    size in pixels. ``background`` is a code of ``BACKGROUND``; with 0 ``out`` has K channels.
    """
    batch, people, channels = keypoints.shape[:3]
    height, width = out.shape[2:]
    offset = (stride - 1) / 2.0
    reach = math.sqrt(-2.0 * math.log(truncate)) * (1 + 1e-6) if truncate > 0 else math.inf
    cut = truncate * (1 - 1e-12)
    column = np.empty(width)
    for b in range(batch):
        out[b] = 0
        if background > 0:
            out[b, channels] = 1
        for p in range(people):
            for k in range(channels):
                x, y = keypoints[b, p, k, 0], keypoints[b, p, k, 1]
                if not (keypoints[b, p, k, 2] > threshold and math.isfinite(x) and math.isfinite(y)):
                    continue
                size = max(sigma * scales[b, p] * ratios[k], 1e-6)
                inverse = 1 / (2 * size * size)
                j0, j1 = _cells(x - reach * size, x + reach * size, offset, stride, width)
                i0, i1 = _cells(y - reach * size, y + reach * size, offset, stride, height)
                for j in range(j0, j1):
                    column[j] = math.exp(-((stride * j + offset - x) ** 2) * inverse)
                for i in range(i0, i1):
                    row = math.exp(-((stride * i + offset - y) ** 2) * inverse)
                    for j in range(j0, j1):
                        value = row * column[j]
                        if value >= cut:
                            _merge_peak(out[b], k, i, j, value, merge_sum, background)
        if background == BACKGROUND_SUM:
            for i in range(height):
                for j in range(width):
                    out[b, channels, i, j] = max(out[b, channels, i, j], np.float32(0))


BACKGROUND_SUM = BACKGROUND["sum"]
BACKGROUND_MAX = BACKGROUND["max"]


@njit(cache=True, nogil=True, inline="always")
def _merge_peak(
    out: np.ndarray, k: int, i: int, j: int, value: float, merge_sum: bool, background: int
) -> None:
    """One person's Gaussian meets what is drawn; the background (last channel) follows at once."""
    old = float(out[k, i, j])
    new = min(old + value, 1.0) if merge_sum else max(old, value)
    out[k, i, j] = new
    if background == BACKGROUND_MAX:
        out[-1, i, j] = min(float(out[-1, i, j]), 1.0 - new)
    elif background == BACKGROUND_SUM:
        out[-1, i, j] -= new - old


@njit(cache=True, nogil=True)
def _cells(low: float, high: float, offset: float, stride: int, size: int) -> tuple[int, int]:
    """First cell, and one past the last, whose centres lie in ``[low, high]`` px, within ``size`` cells."""
    first = min(max(math.ceil((low - offset) / stride), 0.0), float(size))
    last = min(max(math.floor((high - offset) / stride), -1.0), size - 1.0)
    return int(first), int(last) + 1


@njit(cache=True, nogil=True)
def draw_pafs(
    keypoints: np.ndarray,
    scales: np.ndarray,
    limbs: np.ndarray,
    out: np.ndarray,
    *,
    threshold: float,
    width: float,
    limb_scale: tuple[float, float, float],
    caps: int,
    profile: int,
    merge: int,
    stride: int,
) -> None:
    """Draw limbs ``(L, 2)`` of people ``(B, P, K, 3)`` into ``out (B, 2 L, h, w)``, which need not be zeroed.

    ``scales (B, P)`` times ``width`` is the half width; ``limb_scale`` = (reference px, min, max) makes it
    follow the limb's length, reference 0 does not. ``caps``, ``profile``, ``merge``: codes of the tables above.
    """
    batch, people = keypoints.shape[:2]
    rows, columns = out.shape[2:]
    owner = np.zeros((rows, columns), np.int64)  # which limb type of which picture used the cell last
    state = np.empty((rows, columns, 3))  # sum of x, of y, and n; or the best so far
    for b in range(batch):
        out[b] = 0
        for limb in range(len(limbs)):
            tag = b * len(limbs) + limb + 1
            for p in range(people):
                start, end = keypoints[b, p, limbs[limb, 0]], keypoints[b, p, limbs[limb, 1]]
                if not (start[2] > threshold and end[2] > threshold):
                    continue
                vx, vy = end[0] - start[0], end[1] - start[1]
                length = math.sqrt(vx * vx + vy * vy)
                if not (length > 0 and math.isfinite(length)):
                    continue
                half = width * scales[b, p]
                if limb_scale[0] > 0:
                    half *= min(max(length / limb_scale[0], limb_scale[1]), limb_scale[2])
                _draw_limb(
                    (start[0], start[1], vx / length, vy / length, length, max(half, TOLERANCE)),
                    out[b, 2 * limb : 2 * limb + 2],
                    owner,
                    state,
                    tag,
                    caps,
                    profile,
                    merge,
                    stride,
                )


@njit(cache=True, nogil=True)
def _draw_limb(
    limb: tuple[float, float, float, float, float, float],
    out: np.ndarray,
    owner: np.ndarray,
    state: np.ndarray,
    tag: int,
    caps: int,
    profile: int,
    merge: int,
    stride: int,
) -> None:
    x, y, ux, uy, length, half = limb
    rows, columns = out.shape[1:]
    offset = (stride - 1) / 2.0
    reach = (3 * half if profile == 3 else half) + TOLERANCE
    i0, i1 = _cells(min(y, y + uy * length) - reach, max(y, y + uy * length) + reach, offset, stride, rows)
    for i in range(i0, i1):
        dy = stride * i + offset - y
        low, high = _row(dy, ux, uy, length, reach, caps)
        j0, j1 = _cells(x + low, x + high, offset, stride, columns)
        for j in range(j0, j1):
            dx = stride * j + offset - x
            distance = abs(ux * dy - uy * dx)
            if caps == 2:
                along = ux * dx + uy * dy
                distance = math.hypot(distance, max(-along, along - length, 0.0))
            value = _magnitude(distance, half, profile)
            new = owner[i, j] != tag
            owner[i, j] = tag
            if merge <= 1:
                if new:
                    state[i, j] = 0
                state[i, j, 0] += ux * value
                state[i, j, 1] += uy * value
                state[i, j, 2] += 1
                count = state[i, j, 2] if merge == 0 else 1.0
                out[0, i, j] = state[i, j, 0] / count
                out[1, i, j] = state[i, j, 1] / count
                continue
            if merge <= 3:
                rank = np.rint((distance if merge == 2 else 1 - value) * GRAIN)
                if not new and rank >= state[i, j, 0]:
                    continue
                state[i, j, 0] = rank
            out[0, i, j] = ux * value
            out[1, i, j] = uy * value


@njit(cache=True, nogil=True)
def _row(dy: float, ux: float, uy: float, length: float, reach: float, caps: int) -> tuple[float, float]:
    """Interval of ``x - x1`` that the limb covers at height ``y - y1 = dy``; empty when low > high."""
    low, high = _strip(ux * dy, -uy, -reach, reach)
    if caps == 0:
        return max(low, min(0.0, ux * length) - reach), min(high, max(0.0, ux * length) + reach)
    left, right = _strip(uy * dy, ux, -TOLERANCE, length + TOLERANCE)
    low, high = max(low, left), min(high, right)
    if caps == 1:
        return low, high
    if low > high:
        low, high = math.inf, -math.inf
    for end in (0.0, length):  # the two discs; the union is convex, so the hull of the intervals is it
        chord = reach * reach - (dy - uy * end) ** 2
        if chord >= 0:
            chord = math.sqrt(chord)
            low, high = min(low, ux * end - chord), max(high, ux * end + chord)
    return low, high


@njit(cache=True, nogil=True)
def _strip(constant: float, slope: float, low: float, high: float) -> tuple[float, float]:
    """Interval of x in which ``low <= constant + slope * x <= high``."""
    if slope == 0:
        if low <= constant <= high:
            return -math.inf, math.inf
        return math.inf, -math.inf
    a, b = (low - constant) / slope, (high - constant) / slope
    return min(a, b), max(a, b)


@njit(cache=True, nogil=True)
def _magnitude(distance: float, half: float, profile: int) -> float:
    if profile == 0:
        return 1.0
    ratio = distance / half
    if profile == 1:
        return max(1 - ratio, 0.0)
    if profile == 2:
        return (1 + math.cos(math.pi * min(ratio, 1.0))) / 2
    return math.exp(-ratio * ratio / 2)
