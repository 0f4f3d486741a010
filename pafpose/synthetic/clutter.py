"""Things that are nobody: clutter behind people, some of it like limbs, and obstacles in front of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pafpose.synthetic.backgrounds import draw_tree
from pafpose.synthetic.canvas import Canvas, Colour, capsule, ellipse, owner_tag, quad, shade

THING = owner_tag(1)


def draw_clutter(canvas: Canvas, rng: np.random.Generator, count: int) -> None:
    """Boxes, balls, plants, jointed rods, skin-coloured shapes and dummies anywhere in the picture."""
    size = canvas.size
    for u in rng.random((count, 14)).tolist():
        colour = (u[0] * 220 + 15, u[1] * 220 + 15, u[2] * 220 + 15)
        spot, r = (u[3] * size, u[4] * size), size * (0.03 + 0.1 * u[5] ** 2)
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
    """A thing in front of the person in ``box`` (x0, y0, x1, y1): it hides a part of them."""
    u = rng.random(14).tolist()
    colour = (u[0] * 220 + 15, u[1] * 220 + 15, u[2] * 220 + 15)
    x0, y0, x1, y1 = box.tolist()
    w, h = x1 - x0, y1 - y0
    spot = (x0 + w * (0.1 + 0.8 * u[3]), y0 + h * (0.1 + 0.8 * u[4]))
    kind = int(u[5] * 5)
    if kind == 0:
        half, top = max(1.5, 0.035 * h * (0.6 + u[6])), y0 - h * u[7] * 0.4
        canvas.fill(quad(spot[0] - half, top, spot[0] + half, y1 + 0.05 * h), shade(colour, 0.7), THING)
        canvas.fill(quad(spot[0] - half * 0.6, top, spot[0] + half * 0.2, y1 + 0.05 * h), colour)
    elif kind == 1:
        top, left, right = (
            y0 + h * (0.45 + 0.35 * u[6]),
            x0 - w * (0.4 * u[7] + 0.1),
            x1 + w * (0.4 * u[8] + 0.1),
        )
        canvas.fill(quad(left, top, right, top + h * (0.15 + 0.4 * u[9])), shade(colour, 0.65), THING)
        canvas.fill(quad(left, top, right, top + h * 0.05), colour, THING)
    elif kind == 2:
        draw_tree(canvas, (spot[0], y1 + 0.04 * h), h * (0.25 + 0.25 * u[6]), u, THING)
    elif kind == 3:
        _box(canvas, spot, 0.1 * h * (0.7 + u[6]), u=u[7:9], colour=colour, tag=THING)
    else:
        _ball(canvas, spot, h * (0.05 + 0.07 * u[6]), colour, THING)


def _ball(canvas: Canvas, spot: Sequence[float], r: float, colour: Colour, tag: int | None = None) -> None:
    canvas.fill(ellipse(spot, r, r), shade(colour, 0.7), tag)
    canvas.fill(ellipse((spot[0] - 0.15 * r, spot[1] - 0.15 * r), 0.75 * r, 0.72 * r), colour)


def _box(
    canvas: Canvas,
    spot: Sequence[float],
    r: float,
    *,
    u: Sequence[float],
    colour: Colour,
    tag: int | None = None,
) -> None:
    """A crate with a lit side."""
    turn, tall = math.pi / 4 + (u[0] - 0.5) * 0.5, r * (0.8 + u[1])
    canvas.fill(ellipse(spot, r * 1.4, tall, turn, 4), shade(colour, 0.72), tag)
    canvas.fill(ellipse((spot[0] - 0.25 * r, spot[1]), r * 1.0, tall * 0.8, turn, 4), colour)


def _rods(canvas: Canvas, spot: Sequence[float], u: Sequence[float], colour: Colour) -> None:
    """Two jointed rods, like an arm or a leg without a body."""
    size = canvas.size
    angle, bend, length = u[0] * 2 * math.pi, (u[1] - 0.5) * 3, size * (0.06 + 0.12 * u[2])
    r = length * (0.08 + 0.16 * u[3])
    middle = (spot[0] + length * math.cos(angle), spot[1] + length * math.sin(angle))
    end = (middle[0] + length * math.cos(angle + bend), middle[1] + length * math.sin(angle + bend))
    for a, b in ((spot, middle), (middle, end)):
        canvas.fill(capsule(a, b, r, 0.8 * r), shade(colour, 0.7))
        canvas.fill(capsule(a, b, 0.7 * r, 0.56 * r), colour)


def _dummy(canvas: Canvas, spot: Sequence[float], r: float, colour: Colour, *, faceless: bool) -> None:
    """A shop window dummy: a trunk and perhaps a faceless head, no limbs."""
    x, y = spot
    canvas.fill(ellipse((x, y), 0.5 * r, r, 0, 10), shade(colour, 0.75))
    canvas.fill(ellipse((x - 0.06 * r, y), 0.38 * r, 0.85 * r, 0, 10), colour)
    if faceless:
        canvas.fill(ellipse((x, y - 1.35 * r), 0.27 * r, 0.34 * r), shade(colour, 0.6))
