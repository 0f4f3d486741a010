"""The containers that travel between network, targets, loss and decoder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pafpose.geometry import invert


class Fields(NamedTuple):
    """What one network stage predicts; a field that the stage does not predict is None."""

    heatmaps: Tensor | None  # (B, K + 1, h, w), background last; K channels with heatmap.background=none
    pafs: Tensor | None  # (B, 2 L, h, w) as x0, y0, x1, y1, ...


class Targets(NamedTuple):
    """Ground truth fields and where the loss counts; float32."""

    heatmaps: Tensor  # (B, K + 1, h, w)
    pafs: Tensor  # (B, 2 L, h, w)
    heatmap_weights: Tensor  # 1 or 0, broadcastable to heatmaps
    paf_weights: Tensor  # 1 or 0, broadcastable to pafs


class People(NamedTuple):
    """People found in one picture, best score first."""

    keypoints: Tensor  # (N, K, 3): x, y in pixels, confidence; 0, 0, 0 when not found
    scores: Tensor  # (N,)

    @staticmethod
    def nobody(num_keypoints: int, device: torch.device | str = "cpu") -> People:
        """The empty result: shapes (0, K, 3) and (0,)."""
        return People(torch.zeros(0, num_keypoints, 3, device=device), torch.zeros(0, device=device))


def to_photo(people: People, matrix: np.ndarray | Tensor) -> People:
    """Move people from input pixels to photo pixels; ``matrix`` (2, 3) leads from photo to input.

    Keypoints that were not found stay 0, 0, 0.
    """
    back = torch.as_tensor(invert(np.asarray(matrix, np.float64)), device=people.keypoints.device)
    found = people.keypoints[..., 2:] > 0
    xy = people.keypoints[..., :2].to(back) @ back[:, :2].T + back[:, 2]
    xy = torch.where(found, xy, torch.zeros_like(xy)).to(people.keypoints)
    return People(torch.cat([xy, people.keypoints[..., 2:] * found], -1), people.scores)
