# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Peaks of heatmaps, in cells: 3x3 maxima, the strongest of each type, refined below the cell.

A Gaussian of ``sigma`` cells has the logarithm ``-d^2 / (2 sigma^2)``: along an axis it is a parabola whose
second difference is ``-1 / sigma^2`` everywhere. Three neighbouring cells therefore give its top exactly,
and two do when sigma is known, which serves at the border and where another peak covers one side.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.decode.overlap import DOUBT, FAINT, MISFIT, misfit, resolve
from pafpose.decode.sorting import descending, middle
from pafpose.runtime.jit import njit

REFINE = {"none": 0, "quadratic": 1, "log_quadratic": 2}
_TINY = 1e-3  # of the peak: what lies below says nothing about its shape
_FLAT = 0.03  # by this fraction flatter than the known Gaussian, another peak may reach over one side
_CLEAN = 0.1  # a side whose curvature is within this fraction of the Gaussian's belongs to one peak only
_ENOUGH = 8  # peaks whose widths have a meaningful median
_WIDER, _WIDEST = 1.1, 2.5  # the variances, relative to the known one, that peaks are taken to have
_PLATEAU = 1.0 - 1e-6
_REACH = 1.0  # cells that a peak may lie beyond a border


@njit
def _is_peak(plane: np.ndarray, y: int, x: int, rows: int, cols: int) -> bool:
    """Whether a cell tops its 3x3 neighbourhood; of equal cells the first in reading order does."""
    value = plane[y, x]
    left, right = x > 0, x < cols - 1
    if (left and plane[y, x - 1] >= value) or (right and plane[y, x + 1] > value):
        return False
    if y > 0:
        if plane[y - 1, x] >= value:
            return False
        if (left and plane[y - 1, x - 1] >= value) or (right and plane[y - 1, x + 1] >= value):
            return False
    if y < rows - 1:
        if plane[y + 1, x] > value:
            return False
        if (left and plane[y + 1, x - 1] > value) or (right and plane[y + 1, x + 1] > value):
            return False
    return True


@njit
def _flag(flat: np.ndarray, area: int, width: int, rows: int, threshold: float, flags: np.ndarray) -> None:
    """Mark cells above the threshold and not below their upper and lower neighbours, in all maps at once.

    One pass without branches, which runs in vector registers; few cells are left. The first and the last row
    of a map have no such neighbour on one side, so there the threshold alone decides.
    """
    low, size = np.float32(threshold), flags.size
    if size > 2 * width:
        above, value, below = flat[: size - 2 * width], flat[width : size - width], flat[2 * width : size]
        inner = flags[width : size - width]
        for i in range(value.size):
            inner[i] = np.uint8((value[i] > max(low, above[i])) & (value[i] >= below[i]))
    for start in range(0, size, area):
        for y in (0, rows - 1):
            row, marks = flat[start + y * width :], flags[start + y * width :]
            for i in range(width):
                marks[i] = row[i] > low


@njit
def _marked(flags: np.ndarray, words: np.ndarray, marks: np.ndarray) -> int:
    """Write where ``flags`` (0 or 1) are set; how many are. ``words`` are the same in steps of 8."""
    count = 0
    for word in range(words.size):
        if words[word] != 0:
            for i in range(8 * word, 8 * word + 8):
                marks[count] = i
                count += flags[i]
    return count


@njit
def _tops(plane: np.ndarray, cell: int, width: int) -> bool:
    """``_is_peak`` for a cell, a place in the flat map, that has eight neighbours: without branches."""
    value, up, down = plane[cell], cell - width, cell + width
    before = (
        (plane[up - 1] < value) & (plane[up] < value) & (plane[up + 1] < value) & (plane[cell - 1] < value)
    )
    after = (plane[down - 1] <= value) & (plane[down] <= value) & (plane[down + 1] <= value)
    return before & after & (plane[cell - 1] < value) & (plane[cell + 1] <= value)


