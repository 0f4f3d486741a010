"""The half-pixel rule, in one place: pixels, field cells, and the 2x3 matrices between frames.

An integer coordinate is the centre of a pixel. Cell ``j`` of a field with stride ``s`` covers
pixels ``s*j .. s*j + s - 1``, so its centre lies at ``s*j + (s - 1)/2``. Resizing by ``f`` maps
``x -> (x + 0.5)*f - 0.5`` and a flip of a picture of width ``W`` maps ``x -> W - 1 - x``.

Matrices are float64 ``(2, 3)`` and act on column vectors ``(x, y, 1)``.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from pafpose.errors import PafposeError

T = TypeVar("T")  # a number, an array or a tensor


def cell_to_px(cell: T, stride: int) -> T:
    """Pixel coordinate of a (fractional) cell index."""
    return cell * stride + (stride - 1) / 2  # type: ignore[operator,return-value]


def px_to_cell(px: T, stride: int) -> T:
    """Fractional cell index of a pixel coordinate."""
    return (px - (stride - 1) / 2) / stride  # type: ignore[operator,return-value]


def field_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns of the field of a ``(height, width)`` input.

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
    """Smallest positive multiple of ``stride`` that is at least ``length``."""
    return max(1, math.ceil(length / stride)) * stride


def identity() -> np.ndarray:
    """The matrix that moves nothing."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The matrix that applies ``first`` and then ``second``."""
    result = second[:, :2] @ first
    result[:, 2] += second[:, 2]
    return result


def invert(matrix: np.ndarray) -> np.ndarray:
    """The matrix that undoes ``matrix``."""
    (a, b, x), (c, d, y) = np.asarray(matrix, float).tolist()
    scale = 1 / (a * d - b * c)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    return np.array([[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]])


def translation(dx: float, dy: float) -> np.ndarray:
    """Shift by ``(dx, dy)`` pixels."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def resize(fx: float, fy: float | None = None) -> np.ndarray:
    """Resize by ``fx`` (and ``fy``), keeping the picture's top left *corner* in place."""
    fy = fx if fy is None else fy
    return np.array([[fx, 0.0, 0.5 * fx - 0.5], [0.0, fy, 0.5 * fy - 0.5]])


def flip(width: int) -> np.ndarray:
    """Mirror a picture of ``width`` pixels left to right."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def rotation(degrees: float) -> np.ndarray:
    """Rotate about the origin; positive turns the x axis towards the y axis (clockwise on screen)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0]])


def scale_of(matrix: np.ndarray) -> float:
    """By how much a matrix enlarges: the side of what it makes of a unit square."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return math.sqrt(abs(a * d - b * c))


def transform_points(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Move points ``(..., 2)`` by a matrix ``(2, 3)``; float64 out."""
    return np.asarray(xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def transform_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes ``(..., 4)`` as x, y, w, h moved by a matrix, upright again; float64 out.

    The centre moves with the picture and the area only grows as the picture does, however it is turned: the
    area is what scales a person's targets. The sides share it out like those of the box around the ellipse
    in the turned box, so quarter turns and mirrors are exact.
    """
    boxes = np.asarray(boxes, np.float64)
    (a, b, _), (c, d, _) = np.asarray(matrix, np.float64).tolist()
    centre = transform_points(matrix, boxes[..., :2] + boxes[..., 2:] / 2)
    squares = np.square(boxes[..., 2:])
    around = np.sqrt(squares @ np.array(((a * a, c * c), (b * b, d * d))))
    area = boxes[..., 2] * boxes[..., 3] * abs(a * d - b * c)
    sides = around * np.sqrt(area / np.maximum(around[..., 0] * around[..., 1], 1e-12))[..., None]
    return np.concatenate([centre - sides / 2, sides], -1)


def letterbox(
    width: int, height: int, *, input_size: int, fit: str = "long"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Matrix from a photo to its evaluation input, and the photo's (height, width) in there.

    ``fit='long'`` scales the long side to ``input_size``, ``fit='height'`` the height. The photo sits
    at the top left; padding to a multiple of the stride follows at the right and the bottom.
    """
    if fit not in ("long", "height"):
        raise PafposeError(f"evaluate.fit={fit!r}: choose 'long' (long side) or 'height'")
    reference = max(width, height) if fit == "long" else height
    scaled_w = max(1, round(width * input_size / reference))
    scaled_h = max(1, round(height * input_size / reference))
    return resize(scaled_w / width, scaled_h / height), (scaled_h, scaled_w)
