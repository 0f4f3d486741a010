"""Where the loss counts."""

from __future__ import annotations

import itertools

import pytest
import torch
from target_cases import KERNELS, SIZE, build, check, compare, crowd, random_boxes, toy

from pafpose.targets import MaskSettings


def test_masks_against_the_reference(rng):
    for occluded, missing in itertools.product((True, False), (True, False)):
        mask = MaskSettings(occluded_keypoints=occluded, unlabelled_keypoints=missing)
        keypoints, boxes = crowd(rng, 4, batch=2), random_boxes(rng, 2, 4)
        ignore = rng.random((2, *SIZE)) < 0.3
        compare(lambda kernel, m=mask: build(kernel, mask=m), keypoints, SIZE, boxes, ignore, note=mask)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_ignore_in_pixels_and_in_cells(stride, rng):
    keypoints = torch.from_numpy(crowd(rng, 2, batch=2))
    pixels = torch.from_numpy(rng.random((2, *SIZE)) < 0.5)
    cells = pixels[:, stride // 2 :: stride, stride // 2 :: stride]
    builder = build(stride=stride)
    check(builder(keypoints, SIZE, ignore=cells), builder(keypoints, SIZE, ignore=pixels))
    assert torch.equal(builder(keypoints, SIZE, ignore=pixels).paf_weights[:, 0] == 0, cells)


def test_weights_are_ones_without_masks(rng):
    fields = build()(torch.from_numpy(crowd(rng, 2)), SIZE)
    assert fields.heatmap_weights.shape == (1, 1, 6, 8) and (fields.heatmap_weights == 1).all()
    assert (fields.paf_weights == 1).all()


def test_unlabelled_keypoints_are_ignored_inside_the_box_only():
    keypoints = torch.zeros(1, 1, toy.num_keypoints, 3)
    keypoints[0, 0, 0] = torch.tensor([20.0, 20.0, 2])
    boxes = torch.tensor([[[8.0, 8.0, 24.0, 24.0]]])
    fields = build(mask=MaskSettings(unlabelled_keypoints=True))(keypoints, SIZE, boxes)
    lost = torch.zeros(6, 8, dtype=torch.bool)
    lost[1:4, 1:4] = True  # pixels 12, 20, 28
    weights = fields.heatmap_weights[0]
    assert (weights[0] == 1).all() and (weights[-1] == 1).all()
    assert all(torch.equal(weights[k] == 0, lost) for k in range(1, 6))
    assert all(torch.equal(fields.paf_weights[0, c] == 0, lost) for c in range(12))


@pytest.mark.parametrize("points", [[(12, 12)], [(12, 12), (12, 40)], [(12, 12), (40, 12)]])
def test_a_box_without_area_holds_no_cell(points):
    """Not even the cells whose pixels lie on it."""
    keypoints = torch.zeros(1, 1, toy.num_keypoints, 3)
    for k, (x, y) in enumerate(points):
        keypoints[0, 0, k] = torch.tensor([x, y, 2.0])
    fields = build(mask=MaskSettings(unlabelled_keypoints=True))(keypoints, SIZE)
    assert (fields.heatmap_weights == 1).all() and (fields.paf_weights == 1).all()


def test_occluded_keypoints_can_be_left_out(rng):
    keypoints = crowd(rng, 4)
    hidden = keypoints.copy()
    hidden[hidden[..., 2] == 1] = 0
    for kernel in KERNELS:
        without = build(kernel, mask=MaskSettings(occluded_keypoints=False))
        check(without(torch.from_numpy(keypoints), SIZE), build(kernel)(torch.from_numpy(hidden), SIZE))
