"""Which keypoints of people are targets, and how large people are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pafpose.targets.settings import HeatmapSettings, PafSettings


def labelled_keypoints(keypoints: Tensor, threshold: float) -> Tensor:
    """Return which of the ``keypoints (..., 3)`` are targets: ``v > threshold`` and a finite position."""
    x, y, v = keypoints.unbind(-1)
    return (v > threshold) & ((x + y).abs() < math.inf)  # the sum is finite when both are


def complete_boxes(boxes: Tensor | None, keypoints: Tensor, threshold: float) -> Tensor:
    """Return boxes ``(B, P, 4)`` for all people, around the labelled keypoints of those who have none.

    A person has no box when its row is not finite or has no area. Without labelled keypoints a person that
    has no box gets zeros.
    """
    known = labelled_keypoints(keypoints, threshold)[..., None]
    low = torch.where(known, keypoints[..., :2], torch.inf).amin(2)
    high = torch.where(known, keypoints[..., :2], -torch.inf).amax(2)
    around = torch.where(known.any(2), torch.cat([low, high - low], -1), 0)
    if boxes is None:
        return around
    boxes = boxes.detach().to(keypoints)
    given = boxes.isfinite().all(-1) & (boxes[..., 2] > 0) & (boxes[..., 3] > 0)
    return torch.where(given[..., None], boxes, around)


def person_scale(boxes: Tensor, settings: HeatmapSettings | PafSettings) -> Tensor:
    """Return the factor ``(B, P)`` by which the size of people ``boxes (B, P, 4)`` scales sigma or width."""
    side = (boxes[..., 2] * boxes[..., 3]).sqrt()
    return (side / settings.scale_ref).clamp(settings.scale_min, settings.scale_max)
