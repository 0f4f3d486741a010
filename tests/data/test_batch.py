"""Stacking samples of different sizes."""

from __future__ import annotations

import torch

from pafpose.data.batch import Sample, collate


def sample(height: int, width: int, people: int, image_id: int) -> Sample:
    return Sample(
        image=torch.full((3, height, width), image_id, dtype=torch.uint8),
        keypoints=torch.full((people, 4, 3), 2.0),
        boxes=torch.full((people, 4), 5.0),
        ignore=torch.zeros(height // 8, width // 8, dtype=torch.bool),
        image_id=image_id,
        matrix=torch.eye(3, dtype=torch.float64)[:2] * image_id,
        valid=(height - 3, width),
        original=(2 * height, 2 * width),
    )


def test_pads_people_and_pictures():
    batch = collate([sample(16, 32, 2, 1), sample(24, 8, 0, 2), sample(8, 16, 3, 3)])
    assert batch.image.shape == (3, 3, 24, 32) and batch.image.dtype == torch.uint8
    assert (batch.image[0, :, :16, :32] == 1).all() and (batch.image[0, :, 16:] == 128).all()
    assert (batch.image[1, :, :24, :8] == 2).all() and (batch.image[1, :, :, 8:] == 128).all()
    assert batch.keypoints.shape == (3, 3, 4, 3)
    assert (batch.keypoints[0, :2] == 2).all() and (batch.keypoints[0, 2:] == 0).all()
    assert (batch.keypoints[1] == 0).all() and (batch.boxes[1] == 0).all()
    assert batch.ignore.shape == (3, 3, 4)
    assert not batch.ignore[0, :2].any() and batch.ignore[0, 2:].all()  # padding of the batch does not count
    assert batch.image_id.tolist() == [1, 2, 3]
    assert batch.valid.tolist() == [[13, 32], [21, 8], [5, 16]]
    assert batch.original.tolist() == [[32, 64], [48, 16], [16, 32]]
    assert batch.matrix.dtype == torch.float64 and batch.matrix[2, 0, 0] == 3


def test_pictures_stay_channels_last():
    assert collate([sample(16, 16, 0, 1)] * 2).image.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_without_people():
    batch = collate([sample(16, 16, 0, 1)])
    assert batch.keypoints.shape == (1, 0, 4, 3) and batch.boxes.shape == (1, 0, 4)
