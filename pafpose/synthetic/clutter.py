"""Objects: clutter behind people, some of it like limbs, and obstacles in front of them."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np

from pafpose.synthetic.backgrounds import draw_tree
from pafpose.synthetic.canvas import Canvas, Colour, capsule, ellipse, owner_tag, rectangle, shade

OBSTACLE = owner_tag(1)


def draw_clutter(canvas: Canvas, rng: np.random.Generator, count: int) -> None:
    """Draw boxes, balls, trees, jointed rods, some of them skin-coloured, and dummies, anywhere."""
    size = canvas.size
    for u in rng.random((count, 14)).tolist():
        colour = (u[0] * 220 + 15, u[1] * 220 + 15, u[2] * 220 + 15)
        spot, r = complex(u[3], u[4]) * size, size * (0.03 + 0.1 * u[5] ** 2)
        kind = int(u[6] * 6)
        if kind == 0:
            _box(canvas, spot, r, u=u[7:9], colour=colour)
        elif kind == 1:
            _ball(canvas, spot, r, colour)
        elif kind == 2:
            _rods(canvas, spot, u[8:12], colour)
        elif kind == 3:
            tan = 0.45 + 0.6 * u[7]
            _rods(canvas, spot, u[8:12], (224 * tan, 172 * tan, 130 * tan))
        elif kind == 4:
            draw_tree(canvas, spot, 2.5 * r, u)
        else:
            _dummy(canvas, spot, 1.6 * r, colour, faceless=u[9] < 0.6)


def draw_obstacle(canvas: Canvas, rng: np.random.Generator, box: np.ndarray) -> None:
    """Draw an object that hides a part of the figure in ``box`` (x, y, w, h)."""
    u = rng.random(14).tolist()
    colour = (u[0] * 220 + 15, u[1] * 220 + 15, u[2] * 220 + 15)
    x0, y0, w, h = box.tolist()
    x1, y1 = x0 + w, y0 + h
    x, y = x0 + w * (0.1 + 0.8 * u[3]), y0 + h * (0.1 + 0.8 * u[4])
    kind = int(u[5] * 5)
    if kind == 0:
        half, top, bottom = max(1.5, 0.035 * h * (0.6 + u[6])), y0 - h * u[7] * 0.4, y1 + 0.05 * h
        canvas.fill(rectangle(x - half, top, x + half, bottom), shade(colour, 0.7), OBSTACLE)
        canvas.fill(rectangle(x - half * 0.6, top, x + half * 0.2, bottom), colour)
    elif kind == 1:
        left, right = x0 - w * (0.4 * u[7] + 0.1), x1 + w * (0.4 * u[8] + 0.1)
        top = y0 + h * (0.45 + 0.35 * u[6])
        canvas.fill(rectangle(left, top, right, top + h * (0.15 + 0.4 * u[9])), shade(colour, 0.65), OBSTACLE)
        canvas.fill(rectangle(left, top, right, top + h * 0.05), colour, OBSTACLE)
    elif kind == 2:
        draw_tree(canvas, complex(x, y1 + 0.04 * h), h * (0.25 + 0.25 * u[6]), u, OBSTACLE)
    elif kind == 3:
        _box(canvas, complex(x, y), 0.1 * h * (0.7 + u[6]), u=u[7:9], colour=colour, tag=OBSTACLE)
    else:
        _ball(canvas, complex(x, y), h * (0.05 + 0.07 * u[6]), colour, OBSTACLE)


def _ball(canvas: Canvas, spot: complex, r: float, colour: Colour, tag: int | None = None) -> None:
    canvas.fill(ellipse(spot, r, r), shade(colour, 0.7), tag)
    canvas.fill(ellipse(spot - (0.15 + 0.15j) * r, 0.75 * r, 0.72 * r), colour)


def _box(
    canvas: Canvas, spot: complex, r: float, *, u: Sequence[float], colour: Colour, tag: int | None = None
) -> None:
    """Draw a crate with a lit side."""
    turn, tall = math.pi / 4 + (u[0] - 0.5) * 0.5, r * (0.8 + u[1])
    canvas.fill(ellipse(spot, r * 1.4, tall, turn, corners=4), shade(colour, 0.72), tag)
    canvas.fill(ellipse(spot - 0.25 * r, r, tall * 0.8, turn, corners=4), colour)


def _rods(canvas: Canvas, spot: complex, u: Sequence[float], colour: Colour) -> None:
    """Draw two jointed rods, like an arm or a leg without a body."""
    angle, bend = u[0] * 2 * math.pi, (u[1] - 0.5) * 3
    length = canvas.size * (0.06 + 0.12 * u[2])
    r = length * (0.08 + 0.16 * u[3])
    middle = spot + cmath.rect(length, angle)
    end = middle + cmath.rect(length, angle + bend)
    for a, b in ((spot, middle), (middle, end)):
        canvas.fill(capsule(a, b, r, 0.8 * r), shade(colour, 0.7))
        canvas.fill(capsule(a, b, 0.7 * r, 0.56 * r), colour)


def _dummy(canvas: Canvas, spot: complex, r: float, colour: Colour, *, faceless: bool) -> None:
    """Draw a shop window dummy: a trunk without limbs, perhaps with a faceless head."""
    canvas.fill(ellipse(spot, 0.5 * r, r, corners=10), shade(colour, 0.75))
    canvas.fill(ellipse(spot - 0.06 * r, 0.38 * r, 0.85 * r, corners=10), colour)
    if faceless:
        canvas.fill(ellipse(spot - 1.35j * r, 0.27 * r, 0.34 * r), shade(colour, 0.6))
