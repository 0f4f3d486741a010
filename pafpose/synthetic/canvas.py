"""A picture under construction and, beside it, who owns every pixel. Points are in pixels of the picture.

Small arrays would cost more than the drawing. So colours are tuples, shapes are a handful of numbers, and a
canvas keeps what it was told to draw until somebody looks at it: outlines of one kind are then made together.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from pafpose.errors import PafposeError

Colour = tuple[float, float, float]
Point = Sequence[float]
# makes the outlines of n shapes of a kind, OpenCV's fixed-point integers, from their numbers (n, m)
Kind = Callable[[np.ndarray], Iterable[np.ndarray]]
Shape = tuple[Kind, tuple[float, ...]]

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
        self.size = len(image)
        self._image = image
        self._owner = np.zeros(image.shape[:2], np.uint16)
        self._numbers: dict[Kind, list[tuple[float, ...]]] = defaultdict(list)  # of the shapes to draw
        self._steps: list[tuple[Any, Any, Any]] = []

    @property
    def image(self) -> np.ndarray:
        """The picture with everything drawn so far."""
        self._draw()
        return self._image

    @image.setter
    def image(self, image: np.ndarray) -> None:
        self._draw()
        self._image = image

    @property
    def owner(self) -> np.ndarray:
        """Who owns every pixel, by everything drawn so far."""
        self._draw()
        return self._owner

    def fill(self, shape: Shape | np.ndarray, colour: Colour, tag: int | None = None) -> None:
        """Fill a convex shape or outline; ``tag`` also makes it the owner of its pixels."""
        if type(shape) is tuple:
            kind, numbers = shape
            self._numbers[kind].append(numbers)
            self._steps.append((kind, colour, tag))
        else:
            self._steps.append((shape, colour, tag))

    def fill_any(self, outline: np.ndarray, colour: Colour) -> None:
        """Fill an outline that need not be convex; it owns nothing."""
        self._steps.append((None, cv2.fillPoly, ([outline], colour, cv2.LINE_AA, _SHIFT)))

    def line(self, a: Point, b: Point, colour: Colour, width: float = 1) -> None:
        """A stroke of at least one pixel that owns nothing."""
        p, q = (round(a[0] * FIXED), round(a[1] * FIXED)), (round(b[0] * FIXED), round(b[1] * FIXED))
        self._steps.append((None, cv2.line, (p, q, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)))

    def rectangle(self, a: tuple[int, int], b: tuple[int, int], colour: Colour) -> None:
        """Fill the pixels from corner ``a`` to corner ``b``, both included; they own nothing."""
        self._steps.append((None, cv2.rectangle, (a, b, colour, -1)))

    def _draw(self) -> None:
        """Carry out what was kept, in its order."""
        steps, self._steps = self._steps, []
        made = {kind: iter(kind(np.array(numbers))) for kind, numbers in self._numbers.items()}
        self._numbers.clear()
        image, owner, fill, smooth, sharp = (
            self._image,
            self._owner,
            cv2.fillConvexPoly,
            cv2.LINE_AA,
            cv2.LINE_8,
        )
        for shape, colour, tag in steps:
            if shape is None:
                colour(image, *tag)  # another function of OpenCV and its arguments
                continue
            outline = next(made[shape]) if shape.__class__ is not np.ndarray else shape
            fill(image, outline, colour, smooth, _SHIFT)
            if tag is not None:
                fill(owner, outline, (tag,), sharp, _SHIFT)


def shade(colour: Colour, factor: float, add: float = 0.0) -> Colour:
    """A darker or lighter colour; OpenCV cuts off beyond 0 to 255."""
    red, green, blue = colour
    return (red * factor + add, green * factor + add, blue * factor + add)


def towards(a: Point, b: Point, share: float) -> Point:
    """The point on the way from ``a`` to ``b``."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def blend(a: Point, weight: float, b: Point, other: float) -> Point:
    """The sum of two points by their weights."""
    return (a[0] * weight + b[0] * other, a[1] * weight + b[1] * other)


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV's fixed-point integers."""
    points = points * FIXED
    return np.rint(points, out=points).astype(np.int32)


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


def capsule(a: Point, b: Point, ra: float, rb: float) -> Shape:
    """One tapered limb, of 12 points."""
    x, y = (b[0] - a[0]) * FIXED, (b[1] - a[1]) * FIXED
    scale = FIXED / (math.hypot(x, y) + 1e-9)
    c, s = x * scale, y * scale
    ends = (c * rb, s * rb, -s * rb, c * rb, c * ra, s * ra, -s * ra, c * ra)
    return _capsules, (*ends, x, y, a[0] * FIXED, a[1] * FIXED)


def _capsules(numbers: np.ndarray) -> np.ndarray:
    out = _ARC @ numbers.reshape(-1, 6, 2)
    return np.rint(out, out=out).astype(np.int32)


def ellipse(centre: Point, rx: float, ry: float, angle: float = 0.0, points: int = 16) -> Shape:
    """An ellipse of ``points`` points, turned by ``angle`` radians."""
    c, s = math.cos(angle), math.sin(angle)
    middle = (centre[0] * FIXED + 0.5, centre[1] * FIXED + 0.5)
    return _ellipses(points), (rx * c, rx * s, -ry * s, ry * c, *middle)


@functools.cache
def _ellipses(points: int) -> Kind:
    circle_and_one = np.concatenate([_circle(points), np.ones((points, 1))], 1)

    def outlines(numbers: np.ndarray) -> np.ndarray:
        """Turned, stretched and moved by one product."""
        out = circle_and_one @ numbers.reshape(-1, 3, 2)
        return np.floor(out, out=out).astype(np.int32)

    return outlines


@functools.cache
def _circle(points: int) -> np.ndarray:
    t = np.arange(points) * (2 * np.pi / points)
    return np.stack([np.cos(t), np.sin(t)], -1) * FIXED


def hull(centres: Sequence[Point], radii: Sequence[float]) -> Shape:
    """Convex outline around four circles."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = centres
    return _hulls, (ax, ay, bx, by, cx, cy, dx, dy, *radii)


def _hulls(numbers: np.ndarray) -> list[np.ndarray]:
    centres, radii = numbers[:, :8].reshape(-1, 4, 1, 2), numbers[:, 8:, None, None]
    rims = (centres * FIXED + radii * _circle(10)).astype(np.int32).reshape(len(numbers), -1, 2)
    return [cv2.convexHull(rim) for rim in rims]


def polygon(*points: Point) -> Shape:
    """A convex shape by its corners."""
    return _polygons(len(points)), tuple(t for point in points for t in point)


@functools.cache
def _polygons(corners: int) -> Kind:
    return lambda numbers: to_fixed(numbers.reshape(-1, corners, 2))


def quad(x0: float, y0: float, x1: float, y1: float) -> Shape:
    """An upright rectangle."""
    return _polygons(4), (x0, y0, x1, y0, x1, y1, x0, y1)
