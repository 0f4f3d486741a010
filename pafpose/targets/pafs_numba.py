"""Part affinity fields on the CPU: a numba kernel that touches only the cells around a limb.

All positions and distances are float64, in pixels of the network input.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from pafpose.geometry import cell_to_px
from pafpose.runtime.jit import njit
from pafpose.targets.heatmaps_numba import cells_between, is_labelled, point

TOLERANCE = 1e-9  # px; a cell on the border of a limb belongs to it, however its distance is rounded
TIE = 2.0**-20  # distances and magnitudes that agree to this are ties, and the first person wins


class Caps(IntEnum):
    """``paf.caps``: where a limb ends."""

    bbox = 0  # at the box of its two ends, grown by the reach
    none = 1  # exactly at the keypoints
    round = 2  # at the reach around the keypoints: distances are those to the segment


class Profile(IntEnum):
    """``paf.profile``: the length of the vectors at distance d from the axis of a limb of half width w."""

    rigid = 0  # 1
    linear = 1  # 1 - d / w
    cosine = 2  # (1 + cos(pi d / w)) / 2
    gaussian = 3  # exp(-d^2 / (2 w^2))


class PafMerge(IntEnum):
    """``paf.merge``: the vector of a cell that several limbs of one kind cover."""

    mean = 0  # of all of them
    nearest = 1  # of the limb whose axis is nearest
    max = 2  # the longest
    sum = 3  # of all of them
    last = 4  # of the last person


class Limb(NamedTuple):
    """One limb to draw."""

    x: float  # where it starts, px
    y: float
    ux: float  # unit vector to its end
    uy: float
    length: float  # px
    half: float  # half width, px


def reach_in_half_widths(profile: Profile) -> float:
    """Return how far from its axis a limb still covers cells, in half widths."""
    return 3.0 if profile == Profile.gaussian else 1.0


@njit
def draw_pafs(
    keypoints: np.ndarray,
    half_widths: np.ndarray,
    limbs: np.ndarray,
    out: np.ndarray,
    *,
    threshold: float,
    length_scale: tuple[float, float, float],
    caps: int,
    profile: int,
    reach: float,
    merge: int,
    stride: int,
) -> None:
    """Fill ``out (B, 2 L, h, w)`` float32 with the limbs ``(L, 2)`` of people ``keypoints (B, P, K, 3)``.

    A limb is drawn if both its ends are labelled (:func:`is_labelled`) and do not coincide. ``half_widths
    (B, P)`` are in pixels. ``length_scale`` is a reference length in pixels and the smallest and largest
    factor by which the length of a limb scales its half width; a reference of 0 turns that off. ``reach`` is
    in half widths. ``caps``, ``profile`` and ``merge`` are a ``Caps``, a ``Profile`` and a ``PafMerge``.
    """
    reference, smallest, largest = length_scale
    count = np.empty(out.shape[2:], np.int32)  # of limbs of the present kind in each cell
    memory = np.empty((2, *out.shape[2:]))  # what the merge rule must know about them
    batch, people = half_widths.shape
    for b in range(batch):
        out[b] = 0
        for kind in range(len(limbs)):
            count[:] = 0
            for p in range(people):
                x, y, v = point(keypoints, b, p, limbs[kind, 0])
                end_x, end_y, end_v = point(keypoints, b, p, limbs[kind, 1])
                if not (is_labelled(x, y, v, threshold) and is_labelled(end_x, end_y, end_v, threshold)):
                    continue
                dx, dy = end_x - x, end_y - y
                length = math.sqrt(dx * dx + dy * dy)
                if not 0 < length < math.inf:
                    continue
                half = half_widths[b, p]
                if reference > 0:
                    half *= min(max(length / reference, smallest), largest)
                limb = Limb(x, y, dx / length, dy / length, length, max(half, TOLERANCE))
                vectors = out[b, 2 * kind : 2 * kind + 2]
                _add_limb(vectors, count, memory, limb, caps, profile, reach, merge, stride)


@njit
def _add_limb(  # noqa: PLR0917
    vectors: np.ndarray,
    count: np.ndarray,
    memory: np.ndarray,
    limb: Limb,
    caps: int,
    profile: int,
    reach: float,
    merge: int,
    stride: int,
) -> None:
    """Merge one limb into the fields of its kind ``(2, h, w)``, ``count (h, w)`` and ``memory (2, h, w)``."""
    x, y, ux, uy, length, half = limb
    border = reach * half + TOLERANCE
    end_x, end_y = x + ux * length, y + uy * length
    top, bottom = cells_between(min(y, end_y) - border, max(y, end_y) + border, stride, count.shape[0])
    left, right = cells_between(min(x, end_x) - border, max(x, end_x) + border, stride, count.shape[1])
    for i in range(top, bottom):
        dy = cell_to_px(i, stride) - y
        for j in range(left, right):
            distance = _distance(cell_to_px(j, stride) - x, dy, ux, uy, length, caps)
            if distance > border:
                continue
            magnitude = _magnitude(distance, half, profile)
            vx, vy = magnitude * ux, magnitude * uy
            count[i, j] += 1
            if merge == PafMerge.mean:
                share = 1 / count[i, j]
                vectors[0, i, j] += share * (vx - vectors[0, i, j])
                vectors[1, i, j] += share * (vy - vectors[1, i, j])
            elif merge == PafMerge.sum:
                if count[i, j] == 1:
                    memory[0, i, j] = memory[1, i, j] = 0
                memory[0, i, j] += vx
                memory[1, i, j] += vy
                vectors[0, i, j], vectors[1, i, j] = memory[0, i, j], memory[1, i, j]
            else:
                rank = np.rint((distance if merge == PafMerge.nearest else 1 - magnitude) / TIE)
                if count[i, j] == 1 or rank < memory[0, i, j] or merge == PafMerge.last:
                    memory[0, i, j] = rank
                    vectors[0, i, j], vectors[1, i, j] = vx, vy


@njit
def _distance(dx: float, dy: float, ux: float, uy: float, length: float, caps: int) -> float:  # noqa: PLR0917
    """Return the distance in px of a point from a limb, infinite where ``caps`` leaves it out.

    ``dx, dy``: from the start of the limb to the point. The window of a limb is the box of ``Caps.bbox``.
    """
    along, across = ux * dx + uy * dy, abs(ux * dy - uy * dx)
    if caps == Caps.none and not -TOLERANCE <= along <= length + TOLERANCE:
        return math.inf
    if caps == Caps.round:
        return math.hypot(across, max(-along, along - length, 0.0))
    return across


@njit
def _magnitude(distance: float, half: float, profile: int) -> float:
    """Return the length of the vectors at a distance from the axis of a limb, both in px."""
    if profile == Profile.rigid:
        return 1.0
    ratio = distance / half
    if profile == Profile.linear:
        return max(1 - ratio, 0.0)
    if profile == Profile.cosine:
        return (1 + math.cos(math.pi * min(ratio, 1.0))) / 2
    return math.exp(-ratio * ratio / 2)
