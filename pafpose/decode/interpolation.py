"""Reading part affinity fields between their cells."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from pafpose.runtime.jit import njit


class Interpolation(IntEnum):
    """``decode.interpolation``: how a field is read between its cells."""

    bilinear = 0  # from four cells
    cubic = 1  # from 4 x 4 cells


_CUBIC = int(Interpolation.cubic)


@njit(inline=True)
def read_field(pafs: np.ndarray, limb: int, x: float, y: float, interpolation: int) -> tuple[float, float]:
    """Return both components of a limb's field at a point in cells, or at the nearest point of the map."""
    x, y = min(max(x, 0.0), pafs.shape[2] - 1.0), min(max(y, 0.0), pafs.shape[1] - 1.0)
    if interpolation == _CUBIC:
        return _cubic(pafs, 2 * limb, x, y)
    return _bilinear(pafs, 2 * limb, x, y)


@njit(inline=True)
def _bilinear(fields: np.ndarray, channel: int, x: float, y: float) -> tuple[float, float]:
    """Interpolate a channel and the next between four cells.

    Indices are unsigned: numba tests signed ones for being negative, which takes a tenth of the decoding
    of a crowd.
    """
    rows, cols = fields.shape[1:]
    col, row = min(int(x), max(cols - 2, 0)), min(int(y), max(rows - 2, 0))
    fx, fy = x - col, y - row
    left, top = np.uint64(col), np.uint64(row)
    right, low = left + np.uint64(cols > 1), top + np.uint64(rows > 1)
    vx, vy = fields[np.uint64(channel)], fields[np.uint64(channel + 1)]
    top_x = vx[top, left] + (vx[top, right] - vx[top, left]) * fx
    low_x = vx[low, left] + (vx[low, right] - vx[low, left]) * fx
    top_y = vy[top, left] + (vy[top, right] - vy[top, left]) * fx
    low_y = vy[low, left] + (vy[low, right] - vy[low, left]) * fx
    return top_x + (low_x - top_x) * fy, top_y + (low_y - top_y) * fy


@njit
def _cubic(fields: np.ndarray, channel: int, x: float, y: float) -> tuple[float, float]:
    """Interpolate a channel and the next between 4 x 4 cells, with the border repeated."""
    rows, cols = fields.shape[1:]
    x0, y0 = int(x), int(y)
    weights_x, weights_y = _cubic_weights(x - x0), _cubic_weights(y - y0)
    vx = vy = 0.0
    for i in range(4):
        row = min(max(y0 - 1 + i, 0), rows - 1)
        for j in range(4):
            col = min(max(x0 - 1 + j, 0), cols - 1)
            weight = weights_y[i] * weights_x[j]
            vx += weight * fields[channel, row, col]
            vy += weight * fields[channel + 1, row, col]
    return vx, vy


@njit
def _cubic_weights(t: float) -> tuple[float, float, float, float]:
    """Return the weights of four neighbours: Keys' kernel with a = -0.75, as in OpenCV."""
    a, u = -0.75, 1.0 - t
    w0 = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a
    w1 = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    w2 = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0
    return w0, w1, w2, 1.0 - w0 - w1 - w2