@njit
def _scan(
    heatmaps: np.ndarray, marks: np.ndarray, rows: int, cols: int, cells: np.ndarray, starts: np.ndarray
) -> None:
    """Write those of the marked cells that are peaks, see ``_place``, and where the maps start among them.

    ``marks`` are places in the flat heatmaps, in order.
    """
    flat, width = heatmaps.ravel(), heatmaps.shape[2]
    area = heatmaps.shape[1] * width
    k = count = begin = 0
    for cell in marks:
        while cell >= begin + area:
            k, begin = k + 1, begin + area
            starts[k] = count
        y = (cell - begin) // width
        x = cell - begin - y * width
        cells[count] = (y << 32) | x
        if 0 < y < rows - 1 and 0 < x < cols - 1:
            count += int(_tops(flat, cell, width))
        elif y < rows and x < cols:
            count += int(_is_peak(heatmaps[k], y, x, rows, cols))
    starts[k + 1 :] = count


@njit(inline=True)
def _place(cell: int) -> tuple[int, int]:
    """Row and column of a cell: one number ``y * 2^32 + x``, which is taken apart without dividing."""
    return cell >> 32, cell & 0xFFFFFFFF


@njit
def strongest(plane: np.ndarray, cells: np.ndarray, limit: int) -> np.ndarray:
    """The ``limit`` highest of some cells, in their order; of equal ones the first."""
    values = np.empty(cells.size)
    for i in range(cells.size):
        values[i] = plane[_place(cells[i])]
    keep = np.zeros(cells.size, np.bool_)
    for i in descending(values)[:limit]:
        keep[i] = True
    return cells[keep]


@njit
def _at(plane: np.ndarray, y: int, x: int, rows: int, cols: int) -> float:
    """A cell's value, or -1 outside the field."""
    if 0 <= y < rows and 0 <= x < cols:
        return np.float64(plane[y, x])
    return -1.0


@njit
def _quadratic(before: float, centre: float, after: float) -> tuple[float, float]:
    """Offset and rise of the parabola through three values; 0, 0 at borders and on plateaus."""
    bend = before - 2.0 * centre + after
    if before < 0.0 or after < 0.0 or bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (before - after) / bend
    return offset, -0.25 * (before - after) * offset


@njit
def _one_sided(drop: float, variance: float) -> tuple[float, float]:
    """Offset towards the other side, and log rise, from the log drop to one neighbour of a known Gaussian."""
    offset = min(max(variance * drop - 0.5, -_REACH), _REACH)
    return offset, 0.5 * offset * offset / variance


@njit
def _log_quadratic(  # noqa: PLR0911 - cases of the border and of neighbours
    before2: float, before: float, centre: float, after: float, after2: float, variance: float
) -> tuple[float, float]:
    """Offset and log rise of a Gaussian's top from five values along an axis (-1 = outside the field).

    The three middle values decide, whatever the width. One side alone does where the other is cut by the
    border, or where the middle is flatter than a Gaussian of the known variance while one side is not:
    then another peak reaches over the other side.
    """
    tiny = _TINY * centre
    if before <= tiny and after <= tiny:
        return 0.0, 0.0
    if before <= tiny:
        offset, rise = _one_sided(math.log(centre / after), variance)
        return -offset, rise
    if after <= tiny:
        return _one_sided(math.log(centre / before), variance)
    drop0, drop1 = math.log(centre / before), math.log(centre / after)
    bend, known = -drop0 - drop1, -1.0 / variance
    if bend > (1.0 - _FLAT) * known:
        bend0 = drop0 - math.log(before / before2) if before2 > tiny else 0.0
        bend1 = drop1 - math.log(after / after2) if after2 > tiny else 0.0
        error0, error1 = abs(bend0 - known), abs(bend1 - known)
        if min(error0, error1) < min(-_CLEAN * known, 0.5 * abs(bend - known)):
            if error0 <= error1:
                return _one_sided(drop0, variance)
            offset, rise = _one_sided(drop1, variance)
            return -offset, rise
    if bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (drop1 - drop0) / bend
    return offset, -0.25 * (drop1 - drop0) * offset


