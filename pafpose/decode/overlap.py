# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Peaks that overlap: a small patch of a heatmap explained by one or two Gaussians of known width.

Targets merged with ``max`` are, after adding ``d^2 / (2 sigma^2)`` to the logarithm, the maximum of one plane
per Gaussian: its slope is the centre over ``sigma^2``. Fitting one or two planes (assign each cell to the
higher plane, fit by weighted least squares, repeat; Magnani and Boyd 2009, "Convex piecewise-linear fitting")
separates keypoints that are too close to make two maxima. Coordinates are in cells around the peak's cell.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.runtime.jit import njit

_RADIUS = 2  # of the patch
FAINT = 0.3  # cells below this share of the peak are left out; so are peaks below this value
_CLOSEST = 0.3  # cells between two peaks that are told apart
_WEAKEST = 0.8  # of two overlapping peaks the lower has at least this share of the higher
MISFIT = 1.5  # the largest gap allowed beside a peak, in allowed rms errors
DOUBT = 3.0  # a peak is odd when it fits this many times worse than the picture's usual one
_BETTER = 0.5  # two Gaussians must leave less than this share of the error of one, of any width
_SURE = 0.1  # of the allowed error: below it one Gaussian of the known width is not doubted
_EXPLAINED = 0.95  # a cell belongs to a peak that gives this share of its value
_ROUNDS = 12
_DIRECTIONS = 4


@njit
def gaussian(peak: np.ndarray, x: float, y: float, variance: float) -> float:
    """Height of a peak (x, y, height) at a point."""
    return peak[2] * math.exp(-((x - peak[0]) ** 2 + (y - peak[1]) ** 2) / (2.0 * variance))


@njit
def misfit(
    plane: np.ndarray, y: int, x: int, rows: int, cols: int, peak: np.ndarray, variance: float, bend: float
) -> float:
    """How far the cells next to a peak's cell are from its Gaussian: the largest gap, over its height.

    ``bend`` is ``exp(-1 / (2 variance))``.
    """
    dx, dy = x - peak[0], y - peak[1]
    centre = gaussian(peak, x, y, variance)
    step_x, step_y = math.exp(dx / variance), math.exp(dy / variance)
    left, right = bend * step_x, bend / step_x
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
def _neighbours(peaks: np.ndarray, own: int) -> np.ndarray:
    """The peaks whose Gaussians may reach into the patch around one of them."""
    reach = 3.0 + _RADIUS
    chosen = np.empty(peaks.shape[0], np.int64)
    n = 0
    for i in range(peaks.shape[0]):
        chosen[n] = i
        near = abs(peaks[i, 0] - peaks[own, 0]) < reach and abs(peaks[i, 1] - peaks[own, 1]) < reach
        n += int(near and i != own)
    return peaks[chosen[:n]]


@njit
def _foreign(peaks: np.ndarray, x: int, y: int, value: float, variance: float) -> bool:
    """Whether one of the peaks explains a cell."""
    highest = 0.0
    for i in range(peaks.shape[0]):
        highest = max(highest, gaussian(peaks[i], x, y, variance))
    return highest > _EXPLAINED * value


@njit
def _patch(
    plane: np.ndarray, y: int, x: int, rows: int, cols: int, peaks: np.ndarray, own: int, variance: float
) -> np.ndarray:
    """Cells ``(n, 5)`` = x, y, value, log value + d^2/(2 sigma^2), d^2, without those of other peaks."""
    others = _neighbours(peaks, own)
    cells = np.empty(((2 * _RADIUS + 1) ** 2, 5))
    n = 0
    for j in range(max(y - _RADIUS, 0), min(y + _RADIUS + 1, rows)):
        for i in range(max(x - _RADIUS, 0), min(x + _RADIUS + 1, cols)):
            value = np.float64(plane[j, i])
            if value < FAINT * plane[y, x] or _foreign(others, i, j, value, variance):
                continue
            dx, dy = float(i - x), float(j - y)
            cells[n, 0], cells[n, 1], cells[n, 2] = dx, dy, value
            cells[n, 4] = dx * dx + dy * dy
            cells[n, 3] = math.log(value) + cells[n, 4] / (2.0 * variance)
            n += 1
    return cells[:n]


@njit
def _fit(cells: np.ndarray, column: int, member: np.ndarray, which: int, fitted: np.ndarray) -> bool:
    """Plane ``a + b x + c y`` through a column of the members, weighted by value^2; False if it has none."""
    sw = sx = sy = sxx = sxy = syy = su = sxu = syu = 0.0
    for i in range(cells.shape[0]):
        if member[i] != which:
            continue
        x, y, w, u = cells[i, 0], cells[i, 1], cells[i, 2] ** 2, cells[i, column]
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
    """Root mean square, over the cells, of value minus Gaussian."""
    total = 0.0
    for i in range(cells.shape[0]):
        x, y, plane = cells[i, 0], cells[i, 1], planes[member[i]]
        log = plane[0] + plane[1] * x + plane[2] * y - (x * x + y * y) / (2.0 * variance)
        total += (cells[i, 2] - math.exp(min(log, 1.0))) ** 2
    return math.sqrt(total / cells.shape[0])


