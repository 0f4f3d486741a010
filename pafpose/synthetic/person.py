"""Dressed people: drawing them, farthest parts first, and which of their parts show a keypoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from pafpose.synthetic.appearance import Appearance
from pafpose.synthetic.body import JOINTS, SIDES, Body
from pafpose.synthetic.canvas import Canvas, Colour, capsule, ellipse, owner_tag, shade, towards
from pafpose.synthetic.figure import Figure
from pafpose.synthetic.head import draw_head, draw_long_hair
from pafpose.synthetic.torso import draw_rucksack, draw_torso


class Limb(NamedTuple):
    """A tapered limb between two joints, with its radius at each."""

    side: str
    name: str
    start: str
    end: str
    start_radius: float
    end_radius: float


_SHAPES = (("upper_arm", "shoulder", "elbow", 0.034, 0.027), ("forearm", "elbow", "wrist", 0.027, 0.02),
           ("hand", "wrist", "hand", 0.02, 0.019), ("thigh", "hip", "knee", 0.056, 0.04),
           ("shin", "knee", "ankle", 0.039, 0.026), ("foot", "heel", "big_toe", 0.025, 0.02))  # fmt: skip
LIMBS = tuple(
    Limb(side, name, f"{side}_{start}", f"{side}_{end}", *radii)
    for side in SIDES
    for name, start, end, *radii in _SHAPES
)
_START = np.array([JOINTS.index(limb.start) for limb in LIMBS])
_END = np.array([JOINTS.index(limb.end) for limb in LIMBS])
_START_RADII = np.array([[limb.start_radius] for limb in LIMBS])
_END_RADII = np.array([[limb.end_radius] for limb in LIMBS])
_LIT_SHARE = np.array([1, 0.76])[:, None, None]  # of the whole limb, and of its lit inside in radii
_LIT_SHIFT = np.array([0, -0.14 - 0.1j])[:, None, None]

TORSO, HEAD, RUCKSACK = range(3)  # parts in the owner map
LIMB_PARTS = {f"{limb.side}_{limb.name}": 3 + n for n, limb in enumerate(LIMBS)}

# keypoints of data sets, each the midpoint of two joints
KEYPOINTS = {name: (name, name) for name in JOINTS if name not in ("pelvis", "chin")} | {
    "head": ("top_head", "top_head"),
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}
_FACE = ("nose", "mouth", "left_eye", "right_eye", "left_ear", "right_ear")
_BESIDE = {"shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
           "hand": ("hand",), "hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot"),
           "heel": ("foot", "shin"), "big_toe": ("foot",), "small_toe": ("foot",)}  # fmt: skip
_BEHIND_TRUNK = 0.75  # a shoulder or hip turned away further than this does not show on the trunk


def _parts_of(keypoint: str) -> int:
    """Return the parts that show a keypoint, as bits."""
    side, _, joint = keypoint.partition("_")
    if keypoint in _FACE:
        return 1 << HEAD
    if side not in SIDES:
        return 1 << TORSO | 1 << HEAD
    return sum(1 << LIMB_PARTS[f"{side}_{limb}"] for limb in _BESIDE[joint])


_PARTS = {keypoint: _parts_of(keypoint) for keypoint in KEYPOINTS}


class Person(Figure):
    """A body with an appearance; without ``detail`` it is drawn as a small figure far away."""

    def __init__(self, body: Body, appearance: Appearance, *, detail: bool = True) -> None:
        self.body, self.appearance, self.detail = body, appearance, detail
        self.box = body.box

    def place(self, scale: float, offset: complex) -> None:
        """Put the person into the picture: pixels = units * scale + offset."""
        self.body.place(scale, offset)

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the positions ``(K,)`` of keypoints, x + iy in pixels."""
        points = self.body.points
        return np.array([(points[a] + points[b]) / 2 for a, b in (KEYPOINTS[name] for name in names)])

    def own_visibility(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return v when nothing covers the person, and the parts that show each keypoint, as bits.

        A face that is turned away has v = 1 while one can still tell where it is, then 0.
        """
        v = [self._face_visibility(name) if name in _FACE else 2 for name in names]
        parts = [_PARTS[name] | self._on_trunk(name) << TORSO for name in names]
        return np.array(v), np.array(parts)

    def _face_visibility(self, name: str) -> int:
        depth = self.body.depth
        turned = (depth[name] - depth["head_centre"]) / self.body.head
        return 2 if turned > -0.12 else 1 if turned > -0.5 else 0

    def _on_trunk(self, name: str) -> bool:
        """Return whether a keypoint is a shoulder or hip that the trunk shows: not turned far away."""
        side, _, joint = name.partition("_")
        if joint not in ("shoulder", "hip"):
            return False
        left, right = (self.body.joints[JOINTS.index(f"{s}_{joint}")] for s in SIDES)
        away = left[2] - right[2] if side == "right" else right[2] - left[2]
        return bool(away <= _BEHIND_TRUNK * np.linalg.norm(left - right))

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Draw all parts, the farthest first; every pixel belongs to ``owner``."""
        body, look, tag = self.body, self.appearance, owner_tag(owner)
        head, torso = tag + HEAD, tag + TORSO
        steps = self._limb_steps(canvas, tag)
        nods = body.depth["head_centre"] - body.depth["neck"] > -0.06
        draw_whole_head = partial(draw_head, canvas, body, look, head, detail=self.detail)
        steps.append((0.03 if nods else -0.03, draw_whole_head))
        steps.append((0.0, partial(draw_torso, canvas, body, look, torso, neck_tag=head, detail=self.detail)))
        if look.rucksack:
            depth = -0.05 if body.chest_front > 0 else 0.05
            steps.append((depth, partial(draw_rucksack, canvas, body, look, tag + RUCKSACK)))
        if look.hair_style == "long":
            depth = -0.001 if body.face_front > -0.25 else 0.04  # behind the trunk, over it from behind
            steps.append((depth, partial(draw_long_hair, canvas, body, look, head)))
        for _, draw in sorted(steps, key=lambda step: step[0]):
            draw()

    def _limb_steps(self, canvas: Canvas, tag: int) -> list[tuple[float, Callable[[], None]]]:
        """Return the depth of every limb and what draws it."""
        a, b = self.body.xy[_START, None], self.body.xy[_END, None]
        size = self.body.scale * self.body.girth
        ra, rb = _START_RADII * size, _END_RADII * size
        light = _LIT_SHIFT * ra
        rims, lit = capsule(a + light, b + light, _LIT_SHARE * ra, _LIT_SHARE * rb)
        return [
            (self._limb_depth(limb), partial(self._draw_limb, canvas, tag + 3 + n, limb, rims[n], lit[n]))
            for n, limb in enumerate(LIMBS)
        ]

    def _limb_depth(self, limb: Limb) -> float:
        """Return the depth against the trunk's; arms beside the body go on top, legs below the shirt."""
        depth = (self.body.depth[limb.start] + 2 * self.body.depth[limb.end]) / 3
        if limb.name in ("upper_arm", "forearm", "hand"):
            return depth + 0.035
        return depth * 0.5 - 0.02 - 0.02 * (depth < 0.05)

    def _draw_limb(self, canvas: Canvas, tag: int, limb: Limb, rim: np.ndarray, lit: np.ndarray) -> None:
        depth = (self.body.depth[limb.start] + self.body.depth[limb.end]) / 2
        light = min(1.12, max(0.66, 1.0 + 1.8 * depth))  # limbs behind the trunk are in its shade
        colour = shade(self._limb_colour(limb.name), light)
        canvas.fill(rim, shade(colour, 0.68), tag)
        if self.detail:
            canvas.fill(lit, colour)
            self._draw_detail(canvas, limb, colour)

    def _limb_colour(self, limb: str) -> Colour:
        look = self.appearance
        bare = {
            "upper_arm": look.sleeves == "none",
            "forearm": look.sleeves != "long",
            "hand": True,
            "thigh": look.legwear == "skirt",
            "shin": look.legwear != "trousers",
        }
        if bare.get(limb):
            return look.skin
        if limb in ("upper_arm", "forearm"):
            return look.accent if look.pattern == "jacket" else look.top
        return look.shoes if limb == "foot" else look.bottom

    def _draw_detail(self, canvas: Canvas, limb: Limb, colour: Colour) -> None:
        """Draw cuffs, and what tells the front of a limb from its back: knees, elbows, toe caps, heels."""
        body, look, s, facing = self.body, self.appearance, self.body.scale, self.body.chest_front
        start, end = body.points[limb.start], body.points[limb.end]
        if limb.name == "upper_arm" and look.sleeves == "short":
            self._draw_bare_end(canvas, limb, 0.5, 0.024)
        elif limb.name == "thigh" and look.legwear == "shorts":
            self._draw_bare_end(canvas, limb, 0.7, 0.038)
        elif limb.name == "foot":
            front, r = body.depth[limb.end] > body.depth[limb.start], 0.021 * s * body.girth
            cap = (238.0, 236.0, 228.0) if front else (36.0, 32.0, 32.0)
            canvas.fill(ellipse(end if front else start, r, r, corners=8), cap)
        elif limb.name == "shin" and abs(facing) > 0.25:
            if facing > 0:
                canvas.fill(ellipse(start, 0.026 * s, 0.03 * s, corners=8), shade(colour, 1.2, 26))
            else:
                canvas.line(start - 0.026 * s, start + 0.026 * s, shade(colour, 0.42), 0.016 * s)
        elif limb.name == "forearm" and facing < -0.25:
            canvas.fill(ellipse(start, 0.019 * s, 0.019 * s, corners=8), shade(colour, 0.5))

    def _draw_bare_end(self, canvas: Canvas, limb: Limb, share: float, radius: float) -> None:
        """Draw the skin below a short sleeve or a short trouser leg."""
        a, b = self.body.points[limb.start], self.body.points[limb.end]
        r = radius * self.body.scale * self.body.girth
        if abs(b - a) > 2 * r:
            skin = shade(self.appearance.skin, 0.92)
            canvas.fill(capsule(towards(a, b, share), b, r, r * 0.9), skin)
