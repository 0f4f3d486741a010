"""The small containers of the data pipeline: one sample, one batch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """One network input and its people; coordinates are pixels of that input."""

    image: Tensor  # (3, H, W) uint8 RGB
    keypoints: Tensor  # (P, K, 3) float32 x, y, v in skeleton order, derived ones filled
    boxes: Tensor  # (P, 4) float32 x, y, w, h
    ignore: Tensor  # (h, w) bool at field cells: where the loss does not count
    image_id: int
    matrix: Tensor  # (2, 3) float64, photo -> input
    valid: tuple[int, int]  # (height, width) of the photo's part of the input
    original: tuple[int, int]  # (height, width) of the photo


class Batch(NamedTuple):
    """Samples stacked; people padded with v = 0 and empty boxes, pictures padded with grey."""

    image: Tensor  # (B, 3, H, W) uint8 RGB
    keypoints: Tensor  # (B, P, K, 3) float32
    boxes: Tensor  # (B, P, 4) float32
    ignore: Tensor  # (B, h, w) bool
    image_id: Tensor  # (B,) int64
    matrix: Tensor  # (B, 2, 3) float64, photo -> input
    valid: Tensor  # (B, 2) int64, (height, width)
    original: Tensor  # (B, 2) int64, (height, width)
