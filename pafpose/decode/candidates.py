# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Limb candidates: pairs of peaks that the line integral over the part affinity field says belong together.

All coordinates and lengths are in cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pafpose.decode.interpolation import read_field
from pafpose.decode.peaks import Peaks
from pafpose.runtime.jit import njit

_LINE = np.dtype(  # a line between two peaks that may still become a candidate
    [
        ("limb", np.uint16),
        ("near", np.uint16),  # 1 when the peaks are so near that they need no field
        ("first", np.uint32),  # peak
        ("second", np.uint32),
        ("spare", np.int32),  # samples that may still fail
        ("bar", np.float64),  # what a sample must exceed; it and the samples are multiplied by the length
        ("total", np.float64),  # of all samples
    ]
)
_TOGETHER = 512  # lines at which reading begins
_SAME_POINT = 1e-6  # cells; two ends closer than this have no direction


class Candidates(NamedTuple):
    """Limb candidates, ordered by limb, first peak and second peak."""

    ends: np.ndarray  # (M, 3) int32: limb, first peak, second peak
    scores: np.ndarray  # (M,) float32, above 0


class LineParameters(NamedTuple):
    """How the line between two peaks is read, and when it counts as a limb, as numba takes it."""

    positions: np.ndarray  # of the samples, as shares of the length; see ``sample_positions``
    needed: int  # samples that must pass
    threshold: float  # a sample passes when field times direction is above this
    length_factor: float  # times the height of the field: longer limbs lose score; 0: none do
    near: float  # peaks closer than this may be joined without a field
    near_score: float  # the score that they have at least
    interpolation: int  # an ``Interpolation``


def sample_positions(samples: int) -> np.ndarray:
    """Return where a line is read: at both ends, then from the middle outwards.

    >>> sample_positions(5).tolist()
    [0.0, 1.0, 0.5, 0.25, 0.75]
    """
    inner = np.arange(1, samples - 1)
    order = inner[np.argsort(np.abs(inner - (samples - 1) / 2), kind="stable")]
    return np.concatenate(([0, samples - 1], order)) / (samples - 1)


def samples_needed(samples: int, min_ratio: float) -> int:
    """Return how many samples are more than the share ``min_ratio`` of them.

    >>> samples_needed(10, 0.8)
    9
    """
    return min(samples, math.floor(samples * min_ratio + 1e-9) + 1)


@njit
def find_candidates(
    pafs: np.ndarray, peaks: Peaks, limbs: np.ndarray, parameters: LineParameters
) -> Candidates:
    """Score every pair of peaks that a limb could join, in fields ``(2 L, h, w)``; keep scores above 0.

    All lines are read at one position, then those that can still be accepted at the next. Reading one line
    to its end before the next takes twice as long with 50 people: no processor foresees where a line ends.
    """
    room = _TOGETHER + _most_pairs(limbs, peaks.starts)
    lines, samples, count = np.empty(room, _LINE), np.empty(room), 0
    ends, scores, found = np.empty((256, 3), np.int32), np.empty(256, np.float32), 0
    for limb in range(len(limbs)):
        count = _start_lines(pafs, peaks, limb, limbs[limb], parameters, lines, count)
        if count <= _TOGETHER and limb < len(limbs) - 1:
            continue
        for position in parameters.positions[2:]:
            _read_samples(pafs, peaks.points, position, parameters.interpolation, lines, count, samples)
            count = _keep_possible(lines, count, samples)
        while found + count > len(scores):
            ends = np.concatenate((ends, np.empty_like(ends)))
            scores = np.concatenate((scores, np.empty_like(scores)))
        for n in range(count):
            line = lines[n]
            score = _score(line, peaks.points, pafs.shape[1], parameters)
            ends[found, 0], ends[found, 1], ends[found, 2] = line.limb, line.first, line.second
            scores[found] = score
            found += int(score > 0.0)
        count = 0
    return Candidates(ends[:found].copy(), scores[:found].copy())


@njit
def _most_pairs(limbs: np.ndarray, starts: np.ndarray) -> int:
    """Return the number of pairs of the limb that has most."""
    most = 0
    for first, second in limbs:
        most = max(most, (starts[first + 1] - starts[first]) * (starts[second + 1] - starts[second]))
    return most


@njit
def _start_lines(
    pafs: np.ndarray, peaks: Peaks, limb: int, kinds: np.ndarray, parameters: LineParameters,
    lines: np.ndarray, count: int,
) -> int:  # fmt: skip
    """Add those lines of a limb that their ends leave possible to ``count`` others; return the new count.

    The field at a peak is read once for all of its lines.
    """
    points, starts = peaks.points, peaks.starts
    field = np.empty((len(points), 2))
    for kind in kinds:
        for n in range(starts[kind], starts[kind + 1]):
            vx, vy = read_field(pafs, limb, points[n, 0], points[n, 1], parameters.interpolation)
            field[n, 0], field[n, 1] = vx, vy
    spare, near = len(parameters.positions) - parameters.needed, parameters.near * parameters.near
    for a in range(starts[kinds[0]], starts[kinds[0] + 1]):
        x, y, vx, vy = points[a, 0], points[a, 1], field[a, 0], field[a, 1]
        for b in range(starts[kinds[1]], starts[kinds[1] + 1]):
            dx, dy = points[b, 0] - x, points[b, 1] - y
            square = dx * dx + dy * dy
            bar = parameters.threshold * math.sqrt(square)
            start, end = vx * dx + vy * dy, field[b, 0] * dx + field[b, 1] * dy
            still, close = spare - int(start <= bar) - int(end <= bar), int(square < near)
            line = lines[count]
            line.limb, line.first, line.second, line.near, line.spare = limb, a, b, close, still
            line.bar, line.total = bar, start + end
            count += int(still >= 0) | close
    return count


@njit
def _read_samples(
    pafs: np.ndarray, points: np.ndarray, position: float, interpolation: int, lines: np.ndarray, count: int,
    samples: np.ndarray,
) -> None:  # fmt: skip
    """Write to ``samples`` what the first ``count`` lines read at a position."""
    for n in range(count):
        line = lines[n]
        a, b = line.first, line.second
        dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        x, y = points[a, 0] + position * dx, points[a, 1] + position * dy
        vx, vy = read_field(pafs, line.limb, x, y, interpolation)
        samples[n] = vx * dx + vy * dy


@njit
def _keep_possible(lines: np.ndarray, count: int, samples: np.ndarray) -> int:
    """Add a sample to each of ``count`` lines; move those still possible to the front and count them."""
    kept = 0
    for n in range(count):
        line = lines[n]
        line.spare -= np.int32(samples[n] <= line.bar)
        line.total += samples[n]
        lines[kept] = line
        kept += int(line.spare >= 0) | line.near
    return kept


@njit
def _score(line: np.record, points: np.ndarray, height: int, parameters: LineParameters) -> float:
    """Return the mean of field times direction, less what a long limb loses; 0 for a line that is refused."""
    a, b = line.first, line.second
    length = math.sqrt((points[b, 0] - points[a, 0]) ** 2 + (points[b, 1] - points[a, 1]) ** 2)
    least = parameters.near_score if line.near else 0.0
    if length < _SAME_POINT or line.spare < 0:
        return least
    score = line.total / (len(parameters.positions) * length)
    free_length = parameters.length_factor * height
    if length > free_length > 0.0:
        score += free_length / length - 1.0
    return max(score, least)
