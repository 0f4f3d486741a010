"""Human bodies in three dimensions, seen by a camera.

Body frame: x to the person's left, y up, z forwards. Camera frame: x right, y down, z towards the viewer.
Lengths are in units of the person's stature. The left side of a person who faces the viewer is on the right.
"""

from __future__ import annotations

import numpy as np

from pafpose.synthetic.poses import COLUMN, sample_angles

SIDES = ("left", "right")
_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "big_toe",
          "small_toe")  # fmt: skip
JOINTS = ("pelvis", "neck", "chin", "head_centre", "top_head", "nose", "mouth",
          *(f"{side}_{joint}" for joint in _SIDED for side in SIDES))  # fmt: skip
_MARGIN = 0.02  # of flesh around the joints
_TO_CAMERA = np.array([1.0, -1.0, 1.0])

# bone: (adults, children); children have larger heads and shorter legs. "head" is half of its height.
_LENGTHS = {"head": (0.066, 0.083), "shoulder": (0.112, 0.098), "hip": (0.056, 0.056),
            "trunk": (0.29, 0.29), "upper_arm": (0.168, 0.145), "forearm": (0.145, 0.125),
            "thigh": (0.24, 0.20), "shin": (0.235, 0.19), "foot": (0.13, 0.13)}  # fmt: skip
_ADULT, _CHILD = np.array(list(_LENGTHS.values())).T[..., None]

# joints of the head from its centre, in halves of its height: to the left, up, forwards
_HEAD_JOINTS = {
    "head_centre": (0, 0, 0), "chin": (0, -0.95, 0.3), "top_head": (0, 1, 0), "nose": (0, -0.12, 0.95),
    "mouth": (0, -0.5, 0.76), "left_eye": (0.34, 0.16, 0.76), "right_eye": (-0.34, 0.16, 0.76),
    "left_ear": (0.78, 0, -0.06), "right_ear": (-0.78, 0, -0.06),
}  # fmt: skip


class Body:
    """One person's joints, seen by the camera; in the picture once placed."""

    xy: np.ndarray  # (J,) x + iy in pixels
    points: dict[str, complex]  # the same by name
    scale = 1.0  # pixels per unit of stature

    def __init__(
        self, joints: np.ndarray, *, face: np.ndarray, chest: np.ndarray, girth: float, head: float
    ) -> None:
        self.joints = joints  # (J, 3) camera frame
        self.depth: dict[str, float] = dict(zip(JOINTS, joints[:, 2].tolist(), strict=True))
        # where face and chest point: x + iy, and towards the viewer
        self.face, self.face_front = complex(*face[:2]), float(face[2])
        self.chest, self.chest_front = complex(*chest[:2]), float(chest[2])
        self.girth = girth  # factor on the thickness of trunk and limbs
        self.head = head  # half the height of the head
        flat = joints[:, :2]
        self.box = np.concatenate([flat.min(0) - _MARGIN, flat.max(0) + _MARGIN])

    def place(self, scale: float, offset: complex) -> None:
        """Put the body into the picture: pixels = units * scale + offset."""
        self.scale = float(scale)
        self.xy = (self.joints[:, 0] + 1j * self.joints[:, 1]) * scale + offset
        self.points = dict(zip(JOINTS, self.xy.tolist(), strict=True))


def sample_bodies(
    rng: np.random.Generator, count: int, *, sides: float = 0.1, liveliness: float = 0.5
) -> list[Body]:
    """Draw ``count`` bodies in random poses; ``sides`` is the share of people seen from the side."""
    girth = np.exp(rng.normal(size=count) * 0.16)
    lengths = _sample_lengths(rng, count)
    joints, face = _assemble(sample_angles(rng, count, liveliness), lengths, rng)
    camera = _sample_cameras(rng, count, sides)
    joints = np.einsum("nij,nkj->nki", camera, joints) * _TO_CAMERA
    face = np.einsum("nij,nj->ni", camera, face) * _TO_CAMERA
    chest = camera[:, :, 2] * _TO_CAMERA
    return [
        Body(
            joints[n], face=face[n], chest=chest[n], girth=float(girth[n]), head=float(lengths["head"][n, 0])
        )
        for n in range(count)
    ]


