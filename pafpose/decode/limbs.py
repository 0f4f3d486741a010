"""Limb candidates: pairs of peaks whose line integral over the part affinity field says they belong together.

Everything in cells. A pair is given up at the first sample that makes acceptance impossible, the middle of
the line first, where a wrong pair finds nothing: a test that costs little and can lose no true limb.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

INTERPOLATION = {"bilinear": 0, "cubic": 1}
_SAME = 1e-6  # cells; two ends at one point have no direction


def sample_positions(samples: int) -> np.ndarray:
    """Where a line is read, 0 to 1, both ends included, the middle first.

    >>> sample_positions(4).round(2).tolist()
    [0.33, 0.67, 0.0, 1.0]
    """
    if samples == 1:
        return np.array([0.5])
    order = np.argsort(np.abs(np.arange(samples) - (samples - 1) / 2), kind="stable")
    return order / (samples - 1)


def samples_needed(samples: int, min_ratio: float) -> int:
    """How many samples make more than ``min_ratio`` of them.

    >>> samples_needed(10, 0.8)
    9
    """
    return min(samples, math.floor(samples * min_ratio + 1e-9) + 1)


@njit(cache=True, nogil=True)
def _cubic_weights(t: float) -> tuple[float, float, float, float]:
    """Weights of four neighbours, Keys' kernel with a = -0.75."""
    a, u = -0.75, 1.0 - t
    w0 = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a
    w1 = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    w2 = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0
    return w0, w1, w2, 1.0 - w0 - w1 - w2


@njit(cache=True, nogil=True)
def _read_cubic(plane: np.ndarray, x: float, y: float, rows: int, cols: int) -> float:
    x0, y0 = int(x), int(y)
    wx, wy = _cubic_weights(x - x0), _cubic_weights(y - y0)
    total = 0.0
    for i in range(4):
        row = plane[min(max(y0 - 1 + i, 0), rows - 1)]
        line = wx[0] * row[max(x0 - 1, 0)] + wx[1] * row[x0]
        line += wx[2] * row[min(x0 + 1, cols - 1)] + wx[3] * row[min(x0 + 2, cols - 1)]
        total += wy[i] * line
    return total


@njit(cache=True, nogil=True)
def _read_both(
    plane_x: np.ndarray, plane_y: np.ndarray, x: float, y: float, rows: int, cols: int, vx: float, vy: float
) -> float:
    """Bilinear value of the field at a point (cells, inside the field) along a direction."""
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, cols - 1), min(y0 + 1, rows - 1)
    fx, fy = x - x0, y - y0
    top = (plane_x[y0, x0] * vx + plane_y[y0, x0] * vy) * (1.0 - fx)
    top += (plane_x[y0, x1] * vx + plane_y[y0, x1] * vy) * fx
    low = (plane_x[y1, x0] * vx + plane_y[y1, x0] * vy) * (1.0 - fx)
    low += (plane_x[y1, x1] * vx + plane_y[y1, x1] * vy) * fx
    return top * (1.0 - fy) + low * fy


@njit(cache=True, nogil=True)
def line_score(
    plane_x: np.ndarray,
    plane_y: np.ndarray,
    rows: int,
    cols: int,
    start: tuple[float, float],
    along: tuple[float, float],
    unit: tuple[float, float],
    positions: np.ndarray,
    needed: int,
    paf_threshold: float,
    cubic: int,
) -> float:
    """Mean of field times direction over the samples, or -inf when fewer than ``needed`` pass."""
    fails_left = positions.size - needed
    total = 0.0
    for t in positions:
        x = min(max(start[0] + t * along[0], 0.0), cols - 1.0)
        y = min(max(start[1] + t * along[1], 0.0), rows - 1.0)
        if cubic:
            value = _read_cubic(plane_x, x, y, rows, cols) * unit[0]
            value += _read_cubic(plane_y, x, y, rows, cols) * unit[1]
        else:
            value = _read_both(plane_x, plane_y, x, y, rows, cols, unit[0], unit[1])
        total += value
        if value <= paf_threshold:
            fails_left -= 1
            if fails_left < 0:
                return -np.inf
    return total / positions.size


@njit(cache=True, nogil=True)
def find_links(
    pafs: np.ndarray,
    rows: int,
    cols: int,
    limbs: np.ndarray,
    peaks: np.ndarray,
    starts: np.ndarray,
    positions: np.ndarray,
    needed: int,
    paf_threshold: float,
    length_factor: float,
    near: float,
    near_score: float,
    cubic: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Accepted limbs: ``(M, 3)`` = limb, first peak, second peak, in that order, and ``(M,)`` scores.

    ``length_factor`` times the field's height is the length beyond which limbs lose score (0: never);
    pairs nearer than ``near`` cells are accepted with at least ``near_score``.
    """
    links = np.empty((64, 3), np.int32)
    scores = np.empty(64, np.float32)
    count = 0
    free_length = length_factor * rows if length_factor > 0.0 else np.inf
    for l in range(limbs.shape[0]):  # noqa: E741
        plane_x, plane_y = pafs[2 * l], pafs[2 * l + 1]
        for a in range(starts[limbs[l, 0]], starts[limbs[l, 0] + 1]):
            for b in range(starts[limbs[l, 1]], starts[limbs[l, 1] + 1]):
                dx, dy = peaks[b, 0] - peaks[a, 0], peaks[b, 1] - peaks[a, 1]
                length = math.sqrt(dx * dx + dy * dy)
                score = -np.inf
                if length > _SAME:
                    score = line_score(
                        plane_x, plane_y, rows, cols, (peaks[a, 0], peaks[a, 1]), (dx, dy),
                        (dx / length, dy / length), positions, needed, paf_threshold, cubic,
                    )  # fmt: skip
                    if length > free_length:
                        score += free_length / length - 1.0
                if length < near:
                    score = max(score, near_score)
                if score <= 0.0:
                    continue
                if count == scores.size:
                    links = np.concatenate((links, np.empty_like(links)))
                    scores = np.concatenate((scores, np.empty_like(scores)))
                links[count, 0], links[count, 1], links[count, 2] = l, a, b
                scores[count] = score
                count += 1
    return links[:count].copy(), scores[:count].copy()