@njit
def refine(
    plane: np.ndarray, y: int, x: int, rows: int, cols: int, mode: int, variance: float
) -> tuple[float, float, float]:
    """Column, row (in cells, fractional) and height of the peak at a cell; ``variance`` in cells squared."""
    centre = np.float64(plane[y, x])
    if mode == 0:
        return float(x), float(y), centre
    left, right = _at(plane, y, x - 1, rows, cols), _at(plane, y, x + 1, rows, cols)
    above, below = _at(plane, y - 1, x, rows, cols), _at(plane, y + 1, x, rows, cols)
    if mode == 1:
        dx, rise_x = _quadratic(left, centre, right)
        dy, rise_y = _quadratic(above, centre, below)
        return x + dx, y + dy, centre + rise_x + rise_y
    left2, right2 = _at(plane, y, x - 2, rows, cols), _at(plane, y, x + 2, rows, cols)
    above2, below2 = _at(plane, y - 2, x, rows, cols), _at(plane, y + 2, x, rows, cols)
    dx, rise_x = _log_quadratic(left2, left, centre, right, right2, variance)
    dy, rise_y = _log_quadratic(above2, above, centre, below, below2, variance)
    height = centre * math.exp(min(rise_x + rise_y, 1.0))
    return x + dx, y + dy, min(height, max(centre, 1.0))


@njit
def _split(
    plane: np.ndarray,
    cells: np.ndarray,
    rows: int,
    cols: int,
    peaks: np.ndarray,
    misfits: np.ndarray,
    variance: float,
    error: float,
    tolerance: float,
) -> int:
    """Correct peaks that another one distorts, and add those hidden beside them; how many there are then.

    Peaks that one Gaussian gives to ``tolerance`` are left alone. A first round corrects, so that the
    second, which may add, knows the neighbours well.
    """
    total = cells.size
    if total == 0 or misfits.max() <= tolerance:
        return total
    odd = np.flatnonzero(misfits > tolerance)
    found = np.empty((2, 3))
    bend = math.exp(-0.5 / variance)
    for second in range(2):
        known = peaks[: cells.size].copy()
        for i in odd:
            y, x = _place(cells[i])
            if second and misfit(plane, y, x, rows, cols, known[i], variance, bend) <= tolerance:
                continue
            number = resolve(plane, y, x, rows, cols, known, i, variance, error, 1 + second, found)
            if number == 1:
                peaks[i] = found[0]
            elif number == 2:
                peaks[i], peaks[total] = found[0], found[1]
                total += 1
    return total


