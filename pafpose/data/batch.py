"""What a sample and a batch hold, and how samples are stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pafpose.data.photos.images import FILL


class Sample(NamedTuple):
    """One network input and its people; coordinates are pixels of that input."""

    image: Tensor  # (3, H, W) uint8 RGB
    keypoints: Tensor  # (P, K, 3) float32 x, y, v in skeleton order, derived ones filled
    boxes: Tensor  # (P, 4) float32 x, y, w, h
    ignore: Tensor  # (h, w) bool: field cells that the loss ignores
    image_id: int
    matrix: Tensor  # (2, 3) float64, photo -> input
    valid: tuple[int, int]  # (height, width) of the part of the input that the photo takes
    original: tuple[int, int]  # (height, width) of the photo


class Batch(NamedTuple):
    """Stacked samples: pictures are padded with grey, people with v = 0 and empty boxes."""

    image: Tensor  # (B, 3, H, W) uint8 RGB
    keypoints: Tensor  # (B, P, K, 3) float32
    boxes: Tensor  # (B, P, 4) float32
    ignore: Tensor  # (B, h, w) bool
    image_id: Tensor  # (B,) int64
    matrix: Tensor  # (B, 2, 3) float64, photo -> input
    valid: Tensor  # (B, 2) int64, (height, width)
    original: Tensor  # (B, 2) int64, (height, width)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with what the network and the targets read on a device; Lightning calls this.

        The rest describes the photos and stays on the host, the only reader. The matrices could not be moved
        to MPS, which has no float64.
        """
        read = {name: getattr(self, name) for name in ("image", "keypoints", "boxes", "ignore")}
        pinned = device.type == "cuda"
        return self._replace(**{name: field.to(device, non_blocking=pinned) for name, field in read.items()})


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples, padded to the largest picture and the most people; ``image`` is channels last in memory.

    Cells of this padding are ignored, so that the loss of a photo does not depend on the others in its batch.
    """
    count = len(samples)
    height, width = (max(s.image.shape[d] for s in samples) for d in (1, 2))
    rows, columns = (max(s.ignore.shape[d] for s in samples) for d in (0, 1))
    people = max(len(s.keypoints) for s in samples)
    image = torch.full((count, height, width, 3), FILL, dtype=torch.uint8)
    keypoints = torch.zeros(count, people, *samples[0].keypoints.shape[1:])
    boxes = torch.zeros(count, people, 4)
    ignore = torch.ones(count, rows, columns, dtype=torch.bool)
    for b, sample in enumerate(samples):
        image[b, : sample.image.shape[1], : sample.image.shape[2]] = sample.image.permute(1, 2, 0)
        keypoints[b, : len(sample.keypoints)] = sample.keypoints
        boxes[b, : len(sample.boxes)] = sample.boxes
        ignore[b, : sample.ignore.shape[0], : sample.ignore.shape[1]] = sample.ignore
    return Batch(
        image=image.permute(0, 3, 1, 2),
        keypoints=keypoints,
        boxes=boxes,
        ignore=ignore,
        image_id=torch.tensor([s.image_id for s in samples]),
        matrix=torch.stack([s.matrix for s in samples]),
        valid=torch.tensor([s.valid for s in samples]),
        original=torch.tensor([s.original for s in samples]),
    )
