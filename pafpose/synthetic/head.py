"""Heads: face, ears and hair, which tell front from back and so left from right."""

from __future__ import annotations

import math
from typing import Protocol

from pafpose.synthetic.appearance import BALD, BOB, CAP, SHORT, Look
from pafpose.synthetic.body import SIDES, J
from pafpose.synthetic.canvas import Canvas, Point, capsule, ellipse, shade


class Wearer(Protocol):
    """What is needed of a person."""

    depth: list[float]  # of the joints, in stature units
    face: list[float]  # direction of the face: right, down, towards the viewer
    head: float
    scale: float
    look: Look
    detail: bool

    @property
    def points(self) -> list[Point]: ...  # pixels of the joints


def draw_head(person: Wearer, canvas: Canvas, tag: int) -> None:
    """Skull and face, then the hair on top."""
    look, (fx, fy, fz) = person.look, person.face
    (cx, cy), (tx, ty) = person.points[J["head_centre"]], person.points[J["top_head"]]
    half = person.head * person.scale
    tilt = math.atan2(tx - cx, cy - ty)
    width = (0.76 + 0.12 * (1 - abs(fz))) * half  # a head is deeper than wide
    canvas.fill(ellipse((cx, cy), width, half, tilt), shade(look.skin, 0.8), tag)
    if fz > -0.5:
        inner = (cx + fx * 0.16 * half, cy + fy * 0.16 * half)
        canvas.fill(ellipse(inner, 0.82 * width, 0.86 * half, tilt), look.skin)
    if look.hair_style != BALD:
        _draw_hair(person, canvas, tag, size=(half, width), tilt=tilt)
    if person.detail:
        _draw_ears(person, canvas, half)
        _draw_face(person, canvas, half)


def draw_long_hair(person: Wearer, canvas: Canvas, tag: int) -> None:
    """Long hair down to the shoulders: behind the trunk in front views, over it from behind."""
    (cx, cy), (nx, ny) = person.points[J["head_centre"]], person.points[J["neck"]]
    half = person.head * person.scale
    fx, fy = person.face[0] * half, person.face[1] * half
    top, low = (
        (cx - 0.2 * fx, cy - 0.2 * fy),
        (0.78 * nx + 0.22 * cx - 0.5 * fx, 0.78 * ny + 0.22 * cy - 0.5 * fy),
    )
    canvas.fill(capsule(top, low, 0.92 * half, 0.78 * half), shade(person.look.hair, 0.85), tag)


def _draw_hair(person: Wearer, canvas: Canvas, tag: int, *, size: tuple[float, float], tilt: float) -> None:
    """The cap of hair: above the brow in front, down to the nape from behind."""
    look, (fx, fy, fz), (half, width) = person.look, person.face, size
    (cx, cy), (tx, ty) = person.points[J["head_centre"]], person.points[J["top_head"]]
    ux, uy = tx - cx, ty - cy
    colour = look.hair if look.hair_style != CAP else look.second
    if fz > 0:
        lift, back = 0.42, 0.42 if look.hair_style != CAP else 0.1
        rx, ry = width * (1.04 - 0.12 * (1 - fz)), 0.66 * half
    else:
        lift, back = 0.42 + 0.3 * fz, 0.42 + 0.3 * fz
        rx, ry = width * 1.06, (0.66 - 0.26 * fz) * half
    centre = (cx + lift * ux - back * half * fx, cy + lift * uy - back * half * fy)
    canvas.fill(ellipse(centre, rx, ry, tilt), colour, tag)
    if look.hair_style == BOB:
        _draw_bob(person, canvas, tag, half)
    elif look.hair_style == CAP and fz > -0.3:
        peak = (cx + 0.3 * ux + fx * half * 0.9, cy + 0.3 * uy + fy * half * 0.9)
        canvas.fill(ellipse(peak, 0.7 * half, 0.2 * half, tilt), shade(colour, 0.6), tag)


def _draw_bob(person: Wearer, canvas: Canvas, tag: int, half: float) -> None:
    """Hair over the ears."""
    cx, cy = person.points[J["head_centre"]]
    fx, fy = person.face[0] * half, person.face[1] * half
    for side in SIDES:
        if person.depth[J[f"{side}_ear"]] > person.depth[J["head_centre"]] - 0.9 * person.head:
            ex, ey = person.points[J[f"{side}_ear"]]
            centre = (0.8 * ex + 0.2 * cx - 0.25 * fx, 0.8 * ey + 0.2 * cy - 0.25 * fy)
            canvas.fill(ellipse(centre, 0.26 * half, 0.72 * half, 0, 12), person.look.hair, tag)


def _draw_ears(person: Wearer, canvas: Canvas, half: float) -> None:
    if person.look.hair_style not in (BALD, SHORT, CAP):
        return
    for side in SIDES:
        ear = J[f"{side}_ear"]
        if person.depth[ear] > person.depth[J["head_centre"]] - 0.35 * person.head:
            outline = ellipse(person.points[ear], 0.17 * half, 0.24 * half, 0, 10)
            canvas.fill(outline, shade(person.look.skin, 0.72))


def _draw_face(person: Wearer, canvas: Canvas, half: float) -> None:
    """Eyes, brows, nose and mouth where they face the viewer."""
    look, fz = person.look, person.face[2]
    for side in SIDES:
        eye = J[f"{side}_eye"]
        if person.depth[eye] > person.depth[J["head_centre"]] + 0.12 * person.head:
            x, y = person.points[eye]
            r = max(0.17 * half, 0.6)
            canvas.fill(ellipse((x, y), r, 0.72 * r, 0, 8), (244, 244, 240))
            canvas.fill(ellipse((x, y), 0.55 * r, 0.62 * r, 0, 8), (28, 24, 30))
            if half < 6:
                continue  # brows would be specks
            brow = y - 0.22 * half
            canvas.line((x - r, brow), (x + r, brow), shade(look.hair, 0.7), 0.07 * half)
    if fz > -0.15:
        (cx, cy), (nx, ny) = person.points[J["head_centre"]], person.points[J["nose"]]
        bridge = (0.75 * cx + 0.25 * nx, 0.75 * cy + 0.25 * ny - 0.1 * half)
        canvas.fill(capsule(bridge, (nx, ny), 0.05 * half, 0.13 * half), shade(look.skin, 0.74))
    if fz > 0.05:
        (mx, my), wide = person.points[J["mouth"]], 0.26 * half * fz
        canvas.line((mx - wide, my), (mx + wide, my), (150, 60, 62), 0.1 * half)
