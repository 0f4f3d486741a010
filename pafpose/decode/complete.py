# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Keypoints that a person lacks, found by following the field from the neighbours that it has.

A keypoint goes missing when it has no maximum of its own, most often because another person's keypoint lies
next to it, or when a weak limb lost it to a stronger one. From a neighbour the field still leads to where it
should be: a walk along the field ends there, and a climb to the top of the heatmap places it. Two people may
end up sharing a keypoint. Found keypoints never move, and people keep their scores.

All coordinates are in cells, unless they are said to be in pixels.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.decode.interpolation import read_field
from pafpose.decode.peaks import PeakParameters, place_peak
from pafpose.geometry import cell_to_px, px_to_cell
from pafpose.runtime.jit import njit

_FADED = 0.1  # length of the field below which a limb is over
_CLIMB = 6  # steps from the end of a walk to the top of a heatmap, at most


@njit
def complete_people(
    people: np.ndarray, heatmaps: np.ndarray, pafs: np.ndarray, limbs: np.ndarray, stride: int,
    threshold: float, interpolation: int, peak: PeakParameters,
) -> None:  # fmt: skip
    """Add what people ``(N, K, 3)`` in input pixels lack, in place: first next to what they have, then on.

    The height of the heatmap is the confidence; below ``threshold`` a keypoint stays missing.
    """
    num_keypoints = people.shape[1]
    found = np.empty((num_keypoints, 3), np.float32)
    for person in people:
        for _ in range(num_keypoints):
            found[:, 2] = 0
            for kind in range(num_keypoints):
                if person[kind, 2] > 0:
                    continue
                rank, col, row = _search(
                    person, kind, heatmaps, pafs, limbs, stride, threshold, interpolation
                )
                if rank > 0:
                    x, y, height = place_peak(heatmaps[kind], row, col, peak.refine, peak.variance)
                    # halfway up a slope there is no peak to place: stay in the cell
                    x, y = min(max(x, col - 0.5), col + 0.5), min(max(y, row - 0.5), row + 0.5)
                    found[kind] = cell_to_px(x, stride), cell_to_px(y, stride), height
            for kind in range(num_keypoints):
                if found[kind, 2] > 0:
                    person[kind] = found[kind]
            if not found[:, 2].any():
                break


@njit
def _search(
    person: np.ndarray, kind: int, heatmaps: np.ndarray, pafs: np.ndarray, limbs: np.ndarray, stride: int,
    threshold: float, interpolation: int,
) -> tuple[float, int, int]:  # fmt: skip
    """Walk to a missing keypoint from all its neighbours: the best end's rank (0: none), column and row."""
    best, col, row = 0.0, 0, 0
    for limb in range(len(limbs)):
        neighbour, sign = limbs[limb, 0], 1.0
        if limbs[limb, 0] == kind:
            neighbour, sign = limbs[limb, 1], -1.0
        elif limbs[limb, 1] != kind:
            continue
        if person[neighbour, 2] <= 0:
            continue
        x, y = px_to_cell(person[neighbour, 0], stride), px_to_cell(person[neighbour, 1], stride)
        x, y, strength = _walk(pafs, limb, sign, x, y, interpolation)
        if strength == 0:
            continue
        i, j = _climb(heatmaps[kind], x, y)
        height = heatmaps[kind, j, i]
        if height >= threshold and height * strength > best:
            best, col, row = height * strength, i, j
    return best, col, row


@njit
def _walk(
    pafs: np.ndarray, limb: int, sign: float, x: float, y: float, interpolation: int
) -> tuple[float, float, float]:
    """Follow a limb's field, cell by cell, until it fades or turns back: the end and the field's mean length.

    A mean of 0 says that there is no field at the start.
    """
    rows, cols = pafs.shape[1:]
    total, steps, last_x, last_y = 0.0, 0, 0.0, 0.0
    for _ in range(rows + cols):
        vx, vy = read_field(pafs, limb, x, y, interpolation)
        length = math.sqrt(vx * vx + vy * vy)
        if length < _FADED or vx * last_x + vy * last_y < 0:
            break
        x, y = x + sign * vx / length, y + sign * vy / length
        total, steps, last_x, last_y = total + length, steps + 1, vx, vy
        if not (0 <= x <= cols - 1 and 0 <= y <= rows - 1):
            break
    return x, y, total / max(steps, 1)


@njit
def _climb(plane: np.ndarray, x: float, y: float) -> tuple[int, int]:
    """Climb a heatmap from a point, always to the highest of 3x3 cells: column and row of the top."""
    rows, cols = plane.shape
    col, row = min(max(int(x + 0.5), 0), cols - 1), min(max(int(y + 0.5), 0), rows - 1)
    for _ in range(_CLIMB):
        best_row, best_col = row, col
        for i in range(max(row - 1, 0), min(row + 2, rows)):
            for j in range(max(col - 1, 0), min(col + 2, cols)):
                if plane[i, j] > plane[best_row, best_col]:
                    best_row, best_col = i, j
        if best_row == row and best_col == col:
            return col, row
        row, col = best_row, best_col
    return col, row
