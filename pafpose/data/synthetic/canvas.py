"""A picture under construction and, beside it, who owns every pixel. Points are in pixels of the picture."""

from __future__ import annotations

import cv2
import numpy as np

from pafpose.errors import PafposeError

PART_BITS = 6
MAX_PARTS = 1 << PART_BITS
MAX_OWNERS = (1 << (16 - PART_BITS)) - 2
_SHIFT = 4
_SCALE = float(1 << _SHIFT)
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 7)
_CIRCLE = np.stack([np.cos(np.arange(10) * np.pi / 5), np.sin(np.arange(10) * np.pi / 5)], -1)

Colour = tuple[float, float, float] | np.ndarray


class Canvas:
    """``image`` uint8 RGB and ``owner`` uint16: owner number and part; nobody owns 0, objects own 1."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.owner = np.zeros(image.shape[:2], np.uint16)

    def polygon(self, points: np.ndarray, colour: Colour, tag: int | None = None) -> None:
        """Fill a polygon ``(n, 2)``; ``tag`` also makes it the owner of its pixels."""
        fixed = np.rint(points * _SCALE).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], rgb(colour), cv2.LINE_AA, _SHIFT)
        if tag is not None:
            cv2.fillPoly(self.owner, [fixed], (int(tag),), cv2.LINE_8, _SHIFT)

    def convex(self, fixed: np.ndarray, colour: Colour, tag: int | None = None) -> None:
        """As ``polygon`` for convex shapes, with points from ``to_fixed``: the fast path."""
        cv2.fillConvexPoly(self.image, fixed, rgb(colour), cv2.LINE_AA, _SHIFT)
        if tag is not None:
            cv2.fillConvexPoly(self.owner, fixed, (int(tag),), cv2.LINE_8, _SHIFT)

    def line(self, a: np.ndarray, b: np.ndarray, colour: Colour, width: float) -> None:
        """A stroke that owns nothing; strokes under one pixel fade by their width."""
        p, q = to_fixed(np.stack([a, b]))
        cv2.line(
            self.image, p.tolist(), q.tolist(), rgb(colour), max(1, round(float(width))), cv2.LINE_AA, _SHIFT
        )


def rgb(colour: Colour) -> tuple[float, float, float]:
    """A colour for OpenCV."""
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV's fixed-point integers, limited to what its arithmetic bears."""
    return np.rint(np.clip(points, -4000, 4000) * _SCALE).astype(np.int32)


def owner_tag(owner: int, part: int = 0) -> int:
    """Value of the owner map for a part of an owner."""
    if not (0 < owner <= MAX_OWNERS and 0 <= part < MAX_PARTS):
        raise PafposeError(
            f"owner {owner} part {part}: a picture holds at most {MAX_OWNERS} figures of {MAX_PARTS} parts"
        )
    return (owner << PART_BITS) | part


def capsules(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> np.ndarray:
    """Outlines ``(n, 14, 2)`` of tapered limbs from ``a`` to ``b`` ``(n, 2)`` with end radii ``(n,)``."""
    axis = b - a
    angle = np.arctan2(axis[:, 1], axis[:, 0])[:, None]
    far = angle + _ARC
    near = far + np.pi
    ends = [
        centre[:, None, :] + radius[:, None, None] * np.stack([np.cos(t), np.sin(t)], -1)
        for centre, radius, t in ((b, rb, far), (a, ra, near))
    ]
    return np.concatenate(ends, 1)


def ellipse(
    centre: np.ndarray, radii: tuple[float, float], angle: float = 0.0, points: int = 20
) -> np.ndarray:
    """Outline ``(points, 2)`` of an ellipse turned by ``angle`` radians."""
    t = np.arange(points) * (2 * np.pi / points)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([x * c - y * s, x * s + y * c], -1) + centre


def hull(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Convex outline around circles: ``centres`` (n, 2), ``radii`` (n,)."""
    rim = (centres[:, None] + np.asarray(radii)[:, None, None] * _CIRCLE).reshape(-1, 2)
    return cv2.convexHull(rim.astype(np.float32))[:, 0].astype(float)
