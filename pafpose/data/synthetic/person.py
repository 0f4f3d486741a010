"""Dressed people: drawing one body onto a canvas, far parts first, and what can be seen of it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from pafpose.data.synthetic.body import JOINTS, SIDES, Bodies, J
from pafpose.data.synthetic.canvas import (
    Canvas,
    Colour,
    capsule,
    capsules,
    ellipse,
    hull,
    owner_tag,
    polygon,
    quad,
    shade,
)
from pafpose.data.synthetic.head import draw_head, draw_long_hair
from pafpose.data.synthetic.looks import (
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

TORSO, HEAD, BAG = 0, 1, 2
_LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
_KEYS = [(side, limb) for side in SIDES for limb in _LIMBS]
PART = {f"{side}_{limb}": 3 + n for n, (side, limb) in enumerate(_KEYS)}
_ENDS = {"upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand"),
         "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("heel", "big_toe")}  # fmt: skip
_RADII = {"upper_arm": (0.034, 0.027), "forearm": (0.027, 0.02), "hand": (0.02, 0.019),
          "thigh": (0.056, 0.04), "shin": (0.039, 0.026), "foot": (0.025, 0.02)}  # fmt: skip
_FROM = np.array([J[f"{side}_{_ENDS[limb][0]}"] for side, limb in _KEYS])
_TO = np.array([J[f"{side}_{_ENDS[limb][1]}"] for side, limb in _KEYS])
_NEAR = np.array([_RADII[limb][0] for _, limb in _KEYS])
_FAR = np.array([_RADII[limb][1] for _, limb in _KEYS])
_ARMS = np.array([limb in ("upper_arm", "forearm", "hand") for _, limb in _KEYS])
_TRUNK = [J[n] for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]

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
    """One body with its look; ``place`` it, ``draw`` it, then ask for keypoints."""

    def __init__(self, bodies: Bodies, index: int, look: Look, *, detail: bool = True) -> None:
        self.joints = bodies.joints[index]
        self.face, self.chest = bodies.face[index].tolist(), bodies.chest[index].tolist()
        self.stout, self.head = float(bodies.stout[index]), float(bodies.shape["head"][index])
        self.look, self.detail = look, detail
        margin = 0.02  # flesh around the joints
        self.box = np.concatenate([self.joints[:, :2].min(0) - margin, self.joints[:, :2].max(0) + margin])
        self.place(1.0, np.zeros(2))

    def place(self, scale: float, offset: np.ndarray) -> None:
        """Put the body on the picture: pixels = units * scale + offset."""
        self.scale, self.xy = float(scale), self.joints[:, :2] * scale + offset

    def point(self, joint: str) -> np.ndarray:
        """Pixel position of a joint."""
        return self.xy[J[joint]]

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Pixel positions ``(K, 2)`` of keypoints by name."""
        return _weights(names) @ self.xy

    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """For each keypoint the v it has if nothing covers it, and the parts (bits) it may be seen on.

        Faces turned away are labelled as occluded while they can be inferred, then not at all.
        """
        parts = _parts(names)
        v, masks = [2] * len(names), list(parts.masks)
        z = self.joints[:, 2].tolist()
        for k, point in parts.faces:
            turn = (z[point] - z[J["head_centre"]]) / self.head
            v[k] = 2 if turn > -0.12 else 1 if turn > -0.5 else 0
        away = {joint: self._away(joint) for _, _, joint in parts.trunk}
        for k, side, joint in parts.trunk:
            if (away[joint] if side == "right" else -away[joint]) <= _FAR_SIDE:
                masks[k] |= 1 << TORSO
        return v, masks

    def _away(self, joint: str) -> float:
        """How far the right one of two joints is turned away: -1 (the left one is) to 1."""
        across = self.joints[J[f"left_{joint}"]] - self.joints[J[f"right_{joint}"]]
        return float(across[2]) / math.sqrt(float(across @ across))

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Paint all parts, the farthest first."""
        tag = owner_tag(owner)
        rims, lit = self._outlines()
        lights = self._lights()
        head = self.joints[J["head_centre"], 2] - self.joints[J["neck"], 2]
        steps = [(depth, n) for n, depth in enumerate(self._depths())]
        steps += [(0.0, -1), (0.03 if head > -0.06 else -0.03, -2)]
        if self.look.bag:
            steps.append((-0.05 if self.chest[2] > 0 else 0.05, -3))
        if self.look.hair_style == LONG:
            steps.append((-0.001 if self.face[2] > -0.25 else 0.04, -4))
        others = (self._draw_locks, self._draw_bag, self._draw_head, self._draw_torso)
        for _, n in sorted(steps):
            if n >= 0:
                self._draw_limb(canvas, tag, n, rim=rims[n], lit=lit[n], light=lights[n])
            else:
                others[n](canvas, tag)

    def _depths(self) -> list[float]:
        """Depth of the limbs against the trunk; arms beside the body go on top, legs below the shirt."""
        depth = (self.joints[_FROM, 2] + 2 * self.joints[_TO, 2]) / 3
        return np.where(_ARMS, depth + 0.035, depth * 0.5 - 0.02 - 0.02 * (depth < 0.05)).tolist()

    def _outlines(self) -> tuple[np.ndarray, np.ndarray]:
        """Outlines of the limbs, and of their lit inner part."""
        size = self.scale * self.stout
        a, b = self.xy[_FROM], self.xy[_TO]
        ra, rb = _NEAR * size, _FAR * size
        light = ra[:, None] * (-0.14, -0.1)
        both = capsules(
            np.concatenate([a, a + light]),
            np.concatenate([b, b + light]),
            np.concatenate([ra, 0.76 * ra]),
            np.concatenate([rb, 0.76 * rb]),
        )
        return both[: len(a)], both[len(a) :]

    def _draw_limb(
        self, canvas: Canvas, tag: int, n: int, *, rim: np.ndarray, lit: np.ndarray, light: float
    ) -> None:
        look, (side, limb) = self.look, _KEYS[n]
        sleeve = look.second if look.pattern == JACKET else look.top
        colour = {
            "upper_arm": sleeve if look.sleeve else look.skin,
            "forearm": sleeve if look.sleeve == 2 else look.skin,
            "hand": look.skin,
            "thigh": look.bottom if look.cut != SKIRT else look.skin,
            "shin": look.bottom if look.cut < SHORTS else look.skin,
            "foot": look.shoes,
        }[limb]
        colour = shade(colour, light)
        canvas.fill(rim, shade(colour, 0.68), tag + 3 + n)
        if not self.detail:
            return
        canvas.fill(lit, colour)
        if limb == "upper_arm" and look.sleeve == 1:
            self._bare(canvas, f"{side}_shoulder", f"{side}_elbow", 0.5, 0.024)
        elif limb == "thigh" and look.cut == SHORTS:
            self._bare(canvas, f"{side}_hip", f"{side}_knee", 0.7, 0.038)
        if limb in ("shin", "forearm", "foot"):
            self._draw_front_or_back(canvas, side, limb, colour)

    def _draw_front_or_back(self, canvas: Canvas, side: str, limb: str, colour: Colour) -> None:
        """What tells the front of a limb from its back: knees, elbows, toe caps and heels."""
        s, facing = self.scale, self.chest[2]
        if limb == "foot":
            toe, heel = self.joints[J[f"{side}_big_toe"]], self.joints[J[f"{side}_heel"]]
            front = toe[2] > heel[2]
            spot, r = (
                self.point(f"{side}_big_toe" if front else f"{side}_heel").tolist(),
                0.021 * s * self.stout,
            )
            canvas.fill(ellipse(spot, r, r, 0, 8), (238.0, 236.0, 228.0) if front else (36.0, 32.0, 32.0))
        elif limb == "shin" and facing > 0.25:
            canvas.fill(
                ellipse(self.point(f"{side}_knee").tolist(), 0.026 * s, 0.03 * s, 0, 8),
                shade(colour, 1.2, 26),
            )
        elif limb == "shin" and facing < -0.25:
            x, y = self.point(f"{side}_knee").tolist()
            canvas.line((x - 0.026 * s, y), (x + 0.026 * s, y), shade(colour, 0.42), 0.016 * s)
        elif limb == "forearm" and facing < -0.25:
            patch = ellipse(self.point(f"{side}_elbow").tolist(), 0.019 * s, 0.019 * s, 0, 8)
            canvas.fill(patch, shade(colour, 0.5))

    def _lights(self) -> list[float]:
        """Limbs behind the trunk stand in its shade, those before it in the light."""
        depth = (self.joints[_FROM, 2] + self.joints[_TO, 2]) / 2
        return np.minimum(1.12, np.maximum(0.66, 1.0 + 1.8 * depth)).tolist()

    def _bare(self, canvas: Canvas, start: str, end: str, share: float, radius: float) -> None:
        """Skin below a short sleeve or short trousers."""
        (ax, ay), (bx, by) = self.point(start).tolist(), self.point(end).tolist()
        r = radius * self.scale * self.stout
        if math.hypot(bx - ax, by - ay) > 2 * r:
            cuff = (ax + (bx - ax) * share, ay + (by - ay) * share)
            canvas.fill(capsule(cuff, (bx, by), r, r * 0.9), shade(self.look.skin, 0.92))

    def _draw_torso(self, canvas: Canvas, tag: int) -> None:
        look, size = self.look, self.scale * self.stout
        self._draw_bottom(canvas, tag, size)
        trunk = self.xy[_TRUNK]
        trunk[2:] += (trunk[:2] - trunk[2:]) * 0.06
        radii = np.array((0.036, 0.036, 0.05, 0.05)) * size
        canvas.fill(hull(trunk, radii), shade(look.top, 0.7), tag + TORSO)
        canvas.fill(hull(trunk - (0.008 * size, 0.004 * size), radii * 0.74), look.top)
        if self.detail:
            self._draw_pattern(canvas, trunk)
            if look.cut != SKIRT and abs(self.chest[2]) > 0.3:
                self._draw_fly_or_pockets(canvas)
        (nx, ny), (cx, cy) = self.point("neck").tolist(), self.point("chin").tolist()
        neck = capsule((nx, ny), ((nx + cx) / 2, (ny + cy) / 2), 0.031 * size, 0.029 * size)
        canvas.fill(neck, shade(look.skin, 0.8), tag + HEAD)

    def _draw_bottom(self, canvas: Canvas, tag: int, size: float) -> None:
        look, hips = self.look, self.xy[_TRUNK[2:]]
        if look.cut != SKIRT:
            canvas.fill(
                capsule(hips[0], hips[1], 0.056 * size, 0.056 * size), shade(look.bottom, 0.76), tag + TORSO
            )
            return
        hem = hips + (self.xy[[J["left_knee"], J["right_knee"]]] - hips) * 0.8
        points, radii = np.concatenate([hips, hem]), np.array((0.05, 0.05, 0.06, 0.06)) * size
        canvas.fill(hull(points, radii), shade(look.bottom, 0.7), tag + TORSO)
        canvas.fill(hull(points, radii * 0.74), look.bottom)

    def _draw_fly_or_pockets(self, canvas: Canvas) -> None:
        """Trousers tell front from back: a buckle above a fly, or two pockets."""
        s, down = self.scale, np.array((0.0, self.scale))
        left, right = self.xy[_TRUNK[2:]] + 0.052 * down
        middle, dark = (left + right) / 2, shade(self.look.bottom, 0.45)
        if self.chest[2] > 0:
            canvas.line(middle, middle + 0.05 * down, dark, 0.011 * s)
            canvas.fill(ellipse(middle - 0.006 * down, 0.016 * s, 0.011 * s, 0, 6), (205.0, 190.0, 120.0))
            return
        for hip in (left, right):
            x, y = (hip * 0.8 + middle * 0.2).tolist()
            canvas.fill(quad(x - 0.02 * s, y, x + 0.02 * s, y + 0.034 * s), dark)

    def _draw_pattern(self, canvas: Canvas, trunk: np.ndarray) -> None:
        """Stripes and spots all round; prints, buttons and collars on the chest, so in front views only."""
        look, s = self.look, self.scale
        ls, rs, lh, rh = trunk
        if look.pattern in (STRIPES, HOOPS):
            rows, width = (
                ((0.12, 0.37, 0.62, 0.87), 0.026) if look.pattern == STRIPES else ((0.3, 0.7), 0.075)
            )
            for t in rows:
                canvas.line(ls + (lh - ls) * t, rs + (rh - rs) * t, look.second, width * s)
        elif look.pattern == SPOTS:
            for t, q in ((0.15, 0.25), (0.15, 0.75), (0.4, 0.5), (0.62, 0.2), (0.62, 0.8), (0.85, 0.5)):
                spot = (ls + (lh - ls) * t) * q + (rs + (rh - rs) * t) * (1 - q)
                canvas.fill(ellipse(spot, 0.013 * s, 0.013 * s, 0, 8), look.second)
        if self.chest[2] > 0.25:
            self._draw_front(canvas, trunk)

    def _draw_front(self, canvas: Canvas, trunk: np.ndarray) -> None:
        look, s = self.look, self.scale
        ls, rs, lh, rh = trunk
        forwards = np.array(self.chest[:2]) * s
        chest, belly = (ls + rs) / 2 + 0.04 * forwards, (lh + rh) / 2 + 0.05 * forwards
        if look.pattern == PRINT:
            spot = chest + (belly - chest) * 0.38
            canvas.fill(ellipse(spot, 0.05 * s * self.chest[2], 0.04 * s, 0, 8), look.second)
        elif look.pattern == JACKET:
            for shoulder, hip in ((ls, lh), (rs, rh)):
                open_at, low = chest * 0.72 + shoulder * 0.28, belly * 0.5 + hip * 0.5
                canvas.fill(polygon(open_at, shoulder, hip, low), look.second)
        elif look.pattern == BUTTONS:
            canvas.line(chest, belly, shade(look.top, 0.55), 0.008 * s)
        collar = (chest * 0.7 + ls * 0.3, chest * 0.7 + rs * 0.3, chest + (belly - chest) * 0.16)
        canvas.fill(polygon(*collar), shade(look.skin, 0.92))

    def _draw_head(self, canvas: Canvas, tag: int) -> None:
        draw_head(self, canvas, tag + HEAD)

    def _draw_locks(self, canvas: Canvas, tag: int) -> None:
        draw_long_hair(self, canvas, tag + HEAD)

    def _draw_bag(self, canvas: Canvas, tag: int) -> None:
        """A rucksack: on the back it is seen whole, from the front at most its edge."""
        s = self.scale
        ls, rs, lh, rh = self.xy[_TRUNK]
        corners = (ls * 0.75 + rs * 0.25, rs * 0.75 + ls * 0.25, lh * 0.6 + ls * 0.4, rh * 0.6 + rs * 0.4)
        points = np.array(corners) - np.array(self.chest[:2]) * 0.1 * s
        canvas.fill(hull(points, np.full(4, 0.03 * s)), shade(self.look.second, 0.6), tag + BAG)
        canvas.fill(hull(points, np.full(4, 0.015 * s)), self.look.second)
