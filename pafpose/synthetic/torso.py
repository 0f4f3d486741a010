"""Drawing trunks: hips, shirt with its pattern, neck, and the rucksack."""

from __future__ import annotations

from pafpose.synthetic.appearance import Appearance
from pafpose.synthetic.body import Body
from pafpose.synthetic.canvas import Canvas, capsule, ellipse, hull, polygon, rectangle, shade, towards

Corners = tuple[complex, complex, complex, complex]  # left shoulder, right shoulder, left hip, right hip


def draw_torso(
    canvas: Canvas, body: Body, look: Appearance, tag: int, *, neck_tag: int, detail: bool
) -> None:
    """Draw hips, shirt and neck; ``detail`` adds patterns and what tells front from back."""
    size = body.scale * body.girth
    _draw_hips(canvas, body, look, tag)
    corners = _trunk_corners(body)
    wide, narrow = 0.05 * size, 0.036 * size
    canvas.fill(hull(corners, (narrow, narrow, wide, wide)), shade(look.top, 0.7), tag)
    lit, wide, narrow = [corner - (0.008 + 0.004j) * size for corner in corners], wide * 0.74, narrow * 0.74
    canvas.fill(hull(lit, (narrow, narrow, wide, wide)), look.top)
    if detail:
        _draw_pattern(canvas, body, look, corners)
        if body.chest_front > 0.25:
            _draw_chest(canvas, body, look, corners)
        if look.legwear != "skirt" and abs(body.chest_front) > 0.3:
            _draw_fly_or_pockets(canvas, body, look)
    neck, chin = body.points["neck"], body.points["chin"]
    throat = capsule(neck, 0.5 * neck + 0.5 * chin, 0.031 * size, 0.029 * size)
    canvas.fill(throat, shade(look.skin, 0.8), neck_tag)


def draw_rucksack(canvas: Canvas, body: Body, look: Appearance, tag: int) -> None:
    """Draw a rucksack, of which at most the edge shows from the front."""
    ls, rs, lh, rh = _shoulders_and_hips(body)
    corners = (0.75 * ls + 0.25 * rs, 0.75 * rs + 0.25 * ls, 0.6 * lh + 0.4 * ls, 0.6 * rh + 0.4 * rs)
    bag = [corner - 0.1 * body.scale * body.chest for corner in corners]
    canvas.fill(hull(bag, (0.03 * body.scale,) * 4), shade(look.accent, 0.6), tag)
    canvas.fill(hull(bag, (0.015 * body.scale,) * 4), look.accent)


def _shoulders_and_hips(body: Body) -> Corners:
    points = body.points
    return points["left_shoulder"], points["right_shoulder"], points["left_hip"], points["right_hip"]


def _trunk_corners(body: Body) -> Corners:
    """Return shoulders and hips, the hips raised a little."""
    ls, rs, lh, rh = _shoulders_and_hips(body)
    return ls, rs, towards(lh, ls, 0.06), towards(rh, rs, 0.06)


def _draw_hips(canvas: Canvas, body: Body, look: Appearance, tag: int) -> None:
    """Draw the seat of the trousers, or a skirt down to the knees."""
    points, size = body.points, body.scale * body.girth
    left, right = points["left_hip"], points["right_hip"]
    if look.legwear != "skirt":
        seat = capsule(left, right, 0.056 * size, 0.056 * size)
        canvas.fill(seat, shade(look.bottom, 0.76), tag)
        return
    corners = (
        left,
        right,
        towards(left, points["left_knee"], 0.8),
        towards(right, points["right_knee"], 0.8),
    )
    high, low = 0.05 * size, 0.06 * size
    canvas.fill(hull(corners, (high, high, low, low)), shade(look.bottom, 0.7), tag)
    high, low = high * 0.74, low * 0.74
    canvas.fill(hull(corners, (high, high, low, low)), look.bottom)


def _draw_pattern(canvas: Canvas, body: Body, look: Appearance, corners: Corners) -> None:
    """Draw stripes or spots, which go all round."""
    s, (ls, rs, lh, rh) = body.scale, corners
    if look.pattern in ("stripes", "hoops"):
        stripes = look.pattern == "stripes"
        rows, width = ((0.12, 0.37, 0.62, 0.87), 0.026) if stripes else ((0.3, 0.7), 0.075)
        for t in rows:
            canvas.line(towards(ls, lh, t), towards(rs, rh, t), look.accent, width * s)
    elif look.pattern == "spots":
        for t, q in ((0.15, 0.25), (0.15, 0.75), (0.4, 0.5), (0.62, 0.2), (0.62, 0.8), (0.85, 0.5)):
            spot = q * towards(ls, lh, t) + (1 - q) * towards(rs, rh, t)
            canvas.fill(ellipse(spot, 0.013 * s, 0.013 * s, corners=8), look.accent)


def _draw_chest(canvas: Canvas, body: Body, look: Appearance, corners: Corners) -> None:
    """Draw print, jacket or buttons and the collar, which only the front of a shirt has."""
    s, (ls, rs, lh, rh) = body.scale, corners
    chest = 0.5 * ls + 0.5 * rs + 0.04 * s * body.chest
    belly = 0.5 * lh + 0.5 * rh + 0.05 * s * body.chest
    if look.pattern == "print":
        badge = ellipse(towards(chest, belly, 0.38), 0.05 * s * body.chest_front, 0.04 * s, corners=8)
        canvas.fill(badge, look.accent)
    elif look.pattern == "jacket":
        for shoulder, hip in ((ls, lh), (rs, rh)):
            high, low = 0.72 * chest + 0.28 * shoulder, 0.5 * belly + 0.5 * hip
            canvas.fill(polygon(high, shoulder, hip, low), look.accent)
    elif look.pattern == "buttons":
        canvas.line(chest, belly, shade(look.top, 0.55), 0.008 * s)
    collar = polygon(0.7 * chest + 0.3 * ls, 0.7 * chest + 0.3 * rs, towards(chest, belly, 0.16))
    canvas.fill(collar, shade(look.skin, 0.92))


def _draw_fly_or_pockets(canvas: Canvas, body: Body, look: Appearance) -> None:
    """Draw a buckle and fly in front, or two pockets behind."""
    s = body.scale
    left, right = (body.points[hip] + 0.052j * s for hip in ("left_hip", "right_hip"))
    middle, dark = 0.5 * left + 0.5 * right, shade(look.bottom, 0.45)
    if body.chest_front > 0:
        canvas.line(middle, middle + 0.05j * s, dark, 0.011 * s)
        buckle = ellipse(middle - 0.006j * s, 0.016 * s, 0.011 * s, corners=6)
        canvas.fill(buckle, (205.0, 190.0, 120.0))
        return
    for hip in (left, right):
        top = 0.8 * hip + 0.2 * middle
        x, y = top.real, top.imag
        canvas.fill(rectangle(x - 0.02 * s, y, x + 0.02 * s, y + 0.034 * s), dark)
