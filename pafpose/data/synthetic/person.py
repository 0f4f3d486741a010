"""Dressed people: what they wear, and drawing one body onto a canvas, far parts first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pafpose.data.synthetic.body import JOINTS, SIDES, Bodies, J
from pafpose.data.synthetic.canvas import MAX_PARTS, Canvas, capsules, ellipse, hull, owner_tag, to_fixed

TORSO, HEAD, BAG = 0, 1, 2
_LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PART = {f"{side}_{limb}": 3 + i * 6 + n for i, side in enumerate(SIDES) for n, limb in enumerate(_LIMBS)}
_ENDS = {"upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand"),
         "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("heel", "big_toe")}  # fmt: skip
_RADII = {"upper_arm": (0.034, 0.027), "forearm": (0.027, 0.02), "hand": (0.02, 0.019),
          "thigh": (0.056, 0.04), "shin": (0.039, 0.026), "foot": (0.025, 0.02)}  # fmt: skip
_KEYS = [(side, limb) for side in SIDES for limb in _LIMBS]
_FROM = np.array([J[f"{side}_{_ENDS[limb][0]}"] for side, limb in _KEYS])
_TO = np.array([J[f"{side}_{_ENDS[limb][1]}"] for side, limb in _KEYS])
_NEAR = np.array([_RADII[limb][0] for _, limb in _KEYS])
_FAR = np.array([_RADII[limb][1] for _, limb in _KEYS])
_PART = np.array([PART[f"{side}_{limb}"] for side, limb in _KEYS])
_ARMS = np.array([limb in ("upper_arm", "forearm", "hand") for _, limb in _KEYS])

# names of keypoints in data sets, as joints or midpoints of two
KEYPOINTS: dict[str, tuple[str, ...]] = {
    name: (name,) for name in JOINTS if name not in ("pelvis", "chin")
} | {
    "head": ("top_head",),
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
    "head_top": ("top_head",),
}
_BESIDE = {"shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
           "hand": ("hand",), "hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot"),
           "heel": ("foot", "shin"), "big_toe": ("foot",), "small_toe": ("foot",)}  # fmt: skip
_FACE = frozenset(["nose", "mouth", "left_eye", "right_eye", "left_ear", "right_ear"])

_SKINS = np.array([[255, 219, 186], [241, 194, 152], [224, 172, 115], [198, 134, 92], [141, 88, 54],
                   [96, 60, 40], [232, 184, 148]], float)  # fmt: skip
_HAIRS = np.array([[24, 18, 16], [58, 38, 26], [98, 64, 36], [190, 150, 86], [140, 70, 34], [165, 165, 165],
                   [70, 66, 64]], float)  # fmt: skip
_SHOES = np.array([[30, 28, 28], [235, 235, 232], [110, 70, 40], [150, 30, 40], [40, 60, 120]], float)


@dataclass(frozen=True)
class Look:
    """Colours (RGB) and cuts of one person's skin, hair and clothes."""

    skin: np.ndarray
    hair: np.ndarray
    hair_style: int  # 0 bald, 1 short, 2 bob, 3 long, 4 cap
    top: np.ndarray
    second: np.ndarray
    pattern: int  # 0-2 plain, 3 stripes, 4 print on the chest, 5 open jacket, 6 buttons, 7 spots, 8 hoops
    sleeve: int  # 0 none, 1 short, 2 long
    bottom: np.ndarray
    cut: int  # 0, 1 trousers, 2 shorts, 3 skirt
    shoes: np.ndarray
    bag: bool


def sample_look(rng: np.random.Generator) -> Look:
    """Clothes of one person; bright and muted colours alike."""
    u = rng.random(24)
    jitter = (u[:3] - 0.5) * 24
    skin = np.clip(_SKINS[int(u[3] * 7)] + jitter, 20, 255)
    top, second = _cloth(u[4:7]), _cloth(u[7:10])
    bottom = _cloth(u[10:13] * [1, 0.6, 0.8])
    return Look(
        skin=skin,
        hair=np.clip(_HAIRS[int(u[13] * 7)] + jitter, 5, 250),
        hair_style=int(np.searchsorted([0.06, 0.5, 0.68, 0.88], u[14])),
        top=top,
        second=second,
        pattern=int(u[15] * 9),
        sleeve=int(np.searchsorted([0.1, 0.55], u[16])),
        bottom=bottom,
        cut=int(np.searchsorted([0.4, 0.7, 0.88], u[17])),
        shoes=_SHOES[int(u[18] * 5)] + jitter * 0.5,
        bag=bool(u[19] < 0.12),
    )


