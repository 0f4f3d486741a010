# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Keypoints that a person lacks, found by following the field from the neighbours that it has.

A keypoint goes missing when it has no maximum of its own, most often because another person's keypoint lies
next to it, or when a weak limb lost it to a stronger one. From a neighbour the field still leads to where it
should be: a walk along the field ends there, and a climb to the top of the heatmap near by places it. Two
people may end up sharing a keypoint. Found keypoints never move, and scores of people stay.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pafpose.decode.limbs import Grid, make_grid, read_field
from pafpose.decode.peaks import refine
from pafpose.runtime.jit import njit

_FADED = 0.1  # length of the field below which a limb is over
_CLIMB = 6  # cells from the end of a walk towards the top of a heatmap, at most


@njit
def _walk(grid: Grid, limb: int, sign: float, x: float, y: float) -> tuple[float, float, float]:
    """Follow a limb's field, cell by cell, until it fades or turns back: the end and the mean length of it.

    A mean of 0 says that there is no field at the start.
    """
    total, steps, last_x, last_y = 0.0, 0, 0.0, 0.0
    for _ in range(grid.rows + grid.cols):
        vx, vy = read_field(grid, limb, x, y)
        length = math.sqrt(vx * vx + vy * vy)
        if length < _FADED or vx * last_x + vy * last_y < 0:
            break
        x, y = x + sign * vx / length, y + sign * vy / length
        total, steps, last_x, last_y = total + length, steps + 1, vx, vy
        if not (0 <= x <= grid.cols - 1 and 0 <= y <= grid.rows - 1):
            break
    return x, y, total / max(steps, 1)


@njit
def _climb(plane: np.ndarray, x: float, y: float, rows: int, cols: int) -> tuple[int, int]:
    """Column and row some steps uphill from a point, always to the highest of 3 x 3 cells; a top ends it."""
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


@njit
def _guess(
    person: np.ndarray, kind: int, heatmaps: np.ndarray, grid: Grid, limbs: np.ndarray, threshold: float,
    stride: int,
) -> tuple[float, int, int]:  # fmt: skip
    """The best end of all walks to a keypoint of one kind: its rank (0: none), column and row."""
    plane, centre = heatmaps[kind], (stride - 1) / 2.0
    rank, col, row = 0.0, 0, 0
    for limb in range(len(limbs)):
        here, sign = limbs[limb, 0], 1.0
        if limbs[limb, 0] == kind:
            here, sign = limbs[limb, 1], -1.0
        elif limbs[limb, 1] != kind:
            continue
        if person[here, 2] <= 0:
            continue
        x, y = (person[here, 0] - centre) / stride, (person[here, 1] - centre) / stride
        x, y, strength = _walk(grid, limb, sign, x, y)
        if strength == 0:
            continue
        i, j = _climb(plane, x, y, grid.rows, grid.cols)
        if plane[j, i] >= threshold and plane[j, i] * strength > rank:
            rank, col, row = plane[j, i] * strength, i, j
    return rank, col, row


@njit
def complete_people(
    people: np.ndarray, heatmaps: np.ndarray, pafs: np.ndarray, rows: int, cols: int, plan: Any
) -> None:
    """Fill in, in place, what people ``(N, K, 3)`` in input pixels lack: neighbours first, then theirs.

    The confidence is the height of the heatmap; below ``plan.complete`` a keypoint stays missing.
    """
    grid, stride = make_grid(pafs, rows, cols, plan.cubic), plan.stride
    num_keypoints, centre = people.shape[1], (stride - 1) / 2.0
    found = np.empty((num_keypoints, 3), np.float32)
    for person in people:
        for _ in range(num_keypoints):
            found[:, 2] = 0
            more = False
            for kind in range(num_keypoints):
                if person[kind, 2] > 0:
                    continue
                rank, col, row = _guess(person, kind, heatmaps, grid, plan.limbs, plan.complete, stride)
                if rank > 0:
                    x, y, height = refine(heatmaps[kind], row, col, rows, cols, plan.refine, plan.variance)
                    # half way up a slope a peak cannot be refined: stay in the cell
                    x, y = min(max(x, col - 0.5), col + 0.5), min(max(y, row - 0.5), row + 0.5)
                    found[kind] = x * stride + centre, y * stride + centre, height
                    more = True
            for kind in range(num_keypoints):
                if found[kind, 2] > 0:
                    person[kind] = found[kind]
            if not more:
                break
