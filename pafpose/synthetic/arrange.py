"""Where figures stand in a picture: their sizes, how much they overlap, and who crosses the border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pafpose.synthetic.figure import Figure
from pafpose.synthetic.settings import SyntheticSettings

_TRIES = 12


def arrange(figures: Sequence[Figure], settings: SyntheticSettings, rng: np.random.Generator) -> np.ndarray:
    """Place the figures and return their boxes ``(n, 4)`` as x, y, w, h.

    Each figure draws a share of overlap and takes that of ``_TRIES`` random positions which comes closest.
    """
    size, count = settings.picture_size, len(figures)
    u, v = np.hsplit(rng.random((count, 2 * _TRIES + 5)), [2 * _TRIES])
    u = u.reshape(count, _TRIES, 2)
    low, high = settings.height
    own = np.array([figure.box for figure in figures]).reshape(count, 4)
    heights = size * (low + (high - low) * v[:, 0])
    scales = heights / (own[:, 3] - own[:, 1])
    extents = np.stack([scales * (own[:, 2] - own[:, 0]), heights], 1)
    free = size - extents[:, None]
    corners = np.stack([free[..., 0] * u[..., 0], free[..., 1] * np.sqrt(u[..., 1])], -1)
    for n in np.flatnonzero(v[:, 1] < settings.cut).tolist():
        _move_across_border(corners[n], extents[n], size, u=u[n, :, 0], side=v[n, 2:4])
    tries = np.concatenate([corners, np.broadcast_to(extents[:, None], corners.shape)], 2)
    spread = min(settings.overlap, 1 - settings.overlap)
    wanted = settings.overlap - spread + 2 * spread * v[:, 4]
    placed = np.zeros((count, 4))
    for n, figure in enumerate(figures):
        overlap = shared_shares(tries[n], placed[:n]).max(1, initial=0)
        placed[n] = tries[n, np.abs(overlap - wanted[n]).argmin()]
        figure.place(scales[n], complex(*(placed[n, :2] - scales[n] * own[n, :2])))
    return placed


def _move_across_border(
    corners: np.ndarray, extent: np.ndarray, size: int, *, u: np.ndarray, side: np.ndarray
) -> None:
    """Move corners ``(t, 2)`` so that 10 to 50 percent of the box lie beyond a border, mostly the bottom."""
    outside = 0.1 + 0.4 * u
    axis = 0 if side[0] < 0.5 else 1
    low = side[1] < (0.5, 0.2)[axis]
    corners[:, axis] = -outside * extent[axis] if low else size - (1 - outside) * extent[axis]


def shared_shares(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what boxes ``(t, 4)`` share with others ``(n, 4)``, over the smaller of both areas, ``(t, n)``.

    Boxes are x, y, w, h.

    >>> shared_shares(np.array([[0, 0, 2, 4]]), np.array([[1, 0, 2, 2], [5, 5, 1, 1]]))
    array([[0.5, 0. ]])
    """
    ends, other_ends = boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:]
    sides = np.minimum(ends[:, None], other_ends) - np.maximum(boxes[:, None, :2], others[:, :2])
    areas = boxes[:, 2:].prod(1)
    other_areas = (other_ends - others[:, :2]).prod(1)  # as rounded as their share with a box around them
    return np.maximum(sides, 0).prod(-1) / np.minimum(areas[:, None], other_areas)
