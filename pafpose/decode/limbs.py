# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Limb candidates: pairs of peaks whose line integral over the part affinity field says they belong together.

Everything in cells. The field at the two ends is read once per peak, so the first two samples of a pair cost
two products; the others follow from the middle outwards. A pair is given up at the first sample that makes
acceptance impossible: a test that costs little and can lose no true limb. Pairs are filtered in lists, sample
by sample, because a branch per pair that nobody can predict costs more than the arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from pafpose.decode.kernel import kernel

INTERPOLATION = {"bilinear": 0, "cubic": 1}
_ALWAYS = 1 << 20  # more samples than any line has
_SAME = 1e-6  # cells; two ends at one point have no direction


class Grid(NamedTuple):
    """Part affinity fields laid out flat, and how they are read."""

    flat: np.ndarray
    area: int  # cells of one channel
    width: int
    rows: int  # valid part
    cols: int
    cubic: int
    last_x: int  # the last cell that has a right neighbour
    last_y: int
    right: int  # steps to the next column and row; 0 when there is none
    down: int


class Lines(NamedTuple):
    """Lines from one peak; ``left`` and ``total`` by the second peak's number."""

    second: np.ndarray  # of those still possible
    left: np.ndarray  # samples that may still fail; _ALWAYS more where the ends are near
    total: np.ndarray  # sum of field times line


def sample_positions(samples: int) -> np.ndarray:
    """Where a line is read: the ends 0 and 1, then from the middle outwards.

    >>> sample_positions(5).tolist()
    [0.0, 1.0, 0.5, 0.25, 0.75]
    """
    inner = np.arange(1, samples - 1)
    order = inner[np.argsort(np.abs(inner - (samples - 1) / 2), kind="stable")]
    return np.concatenate(([0, samples - 1], order)) / (samples - 1)


def samples_needed(samples: int, min_ratio: float) -> int:
    """How many samples make more than ``min_ratio`` of them.

    >>> samples_needed(10, 0.8)
    9
    """
    return min(samples, math.floor(samples * min_ratio + 1e-9) + 1)


@kernel
def _cubic_weights(t: float) -> tuple[float, float, float, float]:
    """Weights of four neighbours, Keys' kernel with a = -0.75."""
    a, u = -0.75, 1.0 - t
    w0 = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a
    w1 = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    w2 = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0
    return w0, w1, w2, 1.0 - w0 - w1 - w2


@kernel
def _read_cubic(grid: Grid, base: int, x: float, y: float) -> tuple[float, float]:
    """Both components of a field at a point inside it, from 4 x 4 cells, the border repeated."""
    x0, y0 = int(x), int(y)
    wx, wy = _cubic_weights(x - x0), _cubic_weights(y - y0)
    vx = vy = 0.0
    for i in range(4):
        row = base + min(max(y0 - 1 + i, 0), grid.rows - 1) * grid.width
        for j in range(4):
            cell = row + min(max(x0 - 1 + j, 0), grid.cols - 1)
            weight = wy[i] * wx[j]
            vx += weight * grid.flat[cell]
            vy += weight * grid.flat[cell + grid.area]
    return vx, vy


@njit(inline="always")
def _read_bilinear(grid: Grid, base: int, x: float, y: float) -> tuple[float, float]:
    """Both components of a field at a point inside it; unsigned indices spare a test for negative ones."""
    x0, y0 = min(int(x), grid.last_x), min(int(y), grid.last_y)
    fx, fy = x - x0, y - y0
    flat = grid.flat
    i = np.uint64(base + y0 * grid.width + x0)
    right, down, other = np.uint64(grid.right), np.uint64(grid.down), np.uint64(grid.area)
    j = i + other
    top = flat[i] + (flat[i + right] - flat[i]) * fx
    low = flat[i + down] + (flat[i + down + right] - flat[i + down]) * fx
    top_y = flat[j] + (flat[j + right] - flat[j]) * fx
    low_y = flat[j + down] + (flat[j + down + right] - flat[j + down]) * fx
    return top + (low - top) * fy, top_y + (low_y - top_y) * fy


@njit(inline="always")
def _inside(grid: Grid, x: float, y: float) -> tuple[float, float]:
    """The point of the map nearest to (x, y)."""
    return min(max(x, 0.0), grid.cols - 1.0), min(max(y, 0.0), grid.rows - 1.0)


@kernel
def _try_ends(
    first: np.ndarray, seconds: np.ndarray, paf_threshold: float, fails: int, near: float, lines: Lines
) -> int:
    """Start the lines from one peak to all others with the samples at both ends; how many stay possible.

    ``first`` and the rows of ``seconds`` are x, y and the field there.
    """
    count = 0
    for b in range(seconds.shape[0]):
        dx, dy = seconds[b, 0] - first[0], seconds[b, 1] - first[1]
        square = dx * dx + dy * dy
        bar = paf_threshold * math.sqrt(square)
        start, end = first[2] * dx + first[3] * dy, seconds[b, 2] * dx + seconds[b, 3] * dy
        left = fails - int(start <= bar) - int(end <= bar) + _ALWAYS * int(square < near * near)
        lines.second[count], lines.left[b], lines.total[b] = b, left, start + end
        count += int(left >= 0)
    return count


@njit(inline="always")
def _count_sample(lines: Lines, b: int, value: float, bar: float, kept: int) -> int:
    """Enter one sample of the line to ``b``, which stays in the list while it is possible."""
    left = lines.left[b] - int(value <= bar)
    lines.left[b] = left
    lines.total[b] += value
    lines.second[kept] = b
    return kept + int(left >= 0)


