"""Targets on the CPU: numba kernels that touch only the cells near a keypoint or a limb.

Coordinates are pixels of the network input, float64; cell ``(i, j)`` has its centre at
``x = stride*j + (stride - 1)/2``. A limb is drawn row by row: all rules (band, caps) are convex, so what it
covers in a row is one interval. Nothing is computed for cells outside. Where something was drawn is kept as
windows, ``(n, 6)`` int32 = picture, channel, first row and one past the last, the same of columns.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.runtime.jit import njit
from pafpose.targets.strips import ONE, WIDTH, ZERO, bell, fill_window, raise_row

TOLERANCE = 1e-9  # px; a cell exactly on a limb's border belongs to it, whichever way its distance is rounded
GRAIN = 2.0**20  # distances and magnitudes that agree to 1/GRAIN are ties
MERGE = {"mean": 0, "sum": 1, "nearest": 2, "max": 3, "last": 4}
MEAN, SUM, NEAREST, LAST = 0, 1, 2, 4
CAPS = {"bbox": 0, "none": 1, "round": 2}
BBOX, NONE, ROUND = 0, 1, 2
PROFILE = {"rigid": 0, "linear": 1, "cosine": 2, "gaussian": 3}
RIGID, LINEAR, COSINE, GAUSSIAN = 0, 1, 2, 3
BACKGROUND = {"none": 0, "max": 1, "sum": 2}
ROW = 16  # cells that could be filled in the time that a row of a window takes to begin
NO_BACKGROUND, MAX_BACKGROUND, SUM_BACKGROUND = 0, 1, 2


@njit
def _clear(  # noqa: PLR0917
    out: np.ndarray, b: int, held: np.ndarray, start: int, depth: int, background: bool, known: bool
) -> int:
    """Give picture b of ``out (B, C, h, w)`` its zeros, and ones in the background, its last channel.

    ``held`` from ``start`` on are the windows, ``depth`` channels deep, that were drawn in it; those of the
    next pictures follow. Where they are many, or not ``known``, the whole picture is filled. Returns the
    start of the next picture's.
    """
    picture, end, effort = out[b], start, 0
    while end < held.shape[0] and held[end, 0] == b:
        effort += (held[end, 3] - held[end, 2]) * (held[end, 5] - held[end, 4] + ROW)
        end += 1
    if not known or effort * (depth + background) > picture.size:
        picture.fill(0)
        if background:
            picture[-1].fill(1)
        return end
    for n in range(start, end):
        i0, i1, j0, j1 = held[n, 2], held[n, 3], held[n, 4], held[n, 5]
        for c in range(held[n, 1] * depth, (held[n, 1] + 1) * depth):
            fill_window(out, b, c, i0, i1, j0, j1, ZERO)
        if background:
            fill_window(out, b, out.shape[1] - 1, i0, i1, j0, j1, ONE)
    return end


@njit
def draw_heatmaps(  # noqa: PLR0917
    keypoints: np.ndarray,
    scales: np.ndarray,
    ratios: np.ndarray,
    out: np.ndarray,
    held: np.ndarray,
    windows: np.ndarray,
    *,
    known: bool,
    threshold: float,
    sigma: float,
    truncate: float,
    merge_sum: bool,
    background: int,
    stride: int,
) -> int:
    """Draw Gaussians of people ``(B, P, K, 3)`` into ``out (B, K [+ 1], h, w)``.

    A keypoint counts when ``v > threshold``. ``sigma`` times ``scales (B, P)`` times ``ratios (K,)`` is the
    size in pixels. ``background`` is a code of ``BACKGROUND``; with 0 ``out`` has K channels. ``held`` are
    the windows that ``out`` was drawn in before, if that is ``known``. Returns how many of ``windows``, with
    room for all keypoints, were written.
    """
    reach = math.sqrt(-2.0 * math.log(truncate)) * (1 + 1e-6) if truncate > 0 else math.inf
    cut, offset = truncate * (1 - 1e-12), (stride - 1) / 2.0
    row, column = np.empty(out.shape[2]), np.empty(max(out.shape[3], WIDTH))
    known_size, step = 0.0, 0.0
    count = cleared = 0
    for b in range(keypoints.shape[0]):
        picture, start = out[b], count
        cleared = _clear(out, b, held, cleared, 1, background != NO_BACKGROUND, known)
        for p in range(keypoints.shape[1]):
            for k in range(keypoints.shape[2]):
                x, y = np.float64(keypoints[b, p, k, 0]), np.float64(keypoints[b, p, k, 1])
                if keypoints[b, p, k, 2] > threshold and math.isfinite(x) and math.isfinite(y):
                    size = max(sigma * scales[b, p] * ratios[k], 1e-6)
                    if size != known_size:
                        known_size, step = size, math.exp(-((stride / size) ** 2) / 2)
                    i0, i1 = _cells(y - reach * size, y + reach * size, offset, stride, out.shape[2])
                    j0, j1 = _cells(x - reach * size, x + reach * size, offset, stride, out.shape[3])
                    windows[count, 0], windows[count, 1] = b, k
                    windows[count, 2], windows[count, 3] = i0, i1
                    windows[count, 4], windows[count, 5] = j0, j1
                    count += 1
                    if i0 < i1 and j0 < j1:
                        _peak(
                            picture,
                            row,
                            column,
                            k,
                            (i0, i1, j0, j1),
                            (x, y, size, step),
                            cut,
                            merge_sum,
                            background,
                            stride,
                        )
        if background == SUM_BACKGROUND:
            for n in range(start, count):
                _clip(picture[-1], windows[n])
    return count


@njit(inline=True)
def _peak(  # noqa: PLR0917
    out: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    k: int,
    window: tuple[int, int, int, int],
    peak: tuple[float, float, float, float],
    cut: float,
    merge_sum: bool,
    background: int,
    stride: int,
) -> None:
    """Merge one Gaussian into its channel; the background, the last channel, follows at once."""
    x, y, size, step = peak
    inverse, last = 1 / (2 * size * size), out.shape[0] - 1
    i0, i1, j0, j1 = window
    bell(row, i0, i1, y, inverse, step, stride)
    if merge_sum or background == SUM_BACKGROUND:
        bell(column, j0, j1, x, inverse, step, stride)
        for i in range(i0, i1):
            _add(out[k, i], out[last, i], column, row[i], cut, j0, j1, merge_sum, background)
        return
    start, end, bounded = j0, j1, background == MAX_BACKGROUND
    if j1 - j0 <= WIDTH <= out.shape[2]:
        start = min(j0, out.shape[2] - WIDTH)
        end = start + WIDTH
        for j in range(start, end):
            column[j] = 0
    bell(column, j0, j1, x, inverse, step, stride)
    for i in range(i0, i1):
        if end - start == WIDTH:
            raise_row(out, k, i, start, WIDTH, column, row[i], cut, bounded)
        else:
            raise_row(out, k, i, start, end - start, column, row[i], cut, bounded)


@njit
def _add(  # noqa: PLR0917
    here: np.ndarray,
    back: np.ndarray,
    column: np.ndarray,
    row: float,
    cut: float,
    j0: int,
    j1: int,
    merge_sum: bool,
    background: int,
) -> None:
    """Merge one row of a Gaussian where sums are asked for, in the channel or in the background."""
    for j in range(j0, j1):
        value = row * column[j]
        if value < cut:
            continue
        old = here[j]
        new = np.float32(min(old + value, 1.0) if merge_sum else value)
        if new <= old:
            continue
        here[j] = new
        if background == MAX_BACKGROUND:
            back[j] = min(back[j], ONE - new)
        elif background == SUM_BACKGROUND:
            back[j] -= new - old


@njit
def _clip(plane: np.ndarray, window: np.ndarray) -> None:
    """Raise what rounding and overlap took below 0 in a window."""
    for i in range(window[2], window[3]):
        for j in range(window[4], window[5]):
            plane[i, j] = max(plane[i, j], np.float32(0))


@njit(inline=True)
def _cells(low: float, high: float, offset: float, stride: int, size: int) -> tuple[int, int]:
    """First cell, and one past the last, whose centres lie in ``[low, high]`` px, within ``size`` cells."""
    first = min(max(np.ceil((low - offset) / stride), 0.0), float(size))
    last = min(max(np.floor((high - offset) / stride), -1.0), size - 1.0)
    return int(first), int(last) + 1


@njit
def draw_pafs(  # noqa: PLR0917
    keypoints: np.ndarray,
    scales: np.ndarray,
    limbs: np.ndarray,
    out: np.ndarray,
    held: np.ndarray,
    windows: np.ndarray,
    owner: np.ndarray,
    count: np.ndarray,
    state: np.ndarray,
    *,
    known: bool,
    turn: int,
    threshold: float,
    width: float,
    limb_scale: tuple[float, float, float],
    caps: int,
    profile: int,
    merge: int,
    stride: int,
) -> int:
    """Draw limbs ``(L, 2)`` of people ``(B, P, K, 3)`` into ``out (B, 2 L, h, w)``.

    ``scales (B, P)`` times ``width`` is the half width; ``limb_scale`` = (reference px, min, max) makes it
    follow the limb's length, reference 0 does not. ``caps``, ``profile``, ``merge``: codes of the tables.
    ``held``, ``known``, ``windows`` and the result as in ``draw_heatmaps``; a window is two channels deep.

    ``owner (h, w)`` holds numbers of at most ``turn``: which limb type of which picture used the cell last.
    ``count (h, w)``: how many limbs it has there. ``state (h, w, 2)``: their sums; or the best rank so far.
    """
    drawn = cleared = 0
    for b in range(keypoints.shape[0]):
        picture = out[b]
        cleared = _clear(out, b, held, cleared, 2, False, known)
        for limb in range(limbs.shape[0]):
            first, second = limbs[limb, 0], limbs[limb, 1]
            for p in range(keypoints.shape[1]):
                if not (keypoints[b, p, first, 2] > threshold and keypoints[b, p, second, 2] > threshold):
                    continue
                x, y = np.float64(keypoints[b, p, first, 0]), np.float64(keypoints[b, p, first, 1])
                vx, vy = (
                    np.float64(keypoints[b, p, second, 0]) - x,
                    np.float64(keypoints[b, p, second, 1]) - y,
                )
                length = math.sqrt(vx * vx + vy * vy)
                if not (length > 0 and math.isfinite(length)):
                    continue
                half = width * scales[b, p]
                if limb_scale[0] > 0:
                    half *= min(max(length / limb_scale[0], limb_scale[1]), limb_scale[2])
                line = (x, y, vx / length, vy / length, length, max(half, TOLERANCE))
                tag = turn + b * limbs.shape[0] + limb + 1
                windows[drawn, 0], windows[drawn, 1] = b, limb
                _limb(picture, windows, drawn, line, owner, count, state, tag, caps, profile, merge, stride)
                drawn += 1
    return drawn


@njit(inline=True)
def _limb(  # noqa: PLR0917
    out: np.ndarray,
    windows: np.ndarray,
    drawn: int,
    line: tuple[float, float, float, float, float, float],
    owner: np.ndarray,
    count: np.ndarray,
    state: np.ndarray,
    tag: int,
    caps: int,
    profile: int,
    merge: int,
    stride: int,
) -> None:
    """Merge one limb into its two channels, row by row; its window becomes the box around what it covers."""
    x, y, ux, uy, length, half = line
    offset, limb = (stride - 1) / 2.0, np.int64(windows[drawn, 1])
    reach = (3 * half if profile == GAUSSIAN else half) + TOLERANCE
    top, bottom = min(y, y + uy * length) - reach, max(y, y + uy * length) + reach
    i0, i1 = _cells(top, bottom, offset, stride, out.shape[1])
    per_x, per_y = 1 / ux if ux != 0 else math.inf, 1 / uy if uy != 0 else math.inf
    left, right = out.shape[2], 0
    tag32, ux32, uy32 = np.int32(tag), np.float32(ux), np.float32(uy)
    for i in range(i0, i1):
        dy = stride * i + offset - y
        low, high = _row(dy, ux, uy, per_x, per_y, length, reach, caps)
        j0, j1 = _cells(x + low, x + high, offset, stride, out.shape[2])
        if j0 < j1:
            left, right = min(left, j0), max(right, j1)
        if merge == MEAN and profile == RIGID:
            for j in range(j0, j1):
                if owner[i, j] != tag32:
                    owner[i, j], count[i, j] = tag32, ONE
                    out[2 * limb, i, j], out[2 * limb + 1, i, j] = ux32, uy32
                else:
                    count[i, j] += ONE
                    share = ONE / count[i, j]
                    out[2 * limb, i, j] += (ux32 - out[2 * limb, i, j]) * share
                    out[2 * limb + 1, i, j] += (uy32 - out[2 * limb + 1, i, j]) * share
            continue
        for j in range(j0, j1):
            value, distance = 1.0, 0.0
            if profile != RIGID or merge == NEAREST:
                distance = _distance(stride * j + offset - x, dy, ux, uy, length, caps)
                value = _magnitude(distance, half, profile)
            new = owner[i, j] != tag
            owner[i, j] = tag
            if merge in (MEAN, SUM):
                if new:
                    state[i, j, 0] = state[i, j, 1] = count[i, j] = 0
                state[i, j, 0] += ux * value
                state[i, j, 1] += uy * value
                count[i, j] += 1
                share = 1 / np.float64(count[i, j]) if merge == MEAN and not new else 1.0
                out[2 * limb, i, j] = state[i, j, 0] * share
                out[2 * limb + 1, i, j] = state[i, j, 1] * share
                continue
            rank = np.rint((distance if merge == NEAREST else 1 - value) * GRAIN)
            if new or rank < state[i, j, 0] or merge == LAST:
                state[i, j, 0] = rank
                out[2 * limb, i, j] = ux * value
                out[2 * limb + 1, i, j] = uy * value
    windows[drawn, 2], windows[drawn, 3] = i0, i1
    windows[drawn, 4], windows[drawn, 5] = left, right


@njit(inline=True)
def _distance(dx: float, dy: float, ux: float, uy: float, length: float, caps: int) -> float:  # noqa: PLR0917
    """Distance in px from a limb's axis (from the segment when its ends are round)."""
    distance = abs(ux * dy - uy * dx)
    if caps != ROUND:
        return distance
    along = ux * dx + uy * dy
    return math.hypot(distance, max(-along, along - length, 0.0))


