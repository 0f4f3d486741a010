"""Articulated bodies in three dimensions, seen by a camera: where every joint lies in the picture.

Body frame: x to the person's left, y up, z forwards. Camera frame: x right, y down, z towards the viewer;
lengths in units of the person's stature. A person who faces the viewer has the left side on the right.
"""

from __future__ import annotations

import functools

import numpy as np

from pafpose.data.synthetic.canvas import Point, capsules
from pafpose.data.synthetic.poses import COLUMN, sample_angles

SIDES = ("left", "right")
_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "big_toe",
          "small_toe")  # fmt: skip
JOINTS = ("pelvis", "neck", "chin", "head_centre", "top_head", "nose", "mouth",
          *(f"{side}_{joint}" for joint in _SIDED for side in SIDES))  # fmt: skip
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
    """Lengths of the bones; children have larger heads and shorter legs."""
    child = rng.random(n) < 0.15
    u = 1 + 0.07 * rng.normal(size=(9, n))
    head = np.where(child, 0.083, 0.066) * u[0]
    return {
        "head": head,  # half of its height
        "shoulder": np.where(child, 0.098, 0.112) * u[1],
        "hip": 0.056 * u[2],
        "trunk": 0.29 * u[3],
        "upper_arm": np.where(child, 0.145, 0.168) * u[4],
        "forearm": np.where(child, 0.125, 0.145) * u[5],
        "thigh": np.where(child, 0.20, 0.24) * u[6],
        "shin": np.where(child, 0.19, 0.235) * u[7],
        "foot": 0.13 * u[8],
    }


