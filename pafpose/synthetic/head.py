"""Drawing heads: face, ears and hair, which tell front from back and so left from right."""

from __future__ import annotations

import cmath

from pafpose.synthetic.appearance import Appearance
from pafpose.synthetic.body import SIDES, Body
from pafpose.synthetic.canvas import Canvas, capsule, ellipse, shade


def draw_head(canvas: Canvas, body: Body, look: Appearance, tag: int, *, detail: bool) -> None:
    """Draw skull, face and hair; ``detail`` adds ears, eyes, nose and mouth."""
    centre, half = body.points["head_centre"], body.head * body.scale
    tilt = cmath.phase((body.points["top_head"] - centre) * 1j)
    width = (0.76 + 0.12 * (1 - abs(body.face_front))) * half  # a head is deeper than wide
    canvas.fill(ellipse(centre, width, half, tilt), shade(look.skin, 0.8), tag)
    if body.face_front > -0.5:
        canvas.fill(ellipse(centre + body.face * 0.16 * half, 0.82 * width, 0.86 * half, tilt), look.skin)
    if look.hair_style != "bald":
        _draw_hair(canvas, body, look, tag, width=width, tilt=tilt)
    if detail:
        _draw_ears(canvas, body, look)
        _draw_face(canvas, body, look)


def draw_long_hair(canvas: Canvas, body: Body, look: Appearance, tag: int) -> None:
    """Draw hair down to the shoulders."""
    centre, half = body.points["head_centre"], body.head * body.scale
    top = centre - 0.2 * half * body.face
    low = 0.78 * body.points["neck"] + 0.22 * centre - 0.5 * half * body.face
    canvas.fill(capsule(top, low, 0.92 * half, 0.78 * half), shade(look.hair, 0.85), tag)


def _draw_hair(canvas: Canvas, body: Body, look: Appearance, tag: int, *, width: float, tilt: float) -> None:
    """Draw the hair on the skull: above the brow in front, down to the nape behind."""
    centre, half, front = body.points["head_centre"], body.head * body.scale, body.face_front
    up = body.points["top_head"] - centre
    cap = look.hair_style == "cap"
    colour = look.accent if cap else look.hair
    if front > 0:
        lift, back = 0.42, 0.1 if cap else 0.42
        rx, ry = width * (1.04 - 0.12 * (1 - front)), 0.66 * half
    else:
        lift = back = 0.42 + 0.3 * front
        rx, ry = width * 1.06, (0.66 - 0.26 * front) * half
    canvas.fill(ellipse(centre + lift * up - back * half * body.face, rx, ry, tilt), colour, tag)
    if look.hair_style == "bob":
        _draw_bob(canvas, body, look, tag)
    elif cap and front > -0.3:
        peak = centre + 0.3 * up + 0.9 * half * body.face
        canvas.fill(ellipse(peak, 0.7 * half, 0.2 * half, tilt), shade(colour, 0.6), tag)


def _draw_bob(canvas: Canvas, body: Body, look: Appearance, tag: int) -> None:
    """Draw hair over the ears."""
    half = body.head * body.scale
    for side in SIDES:
        if _in_front(body, f"{side}_ear", -0.9):
            ear = 0.8 * body.points[f"{side}_ear"] + 0.2 * body.points["head_centre"]
            lock = ellipse(ear - 0.25 * half * body.face, 0.26 * half, 0.72 * half, corners=12)
            canvas.fill(lock, look.hair, tag)


def _draw_ears(canvas: Canvas, body: Body, look: Appearance) -> None:
    if look.hair_style not in ("bald", "short", "cap"):
        return
    half = body.head * body.scale
    for side in SIDES:
        if _in_front(body, f"{side}_ear", -0.35):
            ear = ellipse(body.points[f"{side}_ear"], 0.17 * half, 0.24 * half, corners=10)
            canvas.fill(ear, shade(look.skin, 0.72))


def _draw_face(canvas: Canvas, body: Body, look: Appearance) -> None:
    """Draw eyes, brows, nose and mouth where they face the viewer."""
    half = body.head * body.scale
    for side in SIDES:
        if _in_front(body, f"{side}_eye", 0.12):
            eye, r = body.points[f"{side}_eye"], max(0.17 * half, 0.6)
            canvas.fill(ellipse(eye, r, 0.72 * r, corners=8), (244, 244, 240))
            canvas.fill(ellipse(eye, 0.55 * r, 0.62 * r, corners=8), (28, 24, 30))
            if half >= 6:  # smaller brows would be specks
                brow = eye - 0.22j * half
                canvas.line(brow - r, brow + r, shade(look.hair, 0.7), 0.07 * half)
    if body.face_front > -0.15:
        nose = body.points["nose"]
        bridge = 0.75 * body.points["head_centre"] + 0.25 * nose - 0.1j * half
        canvas.fill(capsule(bridge, nose, 0.05 * half, 0.13 * half), shade(look.skin, 0.74))
    if body.face_front > 0.05:
        mouth, wide = body.points["mouth"], 0.26 * half * body.face_front
        canvas.line(mouth - wide, mouth + wide, (150, 60, 62), 0.1 * half)


def _in_front(body: Body, joint: str, by: float) -> bool:
    """Return whether a joint is nearer than the head's centre by more than ``by`` halves of the head."""
    return body.depth[joint] > body.depth["head_centre"] + by * body.head