def _cloth(u: np.ndarray) -> np.ndarray:
    """A colour from three uniform numbers: hue, saturation, value."""
    hue = (u[0] * 6 + np.array([0, 4, 2])) % 6
    base = np.clip(np.abs(hue - 3) - 1, 0, 1)
    return 255 * (0.12 + 0.86 * u[2]) * (1 - u[1] ** 1.3 * (1 - base))


class Person:
    """One body with its look; ``place`` it, ``draw`` it, then ask for keypoints."""

    def __init__(self, bodies: Bodies, index: int, look: Look, *, detail: bool = True) -> None:
        self.joints = bodies.joints[index]
        self.face, self.chest = bodies.face[index], bodies.chest[index]
        self.stout, self.head = bodies.stout[index], bodies.shape["head"][index]
        self.look, self.detail = look, detail
        self.box = self._unit_box()
        self.scale, self.xy = 1.0, self.joints[:, :2]

    def _unit_box(self) -> np.ndarray:
        margin = 0.02
        low, high = self.joints[:, :2].min(0) - margin, self.joints[:, :2].max(0) + margin
        return np.array([*low, *high])

    def place(self, scale: float, offset: np.ndarray) -> None:
        """Put the body on the picture: pixels = units * scale + offset."""
        self.scale, self.xy = scale, self.joints[:, :2] * scale + offset

    def p(self, name: str) -> np.ndarray:
        """Pixel position of a joint."""
        return self.xy[J[name]]

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Pixel positions ``(n, 2)`` of keypoints by name."""
        return np.array([self.xy[[J[j] for j in KEYPOINTS[name]]].mean(0) for name in names])

    def shown(self, name: str) -> tuple[int, frozenset[int]]:
        """The v a keypoint has if nothing covers it, and the parts it may be seen on.

        Faces turned away are labelled as occluded while they can be inferred, then not at all.
        """
        if name in _FACE:
            turn = (self.joints[J[name]] - self.joints[J["head_centre"]])[2] / self.head
            return (2 if turn > -0.12 else 1 if turn > -0.5 else 0), frozenset([HEAD])
        side, _, joint = name.partition("_")
        if side not in SIDES:
            return 2, frozenset([TORSO, HEAD])
        parts = {PART[f"{side}_{limb}"] for limb in _BESIDE[joint]}
        if joint in ("shoulder", "hip"):
            across = self.joints[J[f"left_{joint}"]] - self.joints[J[f"right_{joint}"]]
            away = across[2] if side == "right" else -across[2]
            if away < 0.75 * np.linalg.norm(across):  # not on the far side of the trunk
                parts |= {TORSO}
        return 2, frozenset(parts)

    def draw(self, canvas: Canvas, owner: int) -> None:
        """Paint all parts, the farthest first."""
        tag = owner_tag(owner)
        limbs = self._limbs()
        depth = self._depths()
        steps = [(depth[n], 0, n) for n in range(len(_KEYS))] + [(0.0, 1, 0)]
        head = self.joints[J["head_centre"], 2] - self.joints[J["neck"], 2]
        steps.append((0.03 if head > -0.06 else -0.03, 2, 0))
        if self.look.bag:
            steps.append((-0.05 if self.chest[2] > 0 else 0.04, 3, 0))
        for _, kind, n in sorted(steps):
            if kind == 0:
                self._draw_limb(canvas, tag, n, limbs)
            elif kind == 1:
                self._draw_torso(canvas, tag)
            elif kind == 2:
                self._draw_head(canvas, tag)
            else:
                self._draw_bag(canvas, tag)

    def _depths(self) -> np.ndarray:
        """Depth of the limbs against the trunk; arms beside the body go on top, legs below the shirt."""
        depth = (self.joints[_FROM, 2] + 2 * self.joints[_TO, 2]) / 3
        return np.where(_ARMS, depth + 0.035, depth * 0.5 - 0.02 - 0.02 * (depth < 0.05))

    def _limbs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Outlines of the limbs, bare and clothed: rim, and the lit inner part."""
        r = self.scale * self.stout
        wide = np.where(_ARMS, 1.0, 1.0)
        a, b = self.xy[_FROM], self.xy[_TO]
        ra, rb = _NEAR * r * wide, _FAR * r * wide
        light = np.stack([-0.14 * ra, -0.1 * ra], -1)
        rim = to_fixed(capsules(a, b, ra, rb))
        lit = to_fixed(capsules(a + light, b + light, ra * 0.74, rb * 0.74))
        return rim, lit, np.linalg.norm(b - a, axis=1)

    def _limb_colour(self, n: int) -> np.ndarray:
        look, limb = self.look, _KEYS[n][1]
        jacket = look.second if look.pattern == 5 else look.top
        return {
            "upper_arm": jacket if look.sleeve else look.skin,
            "forearm": jacket if look.sleeve == 2 else look.skin,
            "hand": look.skin,
            "thigh": look.bottom if look.cut != 3 else look.skin,
            "shin": look.bottom if look.cut < 2 else look.skin,
            "foot": look.shoes,
        }[limb]

    def _draw_limb(self, canvas: Canvas, tag: int, n: int, limbs: tuple) -> None:
        rim, lit, length = limbs
        colour = self._limb_colour(n)
        canvas.convex(rim[n], colour * 0.66, tag + int(_PART[n]))
        canvas.convex(lit[n], colour)
        side, limb = _KEYS[n]
        if limb == "upper_arm" and self.look.sleeve == 1 and self.detail:
            a, b = self.p(f"{side}_shoulder"), self.p(f"{side}_elbow")
            cuff = a + (b - a) * 0.55
            radii = np.array([0.024, 0.022]) * self.scale * self.stout
            skin = to_fixed(capsules(cuff[None], b[None], radii[:1], radii[1:]))[0]
            if length[n] > 2 * radii[0]:
                canvas.convex(skin, self.look.skin * 0.9)
        elif limb == "thigh" and self.look.cut == 2 and self.detail:
            a, b = self.p(f"{side}_hip"), self.p(f"{side}_knee")
            bare = a + (b - a) * 0.72
            radii = np.array([0.04, 0.036]) * self.scale * self.stout
            if length[n] > 2 * radii[0]:
                canvas.convex(
                    to_fixed(capsules(bare[None], b[None], radii[:1], radii[1:]))[0], self.look.skin * 0.9
                )

    def _trunk(self) -> tuple[np.ndarray, ...]:
        return tuple(self.p(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip"))

    def _draw_torso(self, canvas: Canvas, tag: int) -> None:
        look, s = self.look, self.scale * self.stout
        ls, rs, lh, rh = self._trunk()
        self._draw_bottom(canvas, tag)
        waist_l, waist_r = lh + (ls - lh) * 0.06, rh + (rs - rh) * 0.06
        points = np.stack([ls, rs, waist_l, waist_r])
        radii = np.array([0.036, 0.036, 0.05, 0.05]) * s
        canvas.convex(to_fixed(hull(points, radii)), look.top * 0.68, tag + TORSO)
        shift = np.array([-0.008, -0.004]) * s
        canvas.convex(to_fixed(hull(points + shift, radii * 0.72)), look.top)
        if self.detail:
            self._draw_pattern(canvas, ls, rs, waist_l, waist_r)
        a, b = self.p("neck"), self.p("chin")
        neck = capsules(a[None], (0.5 * (a + b))[None], np.array([0.031 * s]), np.array([0.029 * s]))
        canvas.convex(to_fixed(neck)[0], look.skin * 0.8, tag + HEAD)

    def _draw_bottom(self, canvas: Canvas, tag: int) -> None:
        look, s = self.look, self.scale * self.stout
        lh, rh = self.p("left_hip"), self.p("right_hip")
        if look.cut != 3:
            canvas.convex(
                to_fixed(hull(np.stack([lh, rh]), np.full(2, 0.056 * s))), look.bottom * 0.75, tag + TORSO
            )
            return
        ends = [h + (k - h) * 0.8 for h, k in ((lh, self.p("left_knee")), (rh, self.p("right_knee")))]
        points = np.stack([lh, rh, *ends])
        radii = np.array([0.05, 0.05, 0.06, 0.06]) * s
        canvas.convex(to_fixed(hull(points, radii)), look.bottom * 0.7, tag + TORSO)
        canvas.convex(to_fixed(hull(points, radii * 0.72)), look.bottom)

    def _draw_pattern(
        self, canvas: Canvas, ls: np.ndarray, rs: np.ndarray, lh: np.ndarray, rh: np.ndarray
    ) -> None:
        """Stripes, prints and fronts: those that sit on the chest appear in front views only."""
        look, s, width = self.look, self.scale, 0.026 * self.scale
        front = self.chest[2]
        middle_top, middle_low = (ls + rs) / 2, (lh + rh) / 2
        if look.pattern in (3, 8):
            for t in (0.12, 0.37, 0.62, 0.87) if look.pattern == 3 else (0.3, 0.7):
                canvas.line(
                    ls + (lh - ls) * t,
                    rs + (rh - rs) * t,
                    look.second,
                    width * (1 if look.pattern == 3 else 3),
                )
        elif look.pattern == 7:
            for t, q in ((0.15, 0.25), (0.15, 0.75), (0.4, 0.5), (0.62, 0.2), (0.62, 0.8), (0.85, 0.5)):
                spot = (ls + (lh - ls) * t) * q + (rs + (rh - rs) * t) * (1 - q)
                canvas.convex(to_fixed(ellipse(spot, (0.013 * s, 0.013 * s), 0, 8)), look.second)
        if front < 0.25:
            return
        chest = middle_top + self.chest[:2] * 0.04 * s
        belly = middle_low + self.chest[:2] * 0.05 * s
        if look.pattern == 4:
            spot = chest + (belly - chest) * 0.38
            canvas.convex(to_fixed(ellipse(spot, (0.05 * s * front, 0.04 * s), 0, 8)), look.second)
        elif look.pattern == 5:
            open_l, open_r = (chest * 0.72 + e * 0.28 for e in (ls, rs))
            low_l, low_r = (belly * 0.5 + e * 0.5 for e in (lh, rh))
            for inner, outer, low, out_low in ((open_l, ls, low_l, lh), (open_r, rs, low_r, rh)):
                canvas.convex(to_fixed(np.stack([inner, outer, out_low, low])), look.second)
        elif look.pattern == 6:
            canvas.line(chest, belly, look.top * 0.55, 0.008 * s)
        collar = np.stack([chest * 0.7 + ls * 0.3, chest * 0.7 + rs * 0.3, chest + (belly - chest) * 0.16])
        canvas.convex(to_fixed(collar), look.skin * 0.92)

    def _draw_head(self, canvas: Canvas, tag: int) -> None:
        look = self.look
        c, half = self.p("head_centre"), self.head * self.scale
        up = self.p("top_head") - c
        tilt = float(np.arctan2(up[0], -up[1]))
        f = self.face
        width = 0.76 + 0.12 * (1 - abs(f[2]))  # a head is deeper than wide
        if look.hair_style == 3 and f[2] > -0.25:
            self._draw_locks(canvas, tag)
        canvas.convex(to_fixed(ellipse(c, (width * half, half), tilt)), look.skin * 0.8, tag + HEAD)
        if f[2] > -0.5:
            inner = c + f[:2] * 0.16 * half
            canvas.convex(to_fixed(ellipse(inner, (width * 0.82 * half, 0.86 * half), tilt)), look.skin)
        if look.hair_style:
            self._draw_hair(canvas, tag, c, half, up, tilt, width)
        if self.detail:
            self._draw_face(canvas, c, half)
        if look.hair_style == 3 and f[2] <= -0.25:
            self._draw_locks(canvas, tag)

    def _draw_locks(self, canvas: Canvas, tag: int) -> None:
        """Long hair down to the shoulders."""
        c, half = self.p("head_centre"), self.head * self.scale
        low = 0.55 * self.p("neck") + 0.45 * (c * 0.5 + self.p("neck") * 0.5) - self.face[:2] * 0.35 * half
        points = np.stack([c - self.face[:2] * 0.2 * half, low])
        canvas.convex(to_fixed(hull(points, np.array([0.92, 0.8]) * half)), self.look.hair * 0.85, tag + HEAD)

    def _draw_hair(
        self, canvas: Canvas, tag: int, c: np.ndarray, half: float, up: np.ndarray, tilt: float, width: float
    ) -> None:
        """The cap of hair: above the brow in front, the whole head from behind."""
        look, f = self.look, self.face
        colour = look.hair if look.hair_style != 4 else look.second
        back = -f[:2] * half
        if f[2] > 0:
            centre = c + 0.42 * up + back * (0.42 if look.hair_style != 4 else 0.1)
            radii = (width * (1.0 - 0.12 * (1 - f[2])) * half * 1.04, 0.66 * half)
        else:
            lift = 0.42 + 0.3 * f[2]  # down to the nape the more it is turned away
            centre = c + lift * up + back * (0.42 + 0.3 * f[2])
            radii = (width * 1.06 * half, (0.66 - 0.26 * f[2]) * half)
        canvas.convex(to_fixed(ellipse(centre, radii, tilt)), colour, tag + HEAD)
        if look.hair_style == 2:
            self._draw_bob(canvas, tag, c, half, back)
        if look.hair_style == 4 and f[2] > -0.3:  # the peak of a cap
            peak = c + 0.3 * up + f[:2] * half * 0.9
            canvas.convex(to_fixed(ellipse(peak, (0.7 * half, 0.2 * half), tilt)), colour * 0.6, tag + HEAD)

    def _draw_bob(self, canvas: Canvas, tag: int, c: np.ndarray, half: float, back: np.ndarray) -> None:
        for side in SIDES:
            if self.joints[J[f"{side}_ear"], 2] > self.joints[J["head_centre"], 2] - 0.9 * self.head:
                centre = self.p(f"{side}_ear") * 0.8 + c * 0.2 + back * 0.25
                canvas.convex(
                    to_fixed(ellipse(centre, (0.26 * half, 0.72 * half), 0, 12)), self.look.hair, tag + HEAD
                )

    def _draw_face(self, canvas: Canvas, c: np.ndarray, half: float) -> None:
        """Eyes, nose and mouth where they face the viewer, and the ears."""
        look, z = self.look, self.joints[:, 2] - self.joints[J["head_centre"], 2]
        for side in SIDES:
            ear = J[f"{side}_ear"]
            if z[ear] > -0.35 * self.head and look.hair_style in (0, 1, 4):
                outline = ellipse(self.xy[ear], (0.17 * half, 0.24 * half), 0, 10)
                canvas.convex(to_fixed(outline), look.skin * 0.72)
        for side in SIDES:
            eye = J[f"{side}_eye"]
            if z[eye] > 0.12 * self.head:
                r = max(0.17 * half, 0.6)
                canvas.convex(to_fixed(ellipse(self.xy[eye], (r, r * 0.72), 0, 8)), (244, 244, 240))
                canvas.convex(to_fixed(ellipse(self.xy[eye], (r * 0.55, r * 0.62), 0, 8)), (28, 24, 30))
                brow = np.array([0.0, -0.2 * half])
                canvas.line(
                    self.xy[eye] + brow - [r, 0], self.xy[eye] + brow + [r, 0], look.hair * 0.7, 0.07 * half
                )
        if self.face[2] > -0.15:
            nose, mouth = self.p("nose"), self.p("mouth")
            bridge = c * 0.75 + nose * 0.25 + [0, -0.1 * half]
            canvas.convex(
                to_fixed(
                    capsules(bridge[None], nose[None], np.array([0.05 * half]), np.array([0.13 * half]))
                )[0],
                look.skin * 0.74,
            )
            if self.face[2] > 0.05:
                wide = np.array([0.26 * half * self.face[2], 0.0])
                canvas.line(mouth - wide, mouth + wide, (150, 60, 62), 0.1 * half)

    def _draw_bag(self, canvas: Canvas, tag: int) -> None:
        """A rucksack on the back; from the front only its straps would show, drawn below the trunk."""
        ls, rs, lh, rh = self._trunk()
        back = -self.chest[:2] * 0.1 * self.scale
        points = np.stack(
            [ls * 0.75 + rs * 0.25, rs * 0.75 + ls * 0.25, lh * 0.6 + ls * 0.4, rh * 0.6 + rs * 0.4]
        )
        outline = hull(points + back, np.full(4, 0.03 * self.scale))
        canvas.convex(to_fixed(outline), self.look.second * 0.6, tag + BAG)
        canvas.convex(to_fixed(hull(points + back, np.full(4, 0.015 * self.scale))), self.look.second)


assert max(PART.values()) < MAX_PARTS
