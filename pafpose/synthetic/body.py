"""Articulated bodies in three dimensions, seen by a camera: where every joint lies in the picture.

Body frame: x to the person's left, y up, z forwards. Camera frame: x right, y down, z towards the viewer;
lengths in units of the person's stature. A person who faces the viewer has the left side on the right.
"""

from __future__ import annotations

import functools

import numpy as np

from pafpose.synthetic.canvas import Point, capsules
from pafpose.synthetic.poses import COLUMN, sample_angles

SIDES = ("left", "right")
_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "big_toe",
          "small_toe")  # fmt: skip
_MIDDLE = ("pelvis", "neck", "chin", "head_centre", "top_head", "nose", "mouth")
JOINTS = (*_MIDDLE, *(f"{side}_{joint}" for joint in _SIDED for side in SIDES))  # fmt: skip
_UNSIDED = len(_MIDDLE)
_PAIR = {name: i for i, name in enumerate(_SIDED)}
J = {name: i for i, name in enumerate(JOINTS)}
# limbs from the trunk outwards: the joints at their ends, and the radii there
_ENDS = {"upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand"),
         "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("heel", "big_toe")}  # fmt: skip
_RADII = {"upper_arm": (0.034, 0.027), "forearm": (0.027, 0.02), "hand": (0.02, 0.019),
          "thigh": (0.056, 0.04), "shin": (0.039, 0.026), "foot": (0.025, 0.02)}  # fmt: skip