@njit
def _all_misfits(
    heatmaps: np.ndarray, cells: np.ndarray, starts: np.ndarray, rows: int, cols: int, peaks: np.ndarray,
    variance: float, error: float,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """How badly one Gaussian gives each peak, and the misfit from which a peak is odd.

    Noise and what a network is unsure of distort all peaks of a picture, and two Gaussians explain such a
    distortion as well as a real neighbour. So a peak is odd only next to the picture's other peaks.
    """
    misfits, clear = np.empty(cells.size), np.empty(cells.size)
    bend = math.exp(-0.5 / variance)
    n = 0
    for k in range(starts.size - 1):
        for i in range(starts[k], starts[k + 1]):
            y, x = _place(cells[i])
            misfits[i] = misfit(heatmaps[k], y, x, rows, cols, peaks[i], variance, bend)
            if heatmaps[k, y, x] >= FAINT:
                clear[n] = misfits[i]
                n += 1
    usual = middle(clear[:n]) if n >= _ENOUGH else 0.0
    return misfits, max(MISFIT * error, DOUBT * usual)


@njit
def _width(plane: np.ndarray, y: int, x: int, rows: int, cols: int) -> float:
    """Variance (cells squared) of the Gaussian through a peak and its four neighbours; -1 at borders."""
    if not (0 < y < rows - 1 and 0 < x < cols - 1):
        return -1.0
    centre = np.float64(plane[y, x])
    left, right = np.float64(plane[y, x - 1]), np.float64(plane[y, x + 1])
    above, below = np.float64(plane[y - 1, x]), np.float64(plane[y + 1, x])
    if min(left, right, above, below) <= _TINY * centre:
        return -1.0
    product = (left / centre) * (right / centre) * (above / centre) * (below / centre)
    return -2.0 / math.log(product) if product < _PLATEAU else -1.0


@njit
def seen_variance(
    heatmaps: np.ndarray, cells: np.ndarray, starts: np.ndarray, rows: int, cols: int, variance: float
) -> float:
    """The variance that the peaks of a picture have: the known one, or their median if that is wider.

    Networks blur what they are unsure of, and the known width would then misplace peaks.
    """
    widths = np.empty(cells.size)
    n = 0
    for k in range(starts.size - 1):
        for i in range(starts[k], starts[k + 1]):
            y, x = _place(cells[i])
            width = _width(heatmaps[k], y, x, rows, cols)
            if width > 0.0:
                widths[n] = width
                n += 1
    if n < _ENOUGH:
        return variance
    median = middle(widths[:n])
    return min(median, _WIDEST * variance) if median > _WIDER * variance else variance


@njit
def find_cells(
    heatmaps: np.ndarray, num_keypoints: int, rows: int, cols: int, threshold: float, max_peaks: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cells (see ``_place``) of the strongest peaks of every type, and where the types start."""
    area, width = heatmaps.shape[1] * heatmaps.shape[2], heatmaps.shape[2]
    words = np.zeros((num_keypoints * area + 7) // 8, np.uint64)
    flags = words.view(np.uint8)
    _flag(heatmaps.ravel(), area, width, rows, threshold, flags[: num_keypoints * area])
    most = num_keypoints * width * (heatmaps.shape[1] // 2 + 2)  # of two cells above each other one at most
    marks = np.empty(most + 8, np.int32)
    room = ((rows + 1) // 2) * ((cols + 1) // 2)
    cells, starts = np.empty(num_keypoints * room + 1, np.int64), np.zeros(num_keypoints + 1, np.int64)
    _scan(heatmaps, marks[: _marked(flags, words, marks)], rows, cols, cells, starts)
    if room <= max_peaks:
        return cells[: starts[num_keypoints]], starts
    kept = np.zeros(num_keypoints + 1, np.int64)
    for k in range(num_keypoints):
        chosen = cells[starts[k] : starts[k + 1]]
        if chosen.size > max_peaks:
            chosen = strongest(heatmaps[k], chosen, max_peaks)
        kept[k + 1] = kept[k] + chosen.size
        if kept[k + 1] < starts[k + 1]:
            cells[kept[k] : kept[k + 1]] = chosen
    return cells[: kept[num_keypoints]], kept


@njit
def find_peaks(
    heatmaps: np.ndarray, num_keypoints: int, rows: int, cols: int, threshold: float, mode: int,
    variance: float, max_peaks: int, split_error: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Peaks of the first ``num_keypoints`` maps of float32 ``(C, h, w)``, within ``rows`` x ``cols``.

    Returns ``(N, 3)`` float64 = column, row (cells), height, by type and then in reading order, and the
    ``(num_keypoints + 1,)`` starts of the types. Of each type the ``max_peaks`` strongest are kept; those
    that ``split_error`` adds to them follow.
    """
    cells, firsts = find_cells(heatmaps, num_keypoints, rows, cols, threshold, max_peaks)
    if mode == 2 or split_error > 0.0:
        variance = seen_variance(heatmaps, cells, firsts, rows, cols, variance)
    found = np.empty((cells.size, 3))
    for k in range(num_keypoints):
        for i in range(firsts[k], firsts[k + 1]):
            y, x = _place(cells[i])
            found[i, 0], found[i, 1], found[i, 2] = refine(heatmaps[k], y, x, rows, cols, mode, variance)
    if split_error <= 0.0:
        return found, firsts
    misfits, tolerance = _all_misfits(heatmaps, cells, firsts, rows, cols, found, variance, split_error)
    if cells.size == 0 or misfits.max() <= tolerance:
        return found, firsts
    peaks = np.empty((2 * cells.size, 3))
    starts = np.zeros(num_keypoints + 1, np.int64)
    for k in range(num_keypoints):
        first, last = firsts[k], firsts[k + 1]
        own = peaks[starts[k] :]
        own[: last - first] = found[first:last]
        starts[k + 1] = starts[k] + _split(
            heatmaps[k], cells[first:last], rows, cols, own, misfits[first:last], variance, split_error,
            tolerance,
        )  # fmt: skip
    return peaks[: starts[num_keypoints]].copy(), starts
