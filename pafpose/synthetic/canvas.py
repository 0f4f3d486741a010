"""A picture being drawn and, beside it, the owner of every pixel.

Points are complex numbers x + iy in pixels of the picture. Outlines are integer arrays (n, 2) in the fixed
point of OpenCV, sixteenths of a pixel.
"""

from __future__ import annotations

import cmath
import functools
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from pafpose.errors import PafposeError

Colour = tuple[float, float, float]
Points = TypeVar("Points", complex, np.ndarray)

PART_BITS = 6
MAX_PARTS = 1 << PART_BITS
MAX_OWNERS = (1 << (16 - PART_BITS)) - 1
_SHIFT = 4
_FIXED = 1 << _SHIFT


class Canvas:
    """An RGB picture ``image`` (S, S, 3) uint8, and who owns each pixel: ``owners`` (S, S) uint16.

    The owner map holds :func:`owner_tag`, or 0 where nobody is.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.size = len(image)
        self.image = image
        self.owners = np.zeros(image.shape[:2], np.uint16)

    def fill(self, outline: np.ndarray, colour: Colour, tag: int | None = None) -> None:
        """Fill a convex outline; ``tag`` also makes an owner of its pixels."""
        cv2.fillConvexPoly(self.image, outline, colour, cv2.LINE_AA, _SHIFT)
        if tag is not None:
            cv2.fillConvexPoly(self.owners, outline, (tag,), cv2.LINE_8, _SHIFT)

    def fill_any(self, outline: np.ndarray, colour: Colour) -> None:
        """Fill an outline that need not be convex."""
        cv2.fillPoly(self.image, [outline], colour, cv2.LINE_AA, _SHIFT)

    def fill_pixels(self, first: tuple[int, int], last: tuple[int, int], colour: Colour) -> None:
        """Fill the rectangle of pixels from ``first`` to ``last``, both included."""
        cv2.rectangle(self.image, first, last, colour, -1)

    def line(self, a: complex, b: complex, colour: Colour, width: float = 1) -> None:
        """Draw a line of at least one pixel."""
        start, end = ((round(p.real * _FIXED), round(p.imag * _FIXED)) for p in (a, b))
        cv2.line(self.image, start, end, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def owner_tag(owner: int, part: int = 0) -> int:
    """Return the value in the owner map for a part of an owner."""
    if not (0 < owner <= MAX_OWNERS and 0 <= part < MAX_PARTS):
        raise PafposeError(
            f"owner {owner}, part {part}: a picture holds at most {MAX_OWNERS} figures of {MAX_PARTS} "
            "parts each; lower data.people"
        )
    return (owner << PART_BITS) | part


def owner_mask(owners: np.ndarray, owner: int) -> np.ndarray:
    """Return where an owner can be seen: uint8, 0 or 255."""
    return cv2.inRange(owners, owner << PART_BITS, (owner << PART_BITS) + MAX_PARTS - 1)


def shade(colour: Colour, factor: float, add: float = 0.0) -> Colour:
    """Return a darker or lighter colour; OpenCV clips it to 0 to 255."""
    red, green, blue = colour
    return (red * factor + add, green * factor + add, blue * factor + add)


def towards(a: complex, b: complex, share: float) -> complex:
    """Return the point at ``share`` of the way from ``a`` to ``b``."""
    return a + (b - a) * share


def polygon(*points: complex) -> np.ndarray:
    """Return the outline with these corners."""
    return _to_fixed(np.array(points))


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Return the outline of an upright rectangle."""
    return polygon(complex(x0, y0), complex(x1, y0), complex(x1, y1), complex(x0, y1))


def ellipse(centre: complex, rx: float, ry: float, angle: float = 0.0, corners: int = 16) -> np.ndarray:
    """Return the outline of an ellipse turned by ``angle`` radians, as a polygon."""
    turn, circle = cmath.rect(1, angle), _circle(corners)
    return _to_fixed(centre + turn * rx * circle.real + 1j * turn * ry * circle.imag)


def hull(centres: Sequence[complex], radii: Sequence[float]) -> np.ndarray:
    """Return the convex outline around some circles."""
    rims = np.array(centres)[:, None] + np.array(radii)[:, None] * _circle(10)
    return cv2.convexHull((rims.ravel() * _FIXED).view(np.float64).astype(np.int32).reshape(-1, 2))


def capsule(a: Points, b: Points, ra: float | np.ndarray, rb: float | np.ndarray) -> np.ndarray:
    """Return the outline ``(12, 2)`` of a tapered limb from ``a`` to ``b``, of radii ``ra`` and ``rb`` there.

    Arrays ``(n, 1)`` give outlines ``(n, 12, 2)``.
    """
    along = (b - a) / (abs(b - a) + 1e-9)
    cap = along * _HALF_CIRCLE
    return _to_fixed(np.concatenate([b + rb * cap, a - ra * cap], -1))


@functools.cache
def _circle(corners: int) -> np.ndarray:
    return np.exp(2j * np.pi / corners * np.arange(corners))


_HALF_CIRCLE = np.exp(1j * np.linspace(-np.pi / 2, np.pi / 2, 6))


def _to_fixed(points: np.ndarray) -> np.ndarray:
    """Return complex points (..., n) as OpenCV's integers (..., n, 2)."""
    return np.rint(points[..., None].view(np.float64) * _FIXED).astype(np.int32)