def _assemble(
    angles: np.ndarray, shape: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics in the body frame: joints ``(n, J, 3)`` and the direction of the face."""
    n = len(angles)
    out = np.zeros((n, len(JOINTS), 3))
    jitter = rng.normal(size=(5, n))
    trunk = _turn(0, angles[:, 0]) @ _turn(2, 0.08 * jitter[0]) @ _turn(1, 0.16 * jitter[1])
    up, front = trunk[:, :, 1], trunk[:, :, 2]
    shoulders = up * shape["trunk"][:, None]
    out[:, J["neck"]] = shoulders + up * 0.015
    head = trunk @ _turn(1, 0.38 * jitter[2]) @ _turn(0, 0.16 * jitter[3] - 0.5 * angles[:, 0])
    face = _head(out, head, shoulders + up * 0.058 + front * 0.012, shape)
    sign = np.repeat([1.0, -1.0], n)
    both = {key: np.concatenate([value, value]) for key, value in shape.items()}
    _arms(out, _both(angles, _ARM_COLUMNS), sign, np.concatenate([trunk, trunk]), both)
    _legs(out, _both(angles, _LEG_COLUMNS), sign, both)
    return out, face


_ARM_COLUMNS = [[COLUMN[f"{side}_{a}"] for a in ("arm", "raise", "twist", "elbow")] for side in SIDES]
_LEG_COLUMNS = [[COLUMN[f"{side}_{a}"] for a in ("hip", "splay", "knee")] for side in SIDES]


def _both(angles: np.ndarray, columns: list[list[int]]) -> np.ndarray:
    """Angles ``(a, 2n)`` of the left limbs, then of the right ones."""
    return np.concatenate([angles[:, columns[0]], angles[:, columns[1]]]).T


def _put(out: np.ndarray, joint: str, points: np.ndarray) -> None:
    """Store points ``(2n, 3)`` of left and right joints."""
    out[:, J[f"left_{joint}"]], out[:, J[f"right_{joint}"]] = points[: len(out)], points[len(out) :]


def _head(out: np.ndarray, head: np.ndarray, base: np.ndarray, shape: dict) -> np.ndarray:
    half = shape["head"][:, None]
    x, y, z = (head[:, :, i] * half for i in range(3))
    centre = base + y
    out[:, J["head_centre"]] = centre
    out[:, J["chin"]] = centre - 0.95 * y + 0.3 * z
    out[:, J["top_head"]] = centre + y
    out[:, J["nose"]] = centre - 0.12 * y + 0.95 * z
    out[:, J["mouth"]] = centre - 0.5 * y + 0.76 * z
    for side, sign in zip(SIDES, (1, -1), strict=True):
        out[:, J[f"{side}_eye"]] = centre + sign * 0.34 * x + 0.16 * y + 0.76 * z
        out[:, J[f"{side}_ear"]] = centre + sign * 0.78 * x - 0.06 * z
    return head[:, :, 2]


def _arms(out: np.ndarray, angles: np.ndarray, sign: np.ndarray, trunk: np.ndarray, shape: dict) -> None:
    flexion, abduction, twist, bend = angles
    across, up = trunk[:, :, 0], trunk[:, :, 1]
    shoulder = up * (shape["trunk"] - 0.012)[:, None] + across * (sign * shape["shoulder"])[:, None]
    upper, forwards, outwards = _swing(flexion, abduction, sign)
    hinge = np.cos(twist)[:, None] * forwards - np.sin(twist)[:, None] * outwards
    lower = np.cos(bend)[:, None] * upper + np.sin(bend)[:, None] * hinge
    upper, lower = np.matmul(trunk, np.stack([upper, lower], -1)).transpose(2, 0, 1)
    elbow = shoulder + upper * shape["upper_arm"][:, None]
    wrist = elbow + lower * shape["forearm"][:, None]
    for joint, points in (
        ("shoulder", shoulder),
        ("elbow", elbow),
        ("wrist", wrist),
        ("hand", wrist + lower * 0.055),
    ):
        _put(out, joint, points)


def _legs(out: np.ndarray, angles: np.ndarray, sign: np.ndarray, shape: dict) -> None:
    flexion, abduction, bend = angles
    hip = np.zeros((len(sign), 3))
    hip[:, 0] = sign * shape["hip"]
    upper, forwards, outwards = _swing(flexion, abduction, sign)
    c, s = np.cos(bend)[:, None], np.sin(bend)[:, None]
    lower = c * upper - s * forwards
    toes = s * upper + c * forwards + 0.25 * outwards + 0.25 * lower
    toes *= (shape["foot"] / np.sqrt((toes * toes).sum(1)))[:, None]
    knee = hip + upper * shape["thigh"][:, None]
    ankle = knee + lower * shape["shin"][:, None]
    sole = ankle + lower * 0.034
    for joint, points in (
        ("hip", hip),
        ("knee", knee),
        ("ankle", ankle),
        ("heel", ankle + lower * 0.028 - 0.22 * toes),
        ("big_toe", sole + 0.8 * toes - outwards * 0.01),
        ("small_toe", sole + 0.66 * toes + outwards * 0.022),
    ):
        _put(out, joint, points)


def _swing(flexion: np.ndarray, abduction: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, ...]:
    """A bone that hangs down, swung forwards and outwards; its two perpendiculars: forwards, outwards."""
    ca, sa, cb, sb = np.cos(flexion), np.sin(flexion), np.cos(abduction), np.sin(abduction)
    bone = np.stack([sign * sb, -cb * ca, cb * sa], 1)
    forwards = np.stack([np.zeros_like(ca), sa, ca], 1)
    outwards = np.stack([sign * cb, sb * ca, -sb * sa], 1)
    return bone, forwards, outwards


def _camera(rng: np.random.Generator, n: int, sides: float) -> np.ndarray:
    """Rotations to the camera: ``sides`` from the side, 3 in 5 others from the front; from slightly above."""
    u = rng.random((2, n))
    spread = rng.normal(size=(3, n))
    front = sides + 0.6 * (1 - sides)
    centre = np.select([u[0] < sides / 2, u[0] < sides, u[0] < front], [np.pi / 2, -np.pi / 2, 0], np.pi)
    yaw = centre + 0.3 * spread[0]
    pitch = np.clip(0.08 + 0.1 * spread[1], -0.15, 0.4)
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
