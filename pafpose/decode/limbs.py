# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Limb candidates: pairs of peaks whose line integral over the part affinity field says they belong together.

Everything in cells. The field at the two ends is read once per peak, so the first two samples of a pair cost
two products; the others follow from the middle outwards. A pair is given up at the first sample that makes
acceptance impossible: a test that costs little and can lose no true limb. Pairs are filtered in lists, sample
by sample, because a branch per pair that nobody can predict costs more than the arithmetic, and reading many
pairs at once runs in vector registers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pafpose.runtime.jit import njit

INTERPOLATION = {"bilinear": 0, "cubic": 1}
_ALWAYS = 1 << 20  # more samples than any line has
_TOGETHER = 2048  # lines that are read together: what they need stays in the nearest cache
_PEAK, _LIMB, _PEAKS = 24, 48, (1 << 24) - 1  # bits of a line's name
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
    """Lines between peaks that are still possible, one after the other, and what was read of them."""

    name: np.ndarray  # int64: limb, first and second peak; see ``_named``
    left: np.ndarray  # int32, samples that may still fail; _ALWAYS more where the ends are near
    total: np.ndarray  # sum of field times line
    bar: np.ndarray  # what a sample must exceed
    value: np.ndarray  # one sample of each line


@njit(inline=True)
def _named(line: int) -> tuple[int, int, int]:
    """Limb, first and second peak of a line's name."""
    return line >> _LIMB, (line >> _PEAK) & _PEAKS, line & _PEAKS


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


@njit
def _cubic_weights(t: float) -> tuple[float, float, float, float]:
    """Weights of four neighbours, Keys' kernel with a = -0.75."""
    a, u = -0.75, 1.0 - t
    w0 = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a
    w1 = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    w2 = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0
    return w0, w1, w2, 1.0 - w0 - w1 - w2


@njit
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


@njit(inline=True)
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


@njit(inline=True)
def _inside(grid: Grid, x: float, y: float) -> tuple[float, float]:
    """The point of the map nearest to (x, y)."""
    return min(max(x, 0.0), grid.cols - 1.0), min(max(y, 0.0), grid.rows - 1.0)


@njit
def make_grid(pafs: np.ndarray, rows: int, cols: int, cubic: int) -> Grid:
    """The first ``rows`` x ``cols`` cells of contiguous fields ``(2 L, h, w)``."""
    area, width = pafs.shape[1] * pafs.shape[2], pafs.shape[2]
    return Grid(
        pafs.ravel(), area, width, rows, cols, cubic, max(cols - 2, 0), max(rows - 2, 0),
        int(cols > 1), width * int(rows > 1),
    )  # fmt: skip


@njit
def read_field(grid: Grid, limb: int, x: float, y: float) -> tuple[float, float]:
    """A limb's field at a point, or at the point of the map nearest to it."""
    x, y = _inside(grid, x, y)
    base = 2 * limb * grid.area
    return _read_cubic(grid, base, x, y) if grid.cubic else _read_bilinear(grid, base, x, y)


@njit
def _read_peaks(grid: Grid, limb: int, places: np.ndarray, begin: int, end: int, field: np.ndarray) -> None:
    """Write a limb's field at the peaks ``begin .. end`` of ``places (2, N)`` to ``field (2, N)``."""
    base = 2 * limb * grid.area
    for i in range(begin, end):
        x, y = _inside(grid, places[0, i], places[1, i])
        vx, vy = _read_cubic(grid, base, x, y) if grid.cubic else _read_bilinear(grid, base, x, y)
        field[0, i], field[1, i] = vx, vy


@njit
def _read_ends(
    x: float, y: float, vx: float, vy: float, places: np.ndarray, field: np.ndarray, begin: int, number: int,
    paf_threshold: float, fails: int, near: float, left: np.ndarray, total: np.ndarray, bar: np.ndarray,
) -> None:  # fmt: skip
    """The samples at both ends of the lines from one peak, with the field there, to ``number`` others."""
    for n in range(number):
        b = begin + n
        dx, dy = places[0, b] - x, places[1, b] - y
        square = dx * dx + dy * dy
        bar[n] = paf_threshold * math.sqrt(square)
        start, end = vx * dx + vy * dy, field[0, b] * dx + field[1, b] * dy
        total[n] = start + end
        left[n] = fails - np.int32(start <= bar[n]) - np.int32(end <= bar[n])
        left[n] += np.int32(_ALWAYS) * np.int32(square < near * near)


@njit
def _start(lines: Lines, count: int, line: int, number: int, room: Lines) -> int:
    """Add the lines from name ``line`` on whose ends, in ``room``, leave them possible; their number."""
    for n in range(number):
        lines.name[count] = line + n
        lines.left[count], lines.total[count], lines.bar[count] = room.left[n], room.total[n], room.bar[n]
        count += int(room.left[n] >= 0)
    return count


@njit
def _read_lines(
    flat: np.ndarray, grid: Grid, places: np.ndarray, name: np.ndarray, t: float, count: int,
    value: np.ndarray,
) -> None:  # fmt: skip
    """The sample at ``t`` of every line, read bilinearly: a loop without branches, in vector registers."""
    last_x, last_y, end_x, end_y = grid.last_x, grid.last_y, grid.cols - 1.0, grid.rows - 1.0
    right, down, other = np.uint64(grid.right), np.uint64(grid.down), np.uint64(grid.area)
    both, width = 2 * grid.area, grid.width
    for n in range(count):
        limb, a, b = _named(name[n])
        dx, dy = places[0, b] - places[0, a], places[1, b] - places[1, a]
        x = min(max(places[0, a] + t * dx, 0.0), end_x)
        y = min(max(places[1, a] + t * dy, 0.0), end_y)
        x0, y0 = min(int(x), last_x), min(int(y), last_y)
        fx, fy = x - x0, y - y0
        i = np.uint64(limb * both + y0 * width + x0)
        j = i + other
        top = flat[i] + (flat[i + right] - flat[i]) * fx
        low = flat[i + down] + (flat[i + down + right] - flat[i + down]) * fx
        top_y = flat[j] + (flat[j + right] - flat[j]) * fx
        low_y = flat[j + down] + (flat[j + down + right] - flat[j + down]) * fx
        value[n] = (top + (low - top) * fy) * dx + (top_y + (low_y - top_y) * fy) * dy


