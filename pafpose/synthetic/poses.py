"""Poses as joint angles: a table of common ones, and random draws around it.

Positive hip and arm angles swing forwards, splay and raise outwards. Elbows bend forwards at a twist of 0 and
inwards at a twist of 90 degrees.
"""

from __future__ import annotations

import numpy as np

ANGLES = (
    "trunk_pitch",
    *(f"{side}_{angle}" for side in ("left", "right") for angle in ("hip", "splay", "knee")),
    *(f"{side}_{angle}" for side in ("left", "right") for angle in ("arm", "raise", "twist", "elbow")),
)
COLUMN = {name: i for i, name in enumerate(ANGLES)}

_HANG = (4, 10, 25, 15)
_LEG = (2, 5, 4)
# In degrees. name: (weight, trunk pitch, left leg, right leg, left arm, right arm), where a leg is
# (hip, splay, knee) and an arm (arm, raise, twist, elbow).
_TABLE: dict[str, tuple] = {
    "stand": (14, 1, _LEG, _LEG, _HANG, _HANG),
    "akimbo": (6, 0, (0, 8, 3), (6, 8, 8), (-18, 48, 80, 95), (-18, 48, 80, 95)),
    "one hand on the hip": (5, 0, (0, 5, 3), (12, 9, 18), _HANG, (-18, 48, 80, 95)),
    "walk": (13, 4, (26, 3, 10), (-20, 3, 28), (-24, 9, 20, 18), (26, 9, 25, 28)),
    "run": (6, 12, (62, 3, 85), (-24, 3, 45), (-45, 14, 25, 90), (42, 12, 30, 90)),
    "sit": (11, 2, (84, 10, 84), (84, 10, 84), (32, 10, 30, 55), (32, 10, 30, 55)),
    "sit back": (4, -18, (72, 14, 70), (78, 8, 100), (20, 30, 20, 35), (30, 10, 40, 75)),
    "squat": (4, 24, (98, 18, 125), (98, 18, 125), (62, 14, 30, 50), (62, 14, 30, 50)),
    "kneel": (3, 4, (70, 8, 80), (0, 6, 95), (35, 10, 30, 45), _HANG),
    "lunge": (4, 10, (65, 4, 72), (-30, 4, 30), (40, 20, 20, 40), (-25, 20, 20, 30)),
    "bend": (5, 62, (6, 6, 8), (6, 6, 12), (66, 10, 20, 15), (66, 10, 20, 15)),
    "arms up": (7, -2, _LEG, (0, 9, 3), (166, 14, 20, 20), (166, 14, 20, 20)),
    "arms out": (4, 0, (0, 14, 3), (0, 14, 3), (5, 86, 0, 8), (5, 86, 0, 8)),
    "wave": (5, 0, _LEG, _LEG, _HANG, (12, 92, 10, 95)),
    "telephone": (4, 0, _LEG, (4, 6, 8), _HANG, (52, 30, 25, 138)),
    "arms crossed": (4, 0, _LEG, _LEG, (28, 12, 75, 105), (32, 12, 75, 98)),
    "reach": (4, 6, (8, 5, 5), (-8, 5, 10), _HANG, (95, 14, 0, 14)),
    "carry": (4, -3, (8, 6, 8), (-4, 6, 12), (28, 12, 30, 82), (28, 12, 30, 82)),
    "kick": (3, -8, (72, 6, 22), (-4, 4, 10), (-20, 40, 0, 25), (30, 40, 0, 30)),
    "dance": (4, 0, (40, 30, 60), (-4, 12, 8), (120, 40, 10, 40), (10, 70, 30, 60)),
}
_WEIGHTS = np.array([row[0] for row in _TABLE.values()])
_CUMULATED = np.cumsum(_WEIGHTS) / _WEIGHTS.sum()
_MEANS = np.array(
    [[row[1], *(angle for limb in row[2:] for angle in limb)] for row in _TABLE.values()], float
)
_SPREAD = np.array([6, *(12, 5, 13) * 2, *(16, 9, 22, 17) * 2], float)
_LOWEST = np.array([-35, *(-50, -6, 0) * 2, *(-70, 0, -50, 0) * 2], float)
_HIGHEST = np.array([100, *(125, 75, 150) * 2, *(185, 150, 130, 150) * 2], float)
_MIRRORED = [0, 4, 5, 6, 1, 2, 3, 11, 12, 13, 14, 7, 8, 9, 10]


def sample_angles(rng: np.random.Generator, count: int, liveliness: float = 1.0) -> np.ndarray:
    """Return joint angles ``(count, len(ANGLES))`` in radians; half of the people are mirrored.

    ``liveliness`` scales how far the angles stray from those of the table.
    """
    angles = _MEANS[np.searchsorted(_CUMULATED, rng.random(count), side="right")]
    mirrored = rng.random(count) < 0.5
    angles[mirrored] = angles[mirrored][:, _MIRRORED]
    angles += rng.normal(size=angles.shape) * _SPREAD * liveliness
    return np.radians(np.clip(angles, _LOWEST, _HIGHEST))
