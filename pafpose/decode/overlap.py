# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Peaks that overlap: a small patch of a heatmap explained by one or two Gaussians of known width.

Add ``d^2 / (2 sigma^2)`` to the logarithm of targets merged with ``max``, and each Gaussian becomes a plane
with the slope centre / sigma^2; the map is the highest of them. So one or two planes are fitted to a patch:
assign each cell to the higher plane, fit by weighted least squares, repeat (Magnani and Boyd 2009, "Convex
piecewise-linear fitting"). That separates keypoints that are too close to make two maxima. All coordinates
are in cells.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.decode.peaks import Peaks
from pafpose.decode.sorting import lower_median
from pafpose.runtime.jit import njit

_RADIUS = 2  # of the patch
FAINT = 0.3  # cells below this share of the peak are left out, and peaks below this height are not split
_CLOSEST = 0.3  # cells between two peaks that are told apart
_WEAKEST = 0.8  # of two overlapping peaks the lower has at least this share of the higher
MISFIT = 1.5  # the largest gap allowed beside a peak, in allowed rms errors
DOUBT = 3.0  # a peak is odd when it fits this many times worse than the picture's usual one
_ENOUGH = 8  # peaks whose median misfit means something
_BETTER = 0.5  # two Gaussians must leave less than this share of the error of one, of any width
_SURE = 0.1  # of the allowed error: below it one Gaussian of the known width is not doubted
_LOG_EXPLAINED = math.log(0.95)  # a cell belongs to a peak that gives this share of its value
_CELL = np.dtype(  # a cell of a patch that belongs to the peak
    [
        ("x", np.float64),  # from the peak's cell
        ("y", np.float64),
        ("value", np.float64),
        ("square", np.float64),  # d^2 = x^2 + y^2
        ("log", np.float64),  # of the value, plus d^2 / (2 sigma^2): a Gaussian becomes a plane
    ]
)
_ROUNDS = 12
_DIRECTIONS = 4


@njit
def split_peaks(
    heatmaps: np.ndarray, cells: np.ndarray, peaks: Peaks, variance: float, error: float
) -> Peaks:
    """Correct peaks that others distort, and add those hidden beside them, after the others of their type.

    ``cells`` ``(N, 2)`` are the rows and columns of the peaks, ``variance`` (cells squared) is that of the
    picture's Gaussians. One or two of these must explain a patch to the rms ``error``, a share of the height.
    """
    gaps, clear, count = np.zeros(len(cells)), np.empty(len(cells)), 0
    for k in range(len(heatmaps)):
        plane = heatmaps[k]
        for n in range(peaks.starts[k], peaks.starts[k + 1]):
            y, x = cells[n, 0], cells[n, 1]
            if plane[y, x] >= FAINT:
                gaps[n] = clear[count] = _misfit(plane, y, x, peaks.points[n], variance)
                count += 1
    limit = _misfit_limit(clear[:count], error)
    if not np.any(gaps > limit):
        return peaks
    points, starts = np.empty((2 * len(cells), 3)), np.zeros_like(peaks.starts)
    for k in range(len(starts) - 1):
        first, last = peaks.starts[k], peaks.starts[k + 1]
        own = points[starts[k] :]
        own[: last - first] = peaks.points[first:last]
        odd = np.flatnonzero(gaps[first:last] > limit)
        added = _split(heatmaps[k], cells[first:last], odd, own, variance, error, limit)
        starts[k + 1] = starts[k] + last - first + added
    return Peaks(points[: starts[-1]].copy(), starts)


@njit
def _misfit_limit(misfits: np.ndarray, error: float) -> float:
    """Return the misfit above which a peak is odd, given those of the picture's clear peaks.

    Noise and what a network is unsure of distort all peaks of a picture, and two Gaussians explain such a
    distortion as well as a real neighbour does. So a peak is compared with the picture's other peaks.
    """
    usual = lower_median(misfits) if len(misfits) >= _ENOUGH else 0.0
    return max(MISFIT * error, DOUBT * usual)


@njit
def _split(
    plane: np.ndarray, cells: np.ndarray, odd: np.ndarray, peaks: np.ndarray, variance: float, error: float,
    limit: float,
) -> int:  # fmt: skip
    """Correct the odd peaks of one type, append those hidden beside them to ``peaks``, return how many.

    The first round only corrects, so that the second, which may add, knows the neighbours well.
    """
    total, found = len(cells), np.empty((2, 3))
    for second in range(2):
        known = peaks[: len(cells)].copy()
        for i in odd:
            y, x = cells[i, 0], cells[i, 1]
            if second and _misfit(plane, y, x, known[i], variance) <= limit:
                continue
            number = _explain(plane, y, x, known, i, variance, error, 1 + second, found)
            if number > 0:
                peaks[i] = found[0]
            if number == 2:
                peaks[total] = found[1]
                total += 1
    return total - len(cells)


@njit
def _gaussian(peak: np.ndarray, x: float, y: float, variance: float) -> float:
    """Return the height of a peak's Gaussian at a point."""
    return peak[2] * math.exp(-((x - peak[0]) ** 2 + (y - peak[1]) ** 2) / (2.0 * variance))


@njit
def _misfit(plane: np.ndarray, y: int, x: int, peak: np.ndarray, variance: float) -> float:
    """Return the largest gap between the 3x3 cells at a peak and its Gaussian, as a share of its height."""
    rows, cols = plane.shape
    dx, dy = x - peak[0], y - peak[1]
    centre, bend = _gaussian(peak, x, y, variance), math.exp(-0.5 / variance)
    step_x, step_y = math.exp(dx / variance), math.exp(dy / variance)
    left, right = bend * step_x, bend / step_x  # what a step to the side makes of the height
    worst = 0.0
    for j in range(max(y - 1, 0), min(y + 2, rows)):
        height = centre
        if j < y:
            height *= bend * step_y
        elif j > y:
            height *= bend / step_y
        worst = max(worst, abs(plane[j, x] - height))
        if x > 0:
            worst = max(worst, abs(plane[j, x - 1] - height * left))
        if x < cols - 1:
            worst = max(worst, abs(plane[j, x + 1] - height * right))
    return worst / peak[2]


@njit
def _explain(
    plane: np.ndarray, y: int, x: int, peaks: np.ndarray, own: int, variance: float, error: float, most: int,
    result: np.ndarray,
) -> int:  # fmt: skip
    """Explain the patch around a peak's cell by at most ``most`` Gaussians, written to ``result`` ``(2, 3)``.

    ``peaks`` are those of the type, ``own`` is the one at the cell. Returns how many explain the patch to
    ``error`` (rms, as a share of the height); 0 when neither one nor two do, or when one of another width
    does better.
    """
    cells = _make_patch(plane, y, x, peaks, own, variance)
    member, planes = np.zeros(len(cells), np.int64), np.zeros((2, 3))
    if len(cells) < 3 or not _fit(cells, cells["log"], member, 0, planes[0]):
        return 0
    allowed = error * peaks[own, 2]
    single, free = _error(cells, member, planes, variance), _free_error(cells, member, planes[0], variance)
    if single <= allowed and (free >= _BETTER * single or single <= _SURE * allowed):
        return int(_to_peak(planes[0], y, x, variance, result[0]))
    if most == 1 or not _fit_pair(cells, min(allowed, _BETTER * min(single, free)), member, planes, variance):
        return 0
    for n in range(2):
        if not _to_peak(planes[n], y, x, variance, result[n]):
            return 0
    return 2 * int(_distinct(result))


@njit
def _make_patch(
    plane: np.ndarray, y: int, x: int, peaks: np.ndarray, own: int, variance: float
) -> np.ndarray:
    """Collect the cells around a peak's cell that are not faint and that no other peak explains."""
    others = _neighbours(peaks, own)
    cells, n = np.empty((2 * _RADIUS + 1) ** 2, _CELL), 0
    for j in range(max(y - _RADIUS, 0), min(y + _RADIUS + 1, plane.shape[0])):
        for i in range(max(x - _RADIUS, 0), min(x + _RADIUS + 1, plane.shape[1])):
            value = np.float64(plane[j, i])
            if value < FAINT * plane[y, x]:
                continue
            log = math.log(value)
            if _explained(others, i, j, log, variance):
                continue
            cell, dx, dy = cells[n], float(i - x), float(j - y)
            cell.x, cell.y, cell.value, cell.square = dx, dy, value, dx * dx + dy * dy
            cell.log = log + cell.square / (2.0 * variance)
            n += 1
    return cells[:n]


@njit(inline=True)
def _neighbours(peaks: np.ndarray, own: int) -> np.ndarray:
    """Return column, row and log height of the peaks whose Gaussians may reach the patch around one."""
    reach = 3.0 + _RADIUS
    chosen, n = np.empty((len(peaks), 3)), 0
    for i in range(len(peaks)):
        x, y = peaks[i, 0], peaks[i, 1]
        if i != own and abs(x - peaks[own, 0]) < reach and abs(y - peaks[own, 1]) < reach:
            chosen[n, 0], chosen[n, 1], chosen[n, 2] = x, y, math.log(peaks[i, 2])
            n += 1
    return chosen[:n]


@njit(inline=True)
def _explained(neighbours: np.ndarray, x: int, y: int, log: float, variance: float) -> bool:
    """Whether one of the neighbours explains a cell, given the logarithm of its value."""
    for i in range(len(neighbours)):
        square = (x - neighbours[i, 0]) ** 2 + (y - neighbours[i, 1]) ** 2
        if neighbours[i, 2] - square / (2.0 * variance) > log + _LOG_EXPLAINED:
            return True
    return False


@njit
def _fit(cells: np.ndarray, target: np.ndarray, member: np.ndarray, which: int, fitted: np.ndarray) -> bool:
    """Fit the plane ``a + b x + c y`` to a target of the member cells, weighted by value^2.

    Writes a, b and c to ``fitted``; False when the cells do not determine a plane.
    """
    sw = sx = sy = sxx = sxy = syy = su = sxu = syu = 0.0
    for i in range(len(cells)):
        if member[i] != which:
            continue
        x, y, w, u = cells[i].x, cells[i].y, cells[i].value ** 2, target[i]
        sw += w
        sx += w * x
        sy += w * y
        sxx += w * x * x
        sxy += w * x * y
        syy += w * y * y
        su += w * u
        sxu += w * x * u
        syu += w * y * u
    if sw <= 0.0:
        return False
    mx, my, mu = sx / sw, sy / sw, su / sw
    cxx, cxy, cyy = sxx / sw - mx * mx, sxy / sw - mx * my, syy / sw - my * my
    cxu, cyu = sxu / sw - mx * mu, syu / sw - my * mu
    det = cxx * cyy - cxy * cxy
    if det < 1e-4:
        return False
    fitted[1] = (cxu * cyy - cyu * cxy) / det
    fitted[2] = (cyu * cxx - cxu * cxy) / det
    fitted[0] = mu - fitted[1] * mx - fitted[2] * my
    return True


@njit
def _error(cells: np.ndarray, member: np.ndarray, planes: np.ndarray, variance: float) -> float:
    """Return the root mean square, over the cells, of value minus Gaussian."""
    total = 0.0
    for i in range(len(cells)):
        x, y, which = cells[i].x, cells[i].y, member[i]
        log = planes[which, 0] + planes[which, 1] * x + planes[which, 2] * y
        log -= (x * x + y * y) / (2.0 * variance)
        total += (cells[i].value - math.exp(min(log, 1.0))) ** 2
    return math.sqrt(total / len(cells))


@njit
def _free_error(cells: np.ndarray, member: np.ndarray, plane: np.ndarray, variance: float) -> float:
    """Return the error that is left when one Gaussian may also be wider or narrower than it should be.

    ``plane`` is the fit at the known width; d^2 joins it as a third regressor, less its own fitted plane.
    """
    bowl = np.zeros(3)
    _fit(cells, cells["square"], member, 0, bowl)
    top = low = total = 0.0
    for cell in cells:
        weight, rest = cell.value**2, cell.square - bowl[0] - bowl[1] * cell.x - bowl[2] * cell.y
        top += weight * rest * (cell.log - plane[0] - plane[1] * cell.x - plane[2] * cell.y)
        low += weight * rest * rest
    bend = top / low if low > 0.0 else 0.0
    for cell in cells:
        log = plane[0] + plane[1] * cell.x + plane[2] * cell.y - cell.square / (2.0 * variance)
        log += bend * (cell.square - bowl[0] - bowl[1] * cell.x - bowl[2] * cell.y)
        total += (cell.value - math.exp(min(log, 1.0))) ** 2
    return math.sqrt(total / len(cells))


@njit
def _fit_pair(
    cells: np.ndarray, limit: float, member: np.ndarray, planes: np.ndarray, variance: float
) -> bool:
    """Fit two planes, starting from cuts in several directions, and write the best pair to ``planes``.

    Returns whether its error is below ``limit``.
    """
    best, lowest = np.zeros((2, 3)), limit
    for n in range(_DIRECTIONS):
        error = _fit_two(cells, n * math.pi / _DIRECTIONS, member, planes, variance)
        if error < lowest:
            lowest = error
            best[:] = planes
    planes[:] = best
    return lowest < limit


@njit
def _fit_two(
    cells: np.ndarray, angle: float, member: np.ndarray, planes: np.ndarray, variance: float
) -> float:
    """Fit two planes, starting from a cut through the middle at an angle; return their error.

    It is infinite when the cells do not determine two planes.
    """
    mx, my = _centre(cells)
    along_x, along_y = math.cos(angle), math.sin(angle)
    for i in range(len(cells)):
        member[i] = int((cells[i].x - mx) * along_x + (cells[i].y - my) * along_y > 0.0)
    for _ in range(_ROUNDS):
        if not _fit(cells, cells["log"], member, 0, planes[0]) or not _fit(
            cells, cells["log"], member, 1, planes[1]
        ):
            return np.inf
        if not _assign(cells, planes, member):
            break
    return _error(cells, member, planes, variance)


@njit(inline=True)
def _centre(cells: np.ndarray) -> tuple[float, float]:
    """Return the middle of the cells, weighted by value."""
    weight = sx = sy = 0.0
    for cell in cells:
        weight += cell.value
        sx += cell.x * cell.value
        sy += cell.y * cell.value
    return sx / weight, sy / weight


@njit(inline=True)
def _assign(cells: np.ndarray, planes: np.ndarray, member: np.ndarray) -> bool:
    """Give each cell to the higher of two planes; return whether any changed sides."""
    changed = False
    a, b, c = planes[1, 0] - planes[0, 0], planes[1, 1] - planes[0, 1], planes[1, 2] - planes[0, 2]
    for i in range(len(cells)):
        side = int(a + b * cells[i].x + c * cells[i].y > 0.0)
        changed = changed or side != member[i]
        member[i] = side
    return changed


@njit(inline=True)
def _to_peak(plane: np.ndarray, y: int, x: int, variance: float, peak: np.ndarray) -> bool:
    """Write the Gaussian of a plane to ``peak``; return whether its centre lies in the patch."""
    dx, dy = plane[1] * variance, plane[2] * variance
    peak[0], peak[1] = x + dx, y + dy
    peak[2] = math.exp(min(plane[0] + (dx * dx + dy * dy) / (2.0 * variance), 1.0))
    return max(abs(dx), abs(dy)) <= _RADIUS


@njit(inline=True)
def _distinct(pair: np.ndarray) -> bool:
    """Whether two peaks are far enough apart and of similar height."""
    low, high = min(pair[0, 2], pair[1, 2]), max(pair[0, 2], pair[1, 2])
    far = (pair[0, 0] - pair[1, 0]) ** 2 + (pair[0, 1] - pair[1, 1]) ** 2 >= _CLOSEST**2
    return far and low >= _WEAKEST * high