@njit
def _free_error(cells: np.ndarray, member: np.ndarray, plane: np.ndarray, variance: float) -> float:
    """What is left when one Gaussian may also be wider or narrower than it should be.

    ``plane`` is the fit at the known width; d^2 joins it as a third regressor, cleared of its own plane.
    """
    bowl = np.zeros(3)
    _fit(cells, 4, member, 0, bowl)
    top = low = 0.0
    for x, y, value, log, square in cells:
        rest = square - bowl[0] - bowl[1] * x - bowl[2] * y
        top += value**2 * rest * (log - plane[0] - plane[1] * x - plane[2] * y)
        low += value**2 * rest * rest
    bend = top / low if low > 0.0 else 0.0
    total = 0.0
    for x, y, value, _, square in cells:
        log = plane[0] + plane[1] * x + plane[2] * y - square / (2.0 * variance)
        log += bend * (square - bowl[0] - bowl[1] * x - bowl[2] * y)
        total += (value - math.exp(min(log, 1.0))) ** 2
    return math.sqrt(total / cells.shape[0])


@njit
def _assign(cells: np.ndarray, planes: np.ndarray, member: np.ndarray) -> bool:
    """Give each cell to the higher of two planes; whether any changed sides."""
    changed = False
    for i in range(cells.shape[0]):
        x, y = cells[i, 0], cells[i, 1]
        rise = (
            planes[1, 0]
            - planes[0, 0]
            + (planes[1, 1] - planes[0, 1]) * x
            + (planes[1, 2] - planes[0, 2]) * y
        )
        side = 1 if rise > 0.0 else 0
        changed = changed or side != member[i]
        member[i] = side
    return changed


@njit
def _centre(cells: np.ndarray) -> tuple[float, float]:
    """The middle of some cells, weighted by value."""
    weight = sx = sy = 0.0
    for i in range(cells.shape[0]):
        weight += cells[i, 2]
        sx += cells[i, 0] * cells[i, 2]
        sy += cells[i, 1] * cells[i, 2]
    return sx / weight, sy / weight


@njit
def _fit_two(
    cells: np.ndarray, mx: float, my: float, angle: float, member: np.ndarray, planes: np.ndarray,
    variance: float,
) -> float:  # fmt: skip
    """Two planes, starting from a cut through (mx, my) at an angle; their error, inf without two."""
    along_x, along_y = math.cos(angle), math.sin(angle)
    for i in range(cells.shape[0]):
        member[i] = int((cells[i, 0] - mx) * along_x + (cells[i, 1] - my) * along_y > 0.0)
    for _ in range(_ROUNDS):
        if not (_fit(cells, 3, member, 0, planes[0]) and _fit(cells, 3, member, 1, planes[1])):
            return np.inf
        if not _assign(cells, planes, member):
            break
    return _error(cells, member, planes, variance)


@njit
def _to_peak(plane: np.ndarray, y: int, x: int, variance: float, peak: np.ndarray) -> bool:
    """The Gaussian of a plane; False if its centre lies outside the patch."""
    dx, dy = plane[1] * variance, plane[2] * variance
    peak[0], peak[1] = x + dx, y + dy
    peak[2] = math.exp(min(plane[0] + (dx * dx + dy * dy) / (2.0 * variance), 1.0))
    return max(abs(dx), abs(dy)) <= _RADIUS


@njit
def _distinct(pair: np.ndarray) -> bool:
    """Whether two peaks are far enough apart and of similar height."""
    low, high = min(pair[0, 2], pair[1, 2]), max(pair[0, 2], pair[1, 2])
    far = (pair[0, 0] - pair[1, 0]) ** 2 + (pair[0, 1] - pair[1, 1]) ** 2 >= _CLOSEST**2
    return far and low >= _WEAKEST * high


@njit
def resolve(
    plane: np.ndarray, y: int, x: int, rows: int, cols: int, peaks: np.ndarray, own: int, variance: float,
    error: float, most: int, result: np.ndarray,
) -> int:  # fmt: skip
    """Explain the patch around a peak's cell by at most ``most`` Gaussians, written to ``result`` ``(2, 3)``.

    ``peaks`` are those of the type, ``own`` the one at the cell. Returns how many explain it to
    ``error`` (rms, of the height); 0 when neither does, or one of another width does better.
    """
    if plane[y, x] < FAINT:
        return 0
    cells = _patch(plane, y, x, rows, cols, peaks, own, variance)
    allowed = error * peaks[own, 2]
    member = np.zeros(cells.shape[0], np.int64)
    planes, best = np.zeros((2, 3)), np.zeros((2, 3))
    if cells.shape[0] < 3 or not _fit(cells, 3, member, 0, planes[0]):
        return 0
    single, free = _error(cells, member, planes, variance), _free_error(cells, member, planes[0], variance)
    if single <= allowed and (free >= _BETTER * single or single <= _SURE * allowed):
        return 1 if _to_peak(planes[0], y, x, variance, result[0]) else 0
    if most == 1:
        return 0
    lowest = min(allowed, _BETTER * min(single, free))
    found = False
    mx, my = _centre(cells)
    for n in range(_DIRECTIONS):
        left = _fit_two(cells, mx, my, n * math.pi / _DIRECTIONS, member, planes, variance)
        if left < lowest:
            lowest, found = left, True
            best[:] = planes
    if not found:
        return 0
    inside = _to_peak(best[0], y, x, variance, result[0]) and _to_peak(best[1], y, x, variance, result[1])
    return 2 if inside and _distinct(result) else 0
