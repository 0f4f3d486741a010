"""Kernel that moves the people of a photo into a crop: what many small array operations would do, at once."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def move_people(
    keypoints: np.ndarray, boxes: np.ndarray, drawn: np.ndarray, matrix: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (P, K, 3) and boxes (P, 4), float32, of the people who are ``drawn`` (M,) bool.

    ``keypoints`` (M, K, 3) and ``boxes`` (M, 4) are moved by ``matrix`` (2, 3); keypoint ``k`` comes from
    ``order[k]``, unlabelled ones are 0, 0, 0. Boxes as :func:`pafpose.geometry.transform_boxes` has them.
    """
    count = drawn.sum()
    points = np.zeros((count, len(order), 3), np.float32)
    moved = np.empty((count, 4), np.float32)
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    e, f = matrix[0, 2], matrix[1, 2]
    grown = abs(a * d - b * c)
    n = 0
    for m in range(len(drawn)):
        if not drawn[m]:
            continue
        for k, source in enumerate(order):
            x, y, v = keypoints[m, source]
            if v != 0:
                points[n, k, 0] = a * x + b * y + e
                points[n, k, 1] = c * x + d * y + f
                points[n, k, 2] = v
        left, top, w, h = boxes[m]
        x, y = left + w / 2, top + h / 2
        across = math.sqrt(a * a * w * w + b * b * h * h)
        down = math.sqrt(c * c * w * w + d * d * h * h)
        share = math.sqrt(w * h * grown / max(across * down, 1e-12))
        moved[n, 0] = a * x + b * y + e - across * share / 2
        moved[n, 1] = c * x + d * y + f - down * share / 2
        moved[n, 2], moved[n, 3] = across * share, down * share
        n += 1
    return points, moved