def _sample_lengths(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draw the lengths of the bones, ``(n, 1)`` each."""
    child = rng.random(count) < 0.15
    factors = 1 + 0.07 * rng.normal(size=(len(_LENGTHS), count))
    lengths = np.where(child, _CHILD, _ADULT) * factors
    return dict(zip(_LENGTHS, lengths[..., None], strict=True))


def _assemble(
    angles: np.ndarray, lengths: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return joints ``(n, J, 3)`` and the direction of the face ``(n, 3)``, both in the body frame."""
    jitter = rng.normal(size=(5, len(angles)))
    angle = {name: angles[:, [column]] for name, column in COLUMN.items()}
    pitch = angles[:, COLUMN["trunk_pitch"]]
    trunk = _rotation(0, pitch) @ _rotation(2, 0.08 * jitter[0]) @ _rotation(1, 0.16 * jitter[1])
    up, front = trunk[:, :, 1], trunk[:, :, 2]
    top = up * lengths["trunk"]
    head = trunk @ _rotation(1, 0.38 * jitter[2]) @ _rotation(0, 0.16 * jitter[3] - 0.5 * pitch)
    joints = {"pelvis": np.zeros((len(angles), 3)), "neck": top + up * 0.015}
    joints |= _head(head * lengths["head"][..., None], top + up * 0.058 + front * 0.012)
    for side in SIDES:
        joints |= _arm(angle, lengths, trunk, side) | _leg(angle, lengths, side)
    return np.array([joints[name] for name in JOINTS]).swapaxes(0, 1), head[:, :, 2]


def _head(axes: np.ndarray, base: np.ndarray) -> dict[str, np.ndarray]:
    """Return the joints of heads that stand on ``base`` ``(n, 3)``; ``axes`` are scaled to their size."""
    centre = base + axes[:, :, 1]
    offsets = np.array(list(_HEAD_JOINTS.values()), float) @ axes.transpose(0, 2, 1)
    return dict(zip(_HEAD_JOINTS, (centre[:, None] + offsets).transpose(1, 0, 2), strict=True))


def _arm(
    angle: dict[str, np.ndarray], lengths: dict[str, np.ndarray], trunk: np.ndarray, side: str
) -> dict[str, np.ndarray]:
    across, up = trunk[:, :, 0], trunk[:, :, 1]
    upper, forwards, outwards = _swing(angle[f"{side}_arm"], angle[f"{side}_raise"], side)
    twist, bend = angle[f"{side}_twist"], angle[f"{side}_elbow"]
    hinge = np.cos(twist) * forwards - np.sin(twist) * outwards
    lower = np.cos(bend) * upper + np.sin(bend) * hinge
    upper, lower = np.moveaxis(trunk @ np.stack([upper, lower], -1), -1, 0)
    shoulder = up * (lengths["trunk"] - 0.012) + across * (_SIGN[side] * lengths["shoulder"])
    elbow = shoulder + upper * lengths["upper_arm"]
    wrist = elbow + lower * lengths["forearm"]
    return _named(side, shoulder=shoulder, elbow=elbow, wrist=wrist, hand=wrist + lower * 0.055)


def _leg(angle: dict[str, np.ndarray], lengths: dict[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    upper, forwards, outwards = _swing(angle[f"{side}_hip"], angle[f"{side}_splay"], side)
    bend = angle[f"{side}_knee"]
    lower = np.cos(bend) * upper - np.sin(bend) * forwards
    toes = np.sin(bend) * upper + np.cos(bend) * forwards + 0.25 * outwards + 0.25 * lower
    toes *= lengths["foot"] / np.linalg.norm(toes, axis=1, keepdims=True)
    hip = _SIGN[side] * lengths["hip"] * (1.0, 0.0, 0.0)
    knee = hip + upper * lengths["thigh"]
    ankle = knee + lower * lengths["shin"]
    sole = ankle + lower * 0.034
    return _named(
        side,
        hip=hip,
        knee=knee,
        ankle=ankle,
        heel=ankle + lower * 0.028 - 0.22 * toes,
        big_toe=sole + 0.8 * toes - outwards * 0.01,
        small_toe=sole + 0.66 * toes + outwards * 0.022,
    )


def _named(side: str, **joints: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{side}_{name}": xyz for name, xyz in joints.items()}


_SIGN = {"left": 1.0, "right": -1.0}


def _swing(flexion: np.ndarray, abduction: np.ndarray, side: str) -> tuple[np.ndarray, ...]:
    """Return hanging bones swung forwards by ``flexion`` and outwards by ``abduction``, ``(n, 1)`` each.

    With each bone ``(n, 3)`` come two perpendiculars, which point forwards and outwards from it.
    """
    sign, zero = _SIGN[side], np.zeros_like(flexion)
    ca, sa, cb, sb = np.cos(flexion), np.sin(flexion), np.cos(abduction), np.sin(abduction)
    bone = np.concatenate([sign * sb, -cb * ca, cb * sa], 1)
    forwards = np.concatenate([zero, sa, ca], 1)
    outwards = np.concatenate([sign * cb, sb * ca, -sb * sa], 1)
    return bone, forwards, outwards


def _sample_cameras(rng: np.random.Generator, count: int, sides: float) -> np.ndarray:
    """Draw rotations ``(n, 3, 3)`` to cameras that look from slightly above.

    A share of ``sides`` looks from the side; of the others 3 in 5 look from the front.
    """
    u = rng.random((2, count))
    spread = rng.normal(size=(3, count))
    front = sides + 0.6 * (1 - sides)
    towards = np.where(u[0] < front, 0, np.pi)
    towards = np.where(u[0] < sides, np.where(u[0] < sides / 2, np.pi / 2, -np.pi / 2), towards)
    yaw = towards + 0.3 * spread[0]
    pitch = np.clip(0.08 + 0.1 * spread[1], -0.15, 0.4)
    roll = np.where(u[1] < 0.04, 0.5, 0.06) * spread[2]
    return _rotation(2, roll) @ _rotation(0, pitch) @ _rotation(1, yaw)


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """Return rotations ``(n, 3, 3)`` about an axis; about x, up turns forwards."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angle)
    out[:, j, i] = np.sin(angle)
    out[:, i, j] = -out[:, j, i]
    return out
