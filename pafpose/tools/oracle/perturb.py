"""What separates a network's fields from perfect ones, in three numbers: keypoints lost, blur, noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

DROP, NOISE = 0, 1  # streams of random numbers, so that one does not change with the other


def drop_keypoints(keypoints: np.ndarray, share: float, *, seed: int, image_id: int) -> np.ndarray:
    """A copy of ``(P, K, 3)`` in which each labelled keypoint is unlabelled with probability ``share``.

    Derived keypoints are dropped by themselves: a network may miss a neck though it sees the shoulders.
    A larger share drops the same keypoints and more.
    """
    out = keypoints.copy()
    if share:
        out[_rng(seed, image_id, DROP).random(out.shape[:2]) < share] = 0
    return out


def blur(fields: Tensor, std: float) -> Tensor:
    """Each map of ``(B, C, h, w)`` under a Gaussian of ``std`` cells; the border's cells are repeated."""
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
    """``(C, h, w)`` with independent Gaussian noise in every cell; the same pattern at every ``std``."""
    if not std:
        return fields
    pattern = _rng(seed, image_id, NOISE).standard_normal(tuple(fields.shape), np.float32)
    return fields + std * torch.from_numpy(pattern)


def _rng(seed: int, image_id: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, image_id, stream])
