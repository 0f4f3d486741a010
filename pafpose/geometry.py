"""The coordinate rules of the whole package: pixels, field cells, boxes, and the matrices between frames.

**Pixels.** An integer coordinate is the centre of a pixel, so a picture of width ``W`` reaches from
``x = -0.5`` to ``x = W - 0.5``. Resizing by ``f`` maps ``x`` to ``(x + 0.5) * f - 0.5``; a flip maps ``x`` to
``W - 1 - x``.

**Cells.** Cell ``j`` of a field with stride ``s`` covers the pixels ``s*j`` to ``s*j + s - 1``. Its centre is
at ``x = s*j + (s - 1) / 2``. A mask of pixels is read for a cell at pixel ``s*j + s // 2``.

**Boxes** are ``x, y, w, h``, where ``(x, y)`` is the top left corner, a point in this same frame. The box of
a whole picture is ``(-0.5, -0.5, W, H)``, and a point is in a box when ``x <= px <= x + w`` (the same for y).
The boxes and polygons of COCO's json count from the outer corner of the first pixel instead. Code that reads
or writes such files converts boxes with :func:`box_from_corner_frame` and :func:`box_to_corner_frame`.

**Matrices** are float64 ``(2, 3)`` and act on column vectors ``(x, y, 1)``.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numba.extending import register_jitable

from pafpose.errors import PafposeError

T = TypeVar("T")  # a number, an array or a tensor


def cell_to_px(cell: T, stride: int) -> T:
    """Return the pixel coordinate of a (fractional) cell index; numba kernels can call it too.

    >>> cell_to_px(0, 8), cell_to_px(1, 8)
    (3.5, 11.5)
    """
    return cell * stride + (stride - 1) / 2  # type: ignore[operator,return-value]


def px_to_cell(px: T, stride: int) -> T:
    """Return the fractional cell index of a pixel coordinate; numba kernels can call it too.

    >>> px_to_cell(3.5, 8)
    0.0
    """
    return (px - (stride - 1) / 2) / stride  # type: ignore[operator,return-value]


def cell_to_mask_px(cell: T, stride: int) -> T:
    """Return the whole pixel at which a mask is read for a cell; numba kernels can call it too.

    >>> cell_to_mask_px(0, 8), cell_to_mask_px(1, 8)
    (4, 12)
    """
    return cell * stride + stride // 2  # type: ignore[operator,return-value]


for _rule in (cell_to_px, px_to_cell, cell_to_mask_px):
    register_jitable(_rule)


def field_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the rows and columns of the field of a ``(height, width)`` input.

    Raises ``PafposeError`` when a side is not a positive multiple of the stride.

    >>> field_size((368, 640), 8)
    (46, 80)
    """
    height, width = int(size[0]), int(size[1])
    if height <= 0 or width <= 0 or height % stride or width % stride:
        up = tuple(max(1, math.ceil(side / stride)) * stride for side in (height, width))
        raise PafposeError(
            f"input size (height, width) = ({height}, {width}) is not a multiple of the field stride "
            f"{stride}; pad it to {up} or choose another size"
        )
    return height // stride, width // stride


def pad_to_multiple(length: int, stride: int) -> int:
    """Round ``length`` up to a positive multiple of ``stride``."""
    return max(1, math.ceil(length / stride)) * stride


def identity() -> np.ndarray:
    """Return the identity matrix."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the matrix that applies ``first`` and then ``second``."""
    result = second[:, :2] @ first
    result[:, 2] += second[:, 2]
    return result


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of ``matrix``."""
    (a, b, x), (c, d, y) = np.asarray(matrix, float).tolist()
    scale = 1 / (a * d - b * c)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    return np.array([[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]])


def translation(dx: float, dy: float) -> np.ndarray:
    """Return the matrix of a shift by ``(dx, dy)`` pixels."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def resize(fx: float, fy: float | None = None) -> np.ndarray:
    """Return the matrix that resizes a picture by ``fx`` across and ``fy`` (default: ``fx``) down.

    The outer corner of the first pixel, ``(-0.5, -0.5)``, stays in place.
    """
    fy = fx if fy is None else fy
    return np.array([[fx, 0.0, 0.5 * fx - 0.5], [0.0, fy, 0.5 * fy - 0.5]])


def flip(width: int) -> np.ndarray:
    """Return the matrix that mirrors a picture of ``width`` pixels left to right."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def rotation(degrees: float) -> np.ndarray:
    """Return the rotation about the origin; positive angles turn clockwise on screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0]])


def scale_of(matrix: np.ndarray) -> float:
    """Return how much a matrix enlarges lengths: the square root of how much it enlarges areas."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return math.sqrt(abs(a * d - b * c))


def transform_points(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Apply a matrix ``(2, 3)`` to points ``(..., 2)``; returns float64."""
    return np.asarray(xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def transform_keypoints(matrix: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Apply a matrix to keypoints ``(..., 3)`` = x, y and v or confidence, which stays; returns float64."""
    keypoints = np.asarray(keypoints, np.float64)
    return np.concatenate([transform_points(matrix, keypoints[..., :2]), keypoints[..., 2:]], -1)


def transform_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Apply a matrix to boxes ``(..., 4)`` and return upright boxes, float64.

    A box keeps its centre, and its area grows only as the picture's does: turning a picture does not make a
    person larger (the area sets the scale of a person's targets). The aspect ratio is that of the upright
    box around the ellipse inscribed in the turned box, so quarter turns and mirrors are exact.
    """
    boxes = np.asarray(boxes, np.float64)
    (a, b, _), (c, d, _) = np.asarray(matrix, np.float64).tolist()
    centre = transform_points(matrix, boxes[..., :2] + boxes[..., 2:] / 2)
    squares = np.square(boxes[..., 2:])
    around = np.sqrt(squares @ np.array(((a * a, c * c), (b * b, d * d))))
    area = boxes[..., 2] * boxes[..., 3] * abs(a * d - b * c)
    sides = around * np.sqrt(area / np.maximum(around[..., 0] * around[..., 1], 1e-12))[..., None]
    return np.concatenate([centre - sides / 2, sides], -1)


def box_from_corner_frame(boxes: np.ndarray) -> np.ndarray:
    """Convert boxes ``(..., 4)`` that count from the picture's outer corner, as COCO's do, to our frame."""
    return boxes - np.array([0.5, 0.5, 0.0, 0.0])


def box_to_corner_frame(boxes: np.ndarray) -> np.ndarray:
    """Convert our boxes ``(..., 4)`` to ones that count from the picture's outer corner, as COCO's do."""
    return boxes + np.array([0.5, 0.5, 0.0, 0.0])


def letterbox(
    width: int, height: int, *, input_size: int, fit: str = "long"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the matrix from a photo to its evaluation input, and the ``(height, width)`` of the photo there.

    ``fit="long"`` scales the long side to ``input_size``, ``fit="height"`` the height. The photo sits at the
    top left. Padding to a multiple of the stride follows on the right and at the bottom.
    """
    if fit not in ("long", "height"):
        raise PafposeError(f"evaluate.fit={fit!r}: choose 'long' (long side) or 'height'")
    reference = max(width, height) if fit == "long" else height
    scaled_w = max(1, round(width * input_size / reference))
    scaled_h = max(1, round(height * input_size / reference))
    return resize(scaled_w / width, scaled_h / height), (scaled_h, scaled_w)