@kernel
def _try_bilinear(
    grid: Grid, base: int, first: np.ndarray, seconds: np.ndarray, t: float, paf_threshold: float,
    lines: Lines, count: int,
) -> int:  # fmt: skip
    """Read one more sample of ``count`` lines; keeps those that are still possible, and says how many."""
    kept = 0
    ax, ay = first[0], first[1]
    for n in range(count):
        b = lines.second[n]
        dx, dy = seconds[b, 0] - ax, seconds[b, 1] - ay
        x, y = _inside(grid, ax + t * dx, ay + t * dy)
        vx, vy = _read_bilinear(grid, base, x, y)
        bar = paf_threshold * math.sqrt(dx * dx + dy * dy)
        kept = _count_sample(lines, b, vx * dx + vy * dy, bar, kept)
    return kept


@kernel
def _try_cubic(
    grid: Grid, base: int, first: np.ndarray, seconds: np.ndarray, t: float, paf_threshold: float,
    lines: Lines, count: int,
) -> int:  # fmt: skip
    """The same with the cubic kernel; a loop of its own keeps the other one small and fast."""
    kept = 0
    for n in range(count):
        b = lines.second[n]
        dx, dy = seconds[b, 0] - first[0], seconds[b, 1] - first[1]
        x, y = _inside(grid, first[0] + t * dx, first[1] + t * dy)
        vx, vy = _read_cubic(grid, base, x, y)
        bar = paf_threshold * math.sqrt(dx * dx + dy * dy)
        kept = _count_sample(lines, b, vx * dx + vy * dy, bar, kept)
    return kept


@kernel
def _ends(grid: Grid, base: int, peaks: np.ndarray) -> np.ndarray:
    """``(N, 4)``: x, y of peaks and the field there."""
    result = np.empty((peaks.shape[0], 4))
    for i in range(peaks.shape[0]):
        x, y = _inside(grid, peaks[i, 0], peaks[i, 1])
        vx, vy = _read_cubic(grid, base, x, y) if grid.cubic else _read_bilinear(grid, base, x, y)
        result[i, 0], result[i, 1], result[i, 2], result[i, 3] = peaks[i, 0], peaks[i, 1], vx, vy
    return result


@kernel
def _score(
    length: float, total: float, left: int, samples: int, free_length: float, near_score: float
) -> float:
    """Mean over the samples of field times direction, less what a long limb loses; 0 when not accepted."""
    least = near_score if left >= _ALWAYS // 2 else 0.0
    if length < _SAME or left < 0 or _ALWAYS // 2 <= left < _ALWAYS:
        return least
    score = total / (samples * length)
    if length > free_length:
        score += free_length / length - 1.0
    return max(score, least)


@kernel
def _grown(links: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate((links, np.empty_like(links))), np.concatenate((scores, np.empty_like(scores)))


@kernel
def find_links(
    pafs: np.ndarray, rows: int, cols: int, limbs: np.ndarray, peaks: np.ndarray, starts: np.ndarray,
    positions: np.ndarray, needed: int, paf_threshold: float, length_factor: float, near: float,
    near_score: float, cubic: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Accepted limbs: ``(M, 3)`` = limb, first peak, second peak, in that order, and ``(M,)`` float32 scores.

    ``positions`` begin with the ends 0 and 1. ``length_factor`` times the field's height is the length
    beyond which limbs lose score (0: never); pairs nearer than ``near`` cells have at least ``near_score``.
    """
    links, scores = np.empty((256, 3), np.int32), np.empty(256, np.float32)
    area = pafs.shape[1] * pafs.shape[2]
    width = pafs.shape[2]
    grid = Grid(
        pafs.ravel(), area, width, rows, cols, cubic, max(cols - 2, 0), max(rows - 2, 0),
        int(cols > 1), width * int(rows > 1),
    )  # fmt: skip
    count = 0
    free_length = length_factor * rows if length_factor > 0.0 else np.inf
    widest = 0
    for k in range(starts.size - 1):
        widest = max(widest, starts[k + 1] - starts[k])
    lines = Lines(np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(widest))
    for limb in range(limbs.shape[0]):
        a0, b0 = starts[limbs[limb, 0]], starts[limbs[limb, 1]]
        a1, b1 = starts[limbs[limb, 0] + 1], starts[limbs[limb, 1] + 1]
        if a0 == a1 or b0 == b1:
            continue
        base = 2 * limb * area
        firsts = _ends(grid, base, peaks[a0:a1])
        seconds = _ends(grid, base, peaks[b0:b1])
        for a in range(a1 - a0):
            first = firsts[a]
            alive = _try_ends(first, seconds, paf_threshold, positions.size - needed, near, lines)
            for t in positions[2:]:
                if alive == 0:
                    break
                if cubic:
                    alive = _try_cubic(grid, base, first, seconds, t, paf_threshold, lines, alive)
                else:
                    alive = _try_bilinear(grid, base, first, seconds, t, paf_threshold, lines, alive)
            for b in lines.second[:alive]:
                length = math.sqrt((seconds[b, 0] - first[0]) ** 2 + (seconds[b, 1] - first[1]) ** 2)
                score = _score(length, lines.total[b], lines.left[b], positions.size, free_length, near_score)
                if score > 0.0:
                    if count == scores.size:
                        links, scores = _grown(links, scores)
                    links[count, 0], links[count, 1], links[count, 2] = limb, a0 + a, b0 + b
                    scores[count] = score
                    count += 1
    return links[:count].copy(), scores[:count].copy()
