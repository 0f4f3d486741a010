"""Kernels that move a photo and its people into a crop: what many small array operations would do."""

from __future__ import annotations

import math

import numpy as np

from pafpose.runtime.jit import njit


@njit
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


@njit
def seen_part(
    matrix: np.ndarray, size: tuple[int, int], photo: tuple[int, int]
) -> tuple[int, int, int, int, np.ndarray]:
    """What a picture of (height, width) shows of a photo of (height, width) that ``matrix`` moves into it.

    First and last + 1 of the rows, then of the columns, with a margin for bilinear reading (an empty range
    when nothing is seen), and the (2, 3) matrix from that part to the picture.
    """
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    x, y = matrix[0, 2], matrix[1, 2]
    ends = np.empty((2, 2), np.int64)
    grown = 1 / (a * d - b * c)
    for axis in range(2):
        right, below = (d * grown, -b * grown) if axis == 0 else (-c * grown, a * grown)
        start = -(right * x + below * y)
        across, down = right * (size[1] - 1), below * (size[0] - 1)
        low = start + min(across, 0.0) + min(down, 0.0)
        high = start + max(across, 0.0) + max(down, 0.0)
        length = photo[1 - axis]
        ends[axis, 0] = min(length, max(0.0, math.floor(low) - 1.0))
        ends[axis, 1] = max(0.0, min(length, math.floor(high) + 3.0))
    left, top = ends[0, 0], ends[1, 0]
    part = matrix.copy()
    part[0, 2] += a * left + b * top
    part[1, 2] += c * left + d * top
    return top, ends[1, 1], left, ends[0, 1], part
