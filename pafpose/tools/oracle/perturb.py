"""Perturb perfect fields to resemble a network's: drop keypoints, blur, add noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

DROP, NOISE = 0, 1  # separate random streams: changing one perturbation leaves the other as it was


def drop_keypoints(keypoints: np.ndarray, share: float, *, seed: int, image_id: int) -> np.ndarray:
    """Return a copy of ``(P, K, 3)`` with each keypoint set to unlabelled with probability ``share``.

    Derived keypoints are dropped independently: a network may miss the neck but find both shoulders. A larger
    share drops the same keypoints and others in addition.
    """
    out = keypoints.copy()
    if share:
        out[_rng(seed, image_id, DROP).random(out.shape[:2]) < share] = 0
    return out


def blur(fields: Tensor, std: float) -> Tensor:
    """Blur each map of ``(B, C, h, w)`` with a Gaussian of ``std`` cells; borders are replicated."""
    if not std:
        return fields
    radius = math.ceil(3 * std)
    taps = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * std**2))
    taps /= taps.sum()
    out = fields.flatten(0, 1)[:, None]
    padded = functional.pad(out, (radius,) * 4, mode="replicate")
    rows = functional.conv2d(padded, taps.view(1, 1, -1, 1))
    return functional.conv2d(rows, taps.view(1, 1, 1, -1))[:, 0].unflatten(0, fields.shape[:2])


def add_noise(fields: Tensor, std: float, *, seed: int, image_id: int) -> Tensor:
    """Add Gaussian noise to every cell of ``(C, h, w)``; the pattern is the same at every ``std``."""
    if not std:
        return fields
    pattern = _rng(seed, image_id, NOISE).standard_normal(tuple(fields.shape), np.float32)
    return fields + std * torch.from_numpy(pattern)


def _rng(seed: int, image_id: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, image_id, stream])