@njit
def _read_lines_cubic(grid: Grid, places: np.ndarray, lines: Lines, t: float, count: int) -> None:
    """The same with the cubic kernel."""
    for n in range(count):
        limb, a, b = _named(lines.name[n])
        dx, dy = places[0, b] - places[0, a], places[1, b] - places[1, a]
        x, y = _inside(grid, places[0, a] + t * dx, places[1, a] + t * dy)
        vx, vy = _read_cubic(grid, 2 * limb * grid.area, x, y)
        lines.value[n] = vx * dx + vy * dy


@njit
def _keep_possible(lines: Lines, count: int) -> int:
    """Enter the values that were read; lines that are still possible move up. How many there are."""
    kept = 0
    for n in range(count):
        value, bar = lines.value[n], lines.bar[n]
        left, total = lines.left[n] - np.int32(value <= bar), lines.total[n] + value
        lines.name[kept] = lines.name[n]
        lines.left[kept], lines.total[kept], lines.bar[kept] = left, total, bar
        kept += int(left >= 0)
    return kept


@njit
def _read_inner(grid: Grid, places: np.ndarray, lines: Lines, count: int, positions: np.ndarray) -> int:
    """Read the lines sample by sample; how many are possible after the last."""
    for t in positions[2:]:
        if count == 0:
            break
        if grid.cubic:
            _read_lines_cubic(grid, places, lines, t, count)
        else:
            _read_lines(grid.flat, grid, places, lines.name, t, count, lines.value)
        count = _keep_possible(lines, count)
    return count


@njit
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


@njit
def _accept(
    grid: Grid, places: np.ndarray, lines: Lines, count: int, positions: np.ndarray, free_length: float,
    near_score: float, links: np.ndarray, scores: np.ndarray, accepted: int,
) -> tuple[np.ndarray, np.ndarray, int]:  # fmt: skip
    """Read ``count`` lines to the end and add those with a score to the links, which may have to grow."""
    count = _read_inner(grid, places, lines, count, positions)
    while accepted + count > scores.size:
        links = np.concatenate((links, np.empty_like(links)))
        scores = np.concatenate((scores, np.empty_like(scores)))
    for n in range(count):
        limb, a, b = _named(lines.name[n])
        length = math.sqrt((places[0, b] - places[0, a]) ** 2 + (places[1, b] - places[1, a]) ** 2)
        score = _score(length, lines.total[n], lines.left[n], positions.size, free_length, near_score)
        links[accepted, 0], links[accepted, 1], links[accepted, 2] = limb, a, b
        scores[accepted] = score
        accepted += int(score > 0.0)
    return links, scores, accepted


@njit
def _lines(size: int) -> Lines:
    values = np.empty((3, size))
    return Lines(np.empty(size, np.int64), np.empty(size, np.int32), values[0], values[1], values[2])


@njit
def find_links(
    pafs: np.ndarray, rows: int, cols: int, limbs: np.ndarray, peaks: np.ndarray, starts: np.ndarray,
    positions: np.ndarray, needed: int, paf_threshold: float, length_factor: float, near: float,
    near_score: float, cubic: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Accepted limbs: ``(M, 3)`` = limb, first peak, second peak, in that order, and ``(M,)`` float32 scores.

    ``positions`` begin with the ends 0 and 1. ``length_factor`` times the field's height is the length
    beyond which limbs lose score (0: never); pairs nearer than ``near`` cells have at least ``near_score``.
    """
    links, scores, accepted = np.empty((256, 3), np.int32), np.empty(256, np.float32), 0
    grid = make_grid(pafs, rows, cols, cubic)
    free_length = length_factor * rows if length_factor > 0.0 else np.inf
    number = peaks.shape[0]
    places, field = np.empty((2, number)), np.empty((2, number))
    for i in range(number):
        places[0, i], places[1, i] = peaks[i, 0], peaks[i, 1]
    lines, room, count = _lines(_TOGETHER + number), _lines(number), 0
    for limb in range(limbs.shape[0]):
        a0, b0 = starts[limbs[limb, 0]], starts[limbs[limb, 1]]
        a1, b1 = starts[limbs[limb, 0] + 1], starts[limbs[limb, 1] + 1]
        if a0 == a1 or b0 == b1:
            continue
        _read_peaks(grid, limb, places, a0, a1, field)
        _read_peaks(grid, limb, places, b0, b1, field)
        for a in range(a0, a1):
            _read_ends(
                places[0, a], places[1, a], field[0, a], field[1, a], places, field, b0, b1 - b0,
                paf_threshold, positions.size - needed, near, room.left, room.total, room.bar,
            )  # fmt: skip
            count = _start(lines, count, (limb << _LIMB) | (a << _PEAK) | b0, b1 - b0, room)
            if count > _TOGETHER:
                links, scores, accepted = _accept(
                    grid, places, lines, count, positions, free_length, near_score, links, scores, accepted
                )
                count = 0
    links, scores, accepted = _accept(
        grid, places, lines, count, positions, free_length, near_score, links, scores, accepted
    )
    return links[:accepted].copy(), scores[:accepted].copy()
