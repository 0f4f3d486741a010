"""What network, targets, loss and decoder hand to each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pafpose.geometry import invert


class Fields(NamedTuple):
    """The prediction of one network stage; None for a field that the stage does not predict."""

    heatmaps: Tensor | None  # (B, K + 1, h, w), background last; K channels with heatmap.background=none
    pafs: Tensor | None  # (B, 2 L, h, w) as x0, y0, x1, y1, ...


class Targets(NamedTuple):
    """Ground truth fields and loss weights, float32."""

    heatmaps: Tensor  # (B, K + 1, h, w)
    pafs: Tensor  # (B, 2 L, h, w)
    heatmap_weights: Tensor  # 1 where the loss counts, else 0; broadcastable to heatmaps
    paf_weights: Tensor  # the same, broadcastable to pafs


class Poses(NamedTuple):
    """The people found in one picture, best score first."""

    keypoints: Tensor  # (N, K, 3): x, y in pixels, confidence; 0, 0, 0 when not found
    scores: Tensor  # (N,)

    @staticmethod
    def nobody(num_keypoints: int, device: torch.device | str = "cpu") -> Poses:
        """Return the empty result: shapes (0, K, 3) and (0,)."""
        return Poses(torch.zeros(0, num_keypoints, 3, device=device), torch.zeros(0, device=device))


def to_photo(people: Poses, matrix: np.ndarray | Tensor) -> Poses:
    """Return people in photo pixels, given people in input pixels.

    ``matrix (2, 3)`` maps photo pixels to input pixels. Keypoints that were not found stay 0, 0, 0.
    """
    back = torch.as_tensor(invert(np.asarray(matrix, np.float64)), device=people.keypoints.device)
    found = people.keypoints[..., 2:] > 0
    xy = people.keypoints[..., :2].to(back) @ back[:, :2].T + back[:, 2]
    xy = torch.where(found, xy, torch.zeros_like(xy)).to(people.keypoints)
    return Poses(torch.cat([xy, people.keypoints[..., 2:] * found], -1), people.scores)
