"""Inner loops of the CPU kernels, eight cells at a time: a row of a window is short, and a loop whose length
the compiler knows runs in vector registers without a branch.

Cells outside the window take part and keep their values.
"""

from __future__ import annotations

import math

import numpy as np

from pafpose.runtime.jit import njit

WIDTH = 8  # cells
ZERO, ONE = np.float32(0), np.float32(1)
NARROW = 50.0  # (stride / sigma)^2 / 2 beyond which neighbours are not computed from one another


@njit(inline=True)
def bell(  # noqa: PLR0917
    values: np.ndarray, low: int, high: int, x: float, inverse: float, step: float, stride: int
) -> None:
    """Write ``exp(-(centre of cell - x)^2 * inverse)`` for the cells from ``low`` to ``high``, exclusive.

    ``step`` is ``exp(-inverse * stride^2)``: from the cell nearest to ``x`` each next value is the one before
    times a factor that itself shrinks by ``step^2``, which takes two exponentials and not one per cell.
    """
    offset = (stride - 1) / 2.0
    near = int(min(max(np.rint((x - offset) / stride), low), high - 1.0))
    away = stride * near + offset - x
    if abs(away) > stride or inverse * stride * stride > NARROW:
        for j in range(low, high):
            values[j] = math.exp(-((stride * j + offset - x) ** 2) * inverse)
        return
    peak, tilt = math.exp(-away * away * inverse), math.exp(-2 * inverse * stride * away)
    shrink = step * step
    value, factor = peak, step * tilt
    values[near] = peak
    for j in range(near + 1, high):
        value *= factor
        factor *= shrink
        values[j] = value
    value, factor = peak, step / tilt
    for j in range(near - 1, low - 1, -1):
        value *= factor
        factor *= shrink
        values[j] = value


@njit(inline=True)
def raise_row(  # noqa: PLR0917
    out: np.ndarray,
    k: int,
    i: int,
    start: int,
    size: int,
    column: np.ndarray,
    row: float,
    cut: float,
    background: bool,
) -> None:
    """``size`` cells of a Gaussian, ``row * column``, into a channel by maximum; the background follows."""
    last = out.shape[0] - 1
    for s in range(size):
        value = row * column[start + s]
        new = np.float32(value) if value >= cut else ZERO
        out[k, i, start + s] = max(out[k, i, start + s], new)
        if background:
            out[last, i, start + s] = min(out[last, i, start + s], ONE - new)


@njit(inline=True)
def fill_window(  # noqa: PLR0917
    out: np.ndarray, b: int, c: int, i0: int, i1: int, j0: int, j1: int, value: np.float32
) -> None:
    """Give the rows ``i0`` to ``i1`` and columns ``j0`` to ``j1``, exclusive, of a map a value.

    Up to seven cells to their right or left take it as well: for maps that shall have it everywhere.
    """
    columns = out.shape[3]
    for i in range(i0, i1):
        if columns < WIDTH:
            for j in range(j0, j1):
                out[b, c, i, j] = value
            continue
        for j in range(j0, j1, WIDTH):
            start = min(j, columns - WIDTH)
            for s in range(WIDTH):
                out[b, c, i, start + s] = value
