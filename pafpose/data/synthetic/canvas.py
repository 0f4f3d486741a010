"""A picture under construction and, beside it, who owns every pixel. Points are in pixels of the picture.

Outlines are OpenCV's fixed-point integers from the start and colours are tuples: small arrays would
cost more than the drawing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from pafpose.errors import PafposeError

Colour = tuple[float, float, float]

PART_BITS = 6
MAX_PARTS = 1 << PART_BITS
MAX_OWNERS = (1 << (16 - PART_BITS)) - 1
_SHIFT = 4
FIXED = float(1 << _SHIFT)
_T = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ARC_X = np.concatenate([np.cos(_T), -np.cos(_T)])  # along the limb: round its far end, then its near end
_ARC_Y = np.concatenate([np.sin(_T), -np.sin(_T)])
_FAR = np.repeat([1.0, 0.0], 6)
_ARC = np.stack(
    [_ARC_X * _FAR, _ARC_Y * _FAR, _ARC_X * (1 - _FAR), _ARC_Y * (1 - _FAR), _FAR, np.ones(12)], -1
)


class Canvas:
    """``image`` uint8 RGB and ``owner`` uint16: owner number and part; nobody owns 0, objects own 1."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.owner = np.zeros(image.shape[:2], np.uint16)

    def fill(self, outline: np.ndarray, colour: Colour, tag: int | None = None) -> None:
        """Fill a convex outline; ``tag`` also makes it the owner of its pixels."""
        cv2.fillConvexPoly(self.image, outline, colour, cv2.LINE_AA, _SHIFT)
        if tag is not None:
            cv2.fillConvexPoly(self.owner, outline, (tag,), cv2.LINE_8, _SHIFT)

    def fill_any(self, outline: np.ndarray, colour: Colour) -> None:
        """Fill an outline that need not be convex; it owns nothing."""
        cv2.fillPoly(self.image, [outline], colour, cv2.LINE_AA, _SHIFT)

    def line(self, a: Sequence[float], b: Sequence[float], colour: Colour, width: float = 1) -> None:
        """A stroke of at least one pixel that owns nothing."""
        p, q = (round(a[0] * FIXED), round(a[1] * FIXED)), (round(b[0] * FIXED), round(b[1] * FIXED))
        cv2.line(self.image, p, q, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def shade(colour: Colour, factor: float, add: float = 0.0) -> Colour:
    """A darker or lighter colour; OpenCV cuts off beyond 0 to 255."""
    return (colour[0] * factor + add, colour[1] * factor + add, colour[2] * factor + add)


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV's fixed-point integers."""
    return np.rint(points * FIXED).astype(np.int32)


def owner_tag(owner: int, part: int = 0) -> int:
    """Value of the owner map for a part of an owner."""
    if not (0 < owner <= MAX_OWNERS and 0 <= part < MAX_PARTS):
        raise PafposeError(
            f"owner {owner}, part {part}: a picture holds at most {MAX_OWNERS} figures of {MAX_PARTS} "
            "parts each; lower data.people"
        )
    return (owner << PART_BITS) | part


def capsules(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> np.ndarray:
    """Outlines ``(n, 12, 2)`` of tapered limbs from ``a`` to ``b`` ``(n, 2)`` with end radii ``(n,)``."""
    axis = b - a
    axis /= np.sqrt((axis * axis).sum(1, keepdims=True)) + 1e-9
    radius = ra[:, None] + (rb - ra)[:, None] * _FAR
    out = np.empty((len(a), 12, 2))
    along, across = radius * _ARC_X, radius * _ARC_Y
    ax, ay = axis[:, :1], axis[:, 1:]
    out[:, :, 0] = a[:, :1] + (b - a)[:, :1] * _FAR + along * ax - across * ay
    out[:, :, 1] = a[:, 1:] + (b - a)[:, 1:] * _FAR + along * ay + across * ax
    return to_fixed(out)


def capsule(a: Sequence[float], b: Sequence[float], ra: float, rb: float) -> np.ndarray:
    """One tapered limb ``(12, 2)``."""
    x, y = (b[0] - a[0]) * FIXED, (b[1] - a[1]) * FIXED
    scale = FIXED / (math.hypot(x, y) + 1e-9)
    c, s = x * scale, y * scale
    ends = ((c * rb, s * rb), (-s * rb, c * rb), (c * ra, s * ra), (-s * ra, c * ra))
    out = _ARC @ np.array((*ends, (x, y), (a[0] * FIXED, a[1] * FIXED)))
    return np.rint(out, out=out).astype(np.int32)


@functools.cache
def _circle(points: int) -> np.ndarray:
    t = np.arange(points) * (2 * np.pi / points)
    return np.stack([np.cos(t), np.sin(t)], -1) * FIXED


@functools.cache
def _circle_and_one(points: int) -> np.ndarray:
    """``(points, 3)``: turned, stretched and moved by one product."""
    return np.concatenate([_circle(points), np.ones((points, 1))], 1)


def ellipse(
    centre: Sequence[float], rx: float, ry: float, angle: float = 0.0, points: int = 16
) -> np.ndarray:
    """Outline ``(points, 2)`` of an ellipse turned by ``angle`` radians."""
    c, s = math.cos(angle), math.sin(angle)
    middle = (centre[0] * FIXED + 0.5, centre[1] * FIXED + 0.5)
    turned = _circle_and_one(points) @ np.array(((rx * c, rx * s), (-ry * s, ry * c), middle))
    return np.floor(turned, out=turned).astype(np.int32)


def hull(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Convex outline around circles: ``centres`` (n, 2), ``radii`` (n,)."""
    rim = centres[:, None] * FIXED + radii[:, None, None] * _circle(10)
    return cv2.convexHull(rim.reshape(-1, 2).astype(np.int32))


def quad(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Outline of an upright rectangle."""
    return to_fixed(np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1))))