LIMBS = tuple((side, limb) for side in SIDES for limb in _ENDS)
_FROM = np.array([J[f"{side}_{_ENDS[limb][0]}"] for side, limb in LIMBS])
_TO = np.array([J[f"{side}_{_ENDS[limb][1]}"] for side, limb in LIMBS])
_NEAR = np.array([_RADII[limb][0] for _, limb in LIMBS])
_FAR = np.array([_RADII[limb][1] for _, limb in LIMBS])
_ARMS = np.array([limb in ("upper_arm", "forearm", "hand") for _, limb in LIMBS])
_TRUNK = [J[n] for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_TO_CAMERA = np.array([1.0, -1.0, 1.0])


class Bodies:
    """``count`` people: joints ``(n, J, 3)`` in the camera frame, and what else drawing needs."""

    def __init__(
        self, rng: np.random.Generator, count: int, *, sides: float = 0.1, liveliness: float = 0.5
    ) -> None:
        self.count = count
        self.stout = np.exp(rng.normal(size=count) * 0.16)
        self.shape = _proportions(rng, count)
        joints, face = _assemble(sample_angles(rng, count, liveliness), self.shape, rng)
        camera = _camera(rng, count, sides)
        # body frame (x left, y up, z forwards) -> camera (x right, y down, z to the viewer)
        self.joints = np.einsum("nij,nkj->nki", camera, joints) * _TO_CAMERA
        self.face = np.einsum("nij,nj->ni", camera, face) * _TO_CAMERA
        self.chest = camera[:, :, 2] * _TO_CAMERA
        flat, margin = self.joints[:, :, :2], 0.02  # flesh around the joints
        # the same as lists: numbers of single people cost less that way
        self.depth, self.faces, self.chests = (
            self.joints[:, :, 2].tolist(),
            self.face.tolist(),
            self.chest.tolist(),
        )
        self.boxes = np.concatenate([flat.min(1) - margin, flat.max(1) + margin], 1)
        self.scale, self.offset = np.ones(count), np.zeros((count, 2))

    def place(self, index: int, scale: float, offset: np.ndarray) -> None:
        """Put somebody on the picture: pixels = units * scale + offset."""
        self.scale[index], self.offset[index] = scale, offset
        self.__dict__.pop("placed", None)

    @functools.cached_property
    def placed(self) -> Placed:
        """Everybody where they stand; all are placed first, as many cost little more than one."""
        return Placed(self)


class Placed:
    """Bodies in pixels: arrays and lists of one entry a person."""

    def __init__(self, bodies: Bodies) -> None:
        self.xy = bodies.joints[:, :, :2] * bodies.scale[:, None, None] + bodies.offset[:, None]
        self.points: list[list[Point]] = self.xy.tolist()
        trunk = self.xy[:, _TRUNK]
        trunk[:, 2:] += (trunk[:, :2] - trunk[:, 2:]) * 0.06
        self.trunks: list[list[Point]] = trunk.tolist()  # shoulders, then hips drawn in a little
        near, far = bodies.joints[:, _FROM, 2], bodies.joints[:, _TO, 2]
        self.depths, self.lights = _depths(near, far), _lights(near, far)
        self.rims, self.lit = self._outlines(bodies.scale * bodies.stout)

    def _outlines(self, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outlines ``(n, limbs, 12, 2)`` of the limbs, and of their lit inner part."""
        a, b = self.xy[:, _FROM].reshape(-1, 2), self.xy[:, _TO].reshape(-1, 2)
        ra, rb = ((radius * size[:, None]).ravel() for radius in (_NEAR, _FAR))
        light = ra[:, None] * (-0.14, -0.1)
        both = capsules(
            np.concatenate([a, a + light]),
            np.concatenate([b, b + light]),
            np.concatenate([ra, 0.76 * ra]),
            np.concatenate([rb, 0.76 * rb]),
        ).reshape(2, len(size), len(LIMBS), -1, 2)
        return both[0], both[1]


def _depths(near: np.ndarray, far: np.ndarray) -> list[list[float]]:
    """Depth of the limbs against the trunk; arms beside the body go on top, legs below the shirt."""
    depth = (near + 2 * far) / 3
    return np.where(_ARMS, depth + 0.035, depth * 0.5 - 0.02 - 0.02 * (depth < 0.05)).tolist()


def _lights(near: np.ndarray, far: np.ndarray) -> list[list[float]]:
    """Limbs behind the trunk stand in its shade, those before it in the light."""
    return np.minimum(1.12, np.maximum(0.66, 1.0 + 1.8 * ((near + far) / 2))).tolist()


def _proportions(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Lengths of the bones ``(n,)``; children have larger heads and shorter legs."""
    child = rng.random(n) < 0.15
    u = 1 + 0.07 * rng.normal(size=(len(_LENGTHS), n))
    return dict(zip(_LENGTHS, np.where(child, _CHILD, _ADULT) * u, strict=True))


_LENGTHS = {"head": (0.066, 0.083), "shoulder": (0.112, 0.098), "hip": (0.056, 0.056),
            "trunk": (0.29, 0.29), "upper_arm": (0.168, 0.145), "forearm": (0.145, 0.125),
            "thigh": (0.24, 0.20), "shin": (0.235, 0.19), "foot": (0.13, 0.13)}  # fmt: skip
_ADULT, _CHILD = np.array(list(_LENGTHS.values())).T[..., None]  # a head's is half of its height


def _assemble(
    angles: np.ndarray, shape: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics in the body frame: joints ``(n, J, 3)`` and the direction of the face.

    What there are two of has the axes left and right, people, coordinates.
    """
    n = len(angles)
    out = np.zeros((n, len(JOINTS), 3))
    jitter = rng.normal(size=(5, n))
    trunk = _turn(0, angles[:, 0]) @ _turn(2, 0.08 * jitter[0]) @ _turn(1, 0.16 * jitter[1])
    up, front = trunk[:, :, 1], trunk[:, :, 2]
    shoulders = up * shape["trunk"][:, None]
    out[:, J["neck"]] = shoulders + up * 0.015
    head = trunk @ _turn(1, 0.38 * jitter[2]) @ _turn(0, 0.16 * jitter[3] - 0.5 * angles[:, 0])
    _head(out, head * shape["head"][:, None, None], shoulders + up * 0.058 + front * 0.012)
    cosines, sines = np.cos(angles.T), np.sin(angles.T)
    bones = _swing(cosines, sines)
    pairs = out[:, _UNSIDED:].reshape(n, len(_SIDED), len(SIDES), 3).transpose(1, 2, 0, 3)  # a view
    bends = cosines[_BENDS, ..., None], sines[_BENDS, ..., None]
    _arms(pairs, [t[0] for t in bones], bends=bends, trunk=trunk, shape=shape)
    _legs(pairs, [t[1] for t in bones], bends=bends, shape=shape)
    return out, head[:, :, 2]


_SIGN = np.array([[1.0], [-1.0]])  # of left and right
# columns of the angles, of left and right: swings of arms and of legs, then what bends further down
_FLEXION, _ABDUCTION = (
    np.array([[COLUMN[f"{side}_{angle}"] for side in SIDES] for angle in pair])
    for pair in (("arm", "hip"), ("raise", "splay"))
)
_BENDS = np.array([[COLUMN[f"{side}_{angle}"] for side in SIDES] for angle in ("twist", "elbow", "knee")])

# joints of the head from its centre, in halves of its height: to the left, up, forwards
_ON_HEAD = {
    "head_centre": (0, 0, 0), "chin": (0, -0.95, 0.3), "top_head": (0, 1, 0), "nose": (0, -0.12, 0.95),
    "mouth": (0, -0.5, 0.76), "left_eye": (0.34, 0.16, 0.76), "right_eye": (-0.34, 0.16, 0.76),
    "left_ear": (0.78, 0, -0.06), "right_ear": (-0.78, 0, -0.06),
}  # fmt: skip
_HEAD = np.array([J[joint] for joint in _ON_HEAD])
_LEFT, _UP, _FORWARDS = np.array(list(_ON_HEAD.values()), float).T[..., None]


def _head(out: np.ndarray, axes: np.ndarray, base: np.ndarray) -> None:
    """Joints around the head's centre, from its axes ``(n, 3, 3)`` in its size."""
    x, y, z = axes.transpose(2, 0, 1)[:, :, None]
    out[:, _HEAD] = (base[:, None] + y) + _LEFT * x + _UP * y + _FORWARDS * z


def _arms(
    pairs: np.ndarray,
    bones: list[np.ndarray],
    *,
    bends: tuple[np.ndarray, np.ndarray],
    trunk: np.ndarray,
    shape: dict[str, np.ndarray],
) -> None:
    upper, forwards, outwards = bones
    (c_twist, c_bend, _), (s_twist, s_bend, _) = bends
    across, up = trunk[:, :, 0], trunk[:, :, 1]
    shoulder = up * (shape["trunk"] - 0.012)[:, None] + across * (_SIGN * shape["shoulder"])[..., None]
    hinge = c_twist * forwards - s_twist * outwards
    lower = c_bend * upper + s_bend * hinge
    upper, lower = np.matmul(trunk, np.stack([upper, lower], -1)).transpose(3, 0, 1, 2)
    elbow = shoulder + upper * shape["upper_arm"][:, None]
    wrist = elbow + lower * shape["forearm"][:, None]
    pairs[_PAIR["shoulder"]], pairs[_PAIR["elbow"]] = shoulder, elbow
    pairs[_PAIR["wrist"]], pairs[_PAIR["hand"]] = wrist, wrist + lower * 0.055


def _legs(
    pairs: np.ndarray,
    bones: list[np.ndarray],
    *,
    bends: tuple[np.ndarray, np.ndarray],
    shape: dict[str, np.ndarray],
) -> None:
    upper, forwards, outwards = bones
    (*_, c), (*_, s) = bends
    hip = np.zeros_like(upper)
    hip[..., 0] = _SIGN * shape["hip"]
    lower = c * upper - s * forwards
    toes = s * upper + c * forwards + 0.25 * outwards + 0.25 * lower
    toes *= (shape["foot"] / np.sqrt((toes * toes).sum(-1)))[..., None]
    knee = hip + upper * shape["thigh"][:, None]
    ankle = knee + lower * shape["shin"][:, None]
    sole = ankle + lower * 0.034
    pairs[_PAIR["hip"]], pairs[_PAIR["knee"]], pairs[_PAIR["ankle"]] = hip, knee, ankle
    pairs[_PAIR["heel"]] = ankle + lower * 0.028 - 0.22 * toes
    pairs[_PAIR["big_toe"]] = sole + 0.8 * toes - outwards * 0.01
    pairs[_PAIR["small_toe"]] = sole + 0.66 * toes + outwards * 0.022


def _swing(cosines: np.ndarray, sines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bones that hang down, swung forwards and outwards, with two perpendiculars: forwards, outwards.

    Of arms and of legs: ``(2, left and right, n, 3)``.
    """
    ca, sa, cb, sb = cosines[_FLEXION], sines[_FLEXION], cosines[_ABDUCTION], sines[_ABDUCTION]
    bone, forwards, outwards = np.zeros((3, *ca.shape, 3))
    bone[..., 0], bone[..., 1], bone[..., 2] = _SIGN * sb, -cb * ca, cb * sa
    forwards[..., 1], forwards[..., 2] = sa, ca
    outwards[..., 0], outwards[..., 1], outwards[..., 2] = _SIGN * cb, sb * ca, -sb * sa
    return bone, forwards, outwards


def _camera(rng: np.random.Generator, n: int, sides: float) -> np.ndarray:
    """Rotations to the camera: ``sides`` from the side, 3 in 5 others from the front; from slightly above."""
    u = rng.random((2, n))
    spread = rng.normal(size=(3, n))
    front = sides + 0.6 * (1 - sides)
    centre = np.where(u[0] < front, 0, np.pi)
    aside = u[0] < sides
    centre[aside] = np.where(u[0, aside] < sides / 2, np.pi / 2, -np.pi / 2)
    yaw = centre + 0.3 * spread[0]
    pitch = np.minimum(np.maximum(0.08 + 0.1 * spread[1], -0.15), 0.4)
    roll = np.where(u[1] < 0.04, 0.5, 0.06) * spread[2]
    return _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw)


def _turn(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations ``(n, 3, 3)`` about an axis; about x, up turns forwards."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angle)
    out[:, j, i] = np.sin(angle)
    out[:, i, j] = -out[:, j, i]
    return out
