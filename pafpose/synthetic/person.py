"""Dressed people: drawing one body onto a canvas, far parts first, and what can be seen of it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from pafpose.synthetic.appearance import (
    BUTTONS,
    HOOPS,
    JACKET,
    LONG,
    PRINT,
    SHORTS,
    SKIRT,
    SPOTS,
    STRIPES,
    Look,
)
from pafpose.synthetic.body import JOINTS, LIMBS, SIDES, Bodies, J
from pafpose.synthetic.canvas import (
    Canvas,
    Colour,
    Point,
    blend,
    capsule,
    ellipse,
    hull,
    owner_tag,
    polygon,
    quad,
    shade,
    towards,
)
from pafpose.synthetic.head import draw_head, draw_long_hair

TORSO, HEAD, BAG = 0, 1, 2
HEAD_CENTRE, NECK, CHIN = J["head_centre"], J["neck"], J["chin"]
LEFT_SHOULDER, RIGHT_SHOULDER = J["left_shoulder"], J["right_shoulder"]
LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE = (J[f"{side}_{n}"] for n in ("hip", "knee") for side in SIDES)
PART = {f"{side}_{limb}": 3 + n for n, (side, limb) in enumerate(LIMBS)}

# names of keypoints in data sets, as joints or midpoints of two
KEYPOINTS: dict[str, tuple[str, ...]] = {
    name: (name,) for name in JOINTS if name not in ("pelvis", "chin")
} | {
    "head": ("top_head",),
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}
_BESIDE = {"shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
           "hand": ("hand",), "hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot"),
           "heel": ("foot", "shin"), "big_toe": ("foot",), "small_toe": ("foot",)}  # fmt: skip
_FAR_SIDE = 0.75  # turned away further, a shoulder or hip is behind the trunk
_FACE = frozenset(["nose", "mouth", "left_eye", "right_eye", "left_ear", "right_ear"])


@functools.cache
def _weights(names: tuple[str, ...]) -> np.ndarray:
    """Keypoints as means of joints: a matrix ``(K, J)``."""
    table = np.zeros((len(names), len(JOINTS)))
    for k, name in enumerate(names):
        for joint in KEYPOINTS[name]:
            table[k, J[joint]] = 1 / len(KEYPOINTS[name])
    return table


@dataclass(frozen=True)
class _Parts:
    """What of a list of keypoints needs a look at the body; the rest is always in sight on its own parts."""

    masks: tuple[int, ...]  # the parts that each may be seen on, as bits
    faces: tuple[tuple[int, int], ...]  # keypoint and its joint, of those on the face
    trunk: tuple[tuple[int, str, str], ...]  # keypoint, side and joint, of shoulders and hips


@functools.cache
def _parts(names: tuple[str, ...]) -> _Parts:
    masks, faces, trunk = [], [], []
    for k, name in enumerate(names):
        side, _, joint = name.partition("_")
        if name in _FACE:
            masks.append(1 << HEAD)
            faces.append((k, J[name]))
        elif side not in SIDES:
            masks.append(1 << TORSO | 1 << HEAD)
        else:
            masks.append(sum(1 << PART[f"{side}_{limb}"] for limb in _BESIDE[joint]))
            if joint in ("shoulder", "hip"):
                trunk.append((k, side, joint))
    return _Parts(tuple(masks), tuple(faces), tuple(trunk))


class Person:
    """One of some bodies with its look; ``place`` it, ``draw`` it, then ask for keypoints."""

    def __init__(self, bodies: Bodies, index: int, look: Look, *, detail: bool = True) -> None:
        self.bodies, self.index = bodies, index
        self.depth: list[float] = bodies.depth[index]  # of the joints
        self.face, self.chest = bodies.faces[index], bodies.chests[index]
        self.stout, self.head = float(bodies.stout[index]), float(bodies.shape["head"][index])
        self.look, self.detail = look, detail
        self.box: np.ndarray = bodies.boxes[index]
        self.scale = 1.0

    def place(self, scale: float, offset: np.ndarray) -> None:
        """Put the body on the picture: pixels = units * scale + offset."""
        self.scale = float(scale)
        self.bodies.place(self.index, scale, offset)

    @property
    def points(self) -> list[Point]:
        """Pixel positions of the joints."""
        return self.bodies.placed.points[self.index]

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Pixel positions ``(K, 2)`` of keypoints by name."""
        return _weights(names) @ self.bodies.placed.xy[self.index]

    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """For each keypoint the v it has if nothing covers it, and the parts (bits) it may be seen on.

        Faces turned away are labelled as occluded while they can be inferred, then not at all.
        """
        parts = _parts(names)
        v, masks = [2] * len(names), list(parts.masks)
        z = self.depth
        for k, point in parts.faces:
            turn = (z[point] - z[HEAD_CENTRE]) / self.head
            v[k] = 2 if turn > -0.12 else 1 if turn > -0.5 else 0
        away = {joint: self._away(joint) for joint in ("shoulder", "hip")} if parts.trunk else {}
        for k, side, joint in parts.trunk:
            if (away[joint] if side == "right" else -away[joint]) <= _FAR_SIDE:
                masks[k] |= 1 << TORSO
        return v, masks

    def _away(self, joint: str) -> float:
        """How far the right one of two joints is turned away: -1 (the left one is) to 1."""
        joints = self.bodies.joints[self.index]
        across = joints[J[f"left_{joint}"]] - joints[J[f"right_{joint}"]]
        return float(across[2]) / math.sqrt(float(across @ across))

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Paint all parts, the farthest first."""
        tag, placed, n = owner_tag(owner), self.bodies.placed, self.index
        rims, lit, lights = placed.rims[n], placed.lit[n], placed.lights[n]
        steps = [(depth, limb) for limb, depth in enumerate(placed.depths[n])]
        nods = self.depth[HEAD_CENTRE] - self.depth[NECK] > -0.06
        steps += [(0.0, -1), (0.03 if nods else -0.03, -2)]
        if self.look.bag:
            steps.append((-0.05 if self.chest[2] > 0 else 0.05, -3))
        if self.look.hair_style == LONG:
            steps.append((-0.001 if self.face[2] > -0.25 else 0.04, -4))
        others = (self._draw_locks, self._draw_bag, self._draw_head, self._draw_torso)
        colours = self._limb_colours()
        for _, limb in sorted(steps):
            if limb < 0:
                others[limb](canvas, tag)
                continue
            colour = shade(colours[limb % len(colours)], lights[limb])
            canvas.fill(rims[limb], shade(colour, 0.68), tag + 3 + limb)
            if self.detail:
                canvas.fill(lit[limb], colour)
                self._draw_detail(canvas, *LIMBS[limb], colour)

    def _limb_colours(self) -> tuple[Colour, ...]:
        """What covers each limb of a side, in the order of ``LIMBS``."""
        look = self.look
        sleeve = look.second if look.pattern == JACKET else look.top
        return (
            sleeve if look.sleeve else look.skin,
            sleeve if look.sleeve == 2 else look.skin,
            look.skin,
            look.bottom if look.cut != SKIRT else look.skin,
            look.bottom if look.cut < SHORTS else look.skin,
            look.shoes,
        )

    def _draw_detail(self, canvas: Canvas, side: str, limb: str, colour: Colour) -> None:
        """Cuffs, and what tells the front of a limb from its back: knees, elbows, toe caps and heels."""
        look, points, s, facing = self.look, self.points, self.scale, self.chest[2]
        if limb == "upper_arm":
            if look.sleeve == 1:
                self._bare(canvas, f"{side}_shoulder", f"{side}_elbow", 0.5, 0.024)
        elif limb == "thigh":
            if look.cut == SHORTS:
                self._bare(canvas, f"{side}_hip", f"{side}_knee", 0.7, 0.038)
        elif limb == "foot":
            toe, heel = J[f"{side}_big_toe"], J[f"{side}_heel"]
            front, r = self.depth[toe] > self.depth[heel], 0.021 * s * self.stout
            cap = (238.0, 236.0, 228.0) if front else (36.0, 32.0, 32.0)
            canvas.fill(ellipse(points[toe if front else heel], r, r, 0, 8), cap)
        elif limb == "shin" and facing > 0.25:
            knee = points[J[f"{side}_knee"]]
            canvas.fill(ellipse(knee, 0.026 * s, 0.03 * s, 0, 8), shade(colour, 1.2, 26))
        elif limb == "shin" and facing < -0.25:
            x, y = points[J[f"{side}_knee"]]
            canvas.line((x - 0.026 * s, y), (x + 0.026 * s, y), shade(colour, 0.42), 0.016 * s)
        elif limb == "forearm" and facing < -0.25:
            elbow = points[J[f"{side}_elbow"]]
            canvas.fill(ellipse(elbow, 0.019 * s, 0.019 * s, 0, 8), shade(colour, 0.5))

    def _bare(self, canvas: Canvas, start: str, end: str, share: float, radius: float) -> None:
        """Skin below a short sleeve or short trousers."""
        (ax, ay), (bx, by) = self.points[J[start]], self.points[J[end]]
        r = radius * self.scale * self.stout
        if math.hypot(bx - ax, by - ay) > 2 * r:
            cuff = (ax + (bx - ax) * share, ay + (by - ay) * share)
            canvas.fill(capsule(cuff, (bx, by), r, r * 0.9), shade(self.look.skin, 0.92))

    def _draw_torso(self, canvas: Canvas, tag: int) -> None:
        look, size, points = self.look, self.scale * self.stout, self.points
        self._draw_bottom(canvas, tag, size)
        trunk = self.bodies.placed.trunks[self.index]
        left, up, wide, narrow = 0.008 * size, 0.004 * size, 0.05 * size, 0.036 * size
        canvas.fill(hull(trunk, (narrow, narrow, wide, wide)), shade(look.top, 0.7), tag + TORSO)
        inner, wide, narrow = [(x - left, y - up) for x, y in trunk], wide * 0.74, narrow * 0.74
        canvas.fill(hull(inner, (narrow, narrow, wide, wide)), look.top)
        if self.detail:
            self._draw_pattern(canvas, trunk)
            if look.cut != SKIRT and abs(self.chest[2]) > 0.3:
                self._draw_fly_or_pockets(canvas)
        neck, middle = points[NECK], blend(points[NECK], 0.5, points[CHIN], 0.5)
        canvas.fill(capsule(neck, middle, 0.031 * size, 0.029 * size), shade(look.skin, 0.8), tag + HEAD)

    def _draw_bottom(self, canvas: Canvas, tag: int, size: float) -> None:
        look, points = self.look, self.points
        left, right = points[LEFT_HIP], points[RIGHT_HIP]
        if look.cut != SKIRT:
            seat = capsule(left, right, 0.056 * size, 0.056 * size)
            canvas.fill(seat, shade(look.bottom, 0.76), tag + TORSO)
            return
        hem = (towards(left, points[LEFT_KNEE], 0.8), towards(right, points[RIGHT_KNEE], 0.8))
        high, low = 0.05 * size, 0.06 * size
        canvas.fill(hull((left, right, *hem), (high, high, low, low)), shade(look.bottom, 0.7), tag + TORSO)
        high, low = high * 0.74, low * 0.74
        canvas.fill(hull((left, right, *hem), (high, high, low, low)), look.bottom)

    def _draw_fly_or_pockets(self, canvas: Canvas) -> None:
        """Trousers tell front from back: a buckle above a fly, or two pockets."""
        s = self.scale
        left, right = ((x, y + 0.052 * s) for x, y in (self.points[LEFT_HIP], self.points[RIGHT_HIP]))
        middle, dark = blend(left, 0.5, right, 0.5), shade(self.look.bottom, 0.45)
        if self.chest[2] > 0:
            x, y = middle
            canvas.line(middle, (x, y + 0.05 * s), dark, 0.011 * s)
            canvas.fill(ellipse((x, y - 0.006 * s), 0.016 * s, 0.011 * s, 0, 6), (205.0, 190.0, 120.0))
            return
        for hip in (left, right):
            x, y = blend(hip, 0.8, middle, 0.2)
            canvas.fill(quad(x - 0.02 * s, y, x + 0.02 * s, y + 0.034 * s), dark)

    def _draw_pattern(self, canvas: Canvas, trunk: list[Point]) -> None:
        """Stripes and spots all round; prints, buttons and collars on the chest, so in front views only."""
        look, s = self.look, self.scale
        ls, rs, lh, rh = trunk
        if look.pattern in (STRIPES, HOOPS):
            rows, width = (
                ((0.12, 0.37, 0.62, 0.87), 0.026) if look.pattern == STRIPES else ((0.3, 0.7), 0.075)
            )
            for t in rows:
                canvas.line(towards(ls, lh, t), towards(rs, rh, t), look.second, width * s)
        elif look.pattern == SPOTS:
            for t, q in ((0.15, 0.25), (0.15, 0.75), (0.4, 0.5), (0.62, 0.2), (0.62, 0.8), (0.85, 0.5)):
                spot = blend(towards(ls, lh, t), q, towards(rs, rh, t), 1 - q)
                canvas.fill(ellipse(spot, 0.013 * s, 0.013 * s, 0, 8), look.second)
        if self.chest[2] > 0.25:
            self._draw_front(canvas, trunk)

    def _draw_front(self, canvas: Canvas, trunk: list[Point]) -> None:
        look, s = self.look, self.scale
        ls, rs, lh, rh = trunk
        forwards = (self.chest[0] * s, self.chest[1] * s)
        chest = blend(blend(ls, 0.5, rs, 0.5), 1, forwards, 0.04)
        belly = blend(blend(lh, 0.5, rh, 0.5), 1, forwards, 0.05)
        if look.pattern == PRINT:
            spot = towards(chest, belly, 0.38)
            canvas.fill(ellipse(spot, 0.05 * s * self.chest[2], 0.04 * s, 0, 8), look.second)
        elif look.pattern == JACKET:
            for shoulder, hip in ((ls, lh), (rs, rh)):
                open_at, low = blend(chest, 0.72, shoulder, 0.28), blend(belly, 0.5, hip, 0.5)
                canvas.fill(polygon(open_at, shoulder, hip, low), look.second)
        elif look.pattern == BUTTONS:
            canvas.line(chest, belly, shade(look.top, 0.55), 0.008 * s)
        collar = (blend(chest, 0.7, ls, 0.3), blend(chest, 0.7, rs, 0.3), towards(chest, belly, 0.16))
        canvas.fill(polygon(*collar), shade(look.skin, 0.92))

    def _draw_head(self, canvas: Canvas, tag: int) -> None:
        draw_head(self, canvas, tag + HEAD)

    def _draw_locks(self, canvas: Canvas, tag: int) -> None:
        draw_long_hair(self, canvas, tag + HEAD)

    def _draw_bag(self, canvas: Canvas, tag: int) -> None:
        """A rucksack: on the back it is seen whole, from the front at most its edge."""
        s, points = self.scale, self.points
        ls, rs, lh, rh = points[LEFT_SHOULDER], points[RIGHT_SHOULDER], points[LEFT_HIP], points[RIGHT_HIP]
        corners = (
            blend(ls, 0.75, rs, 0.25),
            blend(rs, 0.75, ls, 0.25),
            blend(lh, 0.6, ls, 0.4),
            blend(rh, 0.6, rs, 0.4),
        )
        x, y = self.chest[0] * 0.1 * s, self.chest[1] * 0.1 * s
        bag = [(a - x, b - y) for a, b in corners]
        canvas.fill(hull(bag, (0.03 * s,) * 4), shade(self.look.second, 0.6), tag + BAG)
        canvas.fill(hull(bag, (0.015 * s,) * 4), self.look.second)