@njit(inline=True)
def _row(  # noqa: PLR0917
    dy: float, ux: float, uy: float, per_x: float, per_y: float, length: float, reach: float, caps: int
) -> tuple[float, float]:
    """Interval of ``x - x1`` that the limb covers at height ``y - y1 = dy``; empty when low > high.

    ``per_x`` and ``per_y`` are 1/ux and 1/uy, infinite for 1/0.
    """
    low, high = _strip(ux * dy, -per_y, -reach, reach)
    if caps == BBOX:
        return max(low, min(0.0, ux * length) - reach), min(high, max(0.0, ux * length) + reach)
    left, right = _strip(uy * dy, per_x, -TOLERANCE, length + TOLERANCE)
    low, high = max(low, left), min(high, right)
    if caps == NONE:
        return low, high
    if low > high:
        low, high = math.inf, -math.inf
    for end in (0.0, length):  # the two discs; the union is convex, so the hull of the intervals is it
        chord = reach * reach - (dy - uy * end) ** 2
        if chord >= 0:
            chord = math.sqrt(chord)
            low, high = min(low, ux * end - chord), max(high, ux * end + chord)
    return low, high


@njit(inline=True)
def _strip(constant: float, per_slope: float, low: float, high: float) -> tuple[float, float]:
    """Interval of x in which ``low <= constant + x / per_slope <= high``; a slope of 0 is infinite here."""
    if math.isinf(per_slope):
        if low <= constant <= high:
            return -math.inf, math.inf
        return math.inf, -math.inf
    a, b = (low - constant) * per_slope, (high - constant) * per_slope
    return min(a, b), max(a, b)


@njit(inline=True)
def _magnitude(distance: float, half: float, profile: int) -> float:
    if profile == RIGID:
        return 1.0
    ratio = distance / half
    if profile == LINEAR:
        return max(1 - ratio, 0.0)
    if profile == COSINE:
        return (1 + math.cos(math.pi * min(ratio, 1.0))) / 2
    return math.exp(-ratio * ratio / 2)
