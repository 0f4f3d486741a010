"""decode.complete: people are filled up along the fields; what was found stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from decode_scenes import fields, figure, random_fields

from pafpose.decode import Decoder, DecodeSettings


def make(skeleton, *, complete=0.05, stride=8, **settings):
    settings = {"peak_threshold": 0.1, **settings}
    return Decoder(skeleton, DecodeSettings(complete=complete, **settings), stride=stride, heatmap_sigma=7)


def hidden(skeleton, heatmaps, names, *, height=0.08):
    """Heatmaps with peaks of some kinds too low to be found."""
    heatmaps = heatmaps.clone()
    for name in names:
        heatmaps[skeleton.keypoints.index(name)] *= height
    return heatmaps


@pytest.fixture
def scene(coco18):
    person = figure(coco18, 150, 40, 260)
    return person, *fields(coco18, [person], (368, 368))


@pytest.mark.parametrize(
    "names", [("left_wrist",), ("left_elbow", "left_wrist"), ("right_hip", "right_knee", "right_ankle")]
)
def test_a_keypoint_without_a_peak_is_found_along_its_limbs(coco18, scene, names):
    person, heatmaps, pafs = scene
    heatmaps = hidden(coco18, heatmaps, names)
    without = make(coco18, complete=0.0)(heatmaps, pafs).keypoints[0]
    with_it = make(coco18)(heatmaps, pafs).keypoints[0]
    for name in names:
        kind = coco18.keypoints.index(name)
        assert without[kind, 2] == 0
        assert np.linalg.norm(with_it[kind, :2].numpy() - person[kind, :2]) < 0.5
        assert 0.05 <= with_it[kind, 2] < 0.1


def test_what_was_found_stays_and_so_do_scores(coco18, rng):
    people = [figure(coco18, *rng.uniform(20, 250, 2), rng.uniform(80, 250)) for _ in range(8)]
    heatmaps, pafs = fields(coco18, people, (368, 368))
    heatmaps = hidden(coco18, heatmaps, ["left_wrist", "right_ankle", "nose"])
    before = make(coco18, complete=0.0)(heatmaps, pafs)
    after = make(coco18)(heatmaps, pafs)
    known = before.keypoints[..., 2] > 0
    assert torch.equal(before.scores, after.scores)
    assert torch.equal(before.keypoints[known], after.keypoints[known])
    assert (after.keypoints[..., 2] > 0).sum() > known.sum()


def test_nothing_is_made_up(coco18, scene):
    _, heatmaps, pafs = scene
    wrist = coco18.keypoints.index("left_wrist")
    too_low = hidden(coco18, heatmaps, ["left_wrist"], height=0.04)
    assert make(coco18)(too_low, pafs).keypoints[0, wrist, 2] == 0
    low = hidden(coco18, heatmaps, ["left_wrist"])
    no_field = pafs.clone()
    for limb, ends in enumerate(coco18.limbs):
        if wrist in ends:
            no_field[2 * limb : 2 * limb + 2] = 0
    assert make(coco18)(low, no_field).keypoints[0, wrist, 2] == 0


def test_two_people_may_share_a_keypoint(coco18):
    left, right = figure(coco18, 100, 40, 240), figure(coco18, 200, 40, 240)
    wrist = coco18.keypoints.index("left_wrist")
    right[wrist, :2] = left[wrist, :2]
    heatmaps, pafs = fields(coco18, [left, right], (368, 368))
    apart = make(coco18, complete=0.0)(heatmaps, pafs).keypoints[:, wrist]
    assert sorted((apart[:, 2] > 0).tolist()) == [False, True]
    shared = make(coco18)(heatmaps, pafs).keypoints[:, wrist]
    assert np.abs(shared[:, :2].numpy() - left[wrist, :2]).max() < 1


@pytest.mark.parametrize("interpolation", ["bilinear", "cubic"])
@pytest.mark.parametrize("refine", ["none", "quadratic", "log_quadratic"])
def test_any_maps_end_inside_them(coco18, rng, interpolation, refine):
    for _ in range(6):
        heatmaps, pafs = random_fields(coco18, rng, tuple(rng.integers(1, 30, 2)))
        settings = {
            "interpolation": interpolation,
            "refine": refine,
            "min_keypoints": 1,
            "min_sum_per_keypoint": 0,
        }
        people = make(coco18, **settings)(heatmaps, pafs)
        found = people.keypoints[people.keypoints[..., 2] > 0]
        assert torch.isfinite(found).all()
        rows, cols = heatmaps.shape[-2:]
        assert (found[:, :2] > -8).all()
        assert (found[:, 0] < 8 * cols + 8).all() and (found[:, 1] < 8 * rows + 8).all()


def test_a_batch_completes_in_the_valid_part_of_its_pictures(coco18, scene):
    _, heatmaps, pafs = scene
    heatmaps = hidden(coco18, heatmaps, ["left_wrist"])
    decoder = make(coco18)
    valid = np.array([[368, 368], [200, 368]])
    found = decoder.decode_batch(torch.stack([heatmaps] * 2), torch.stack([pafs] * 2), valid)
    for people, (height, _) in zip(found, valid, strict=True):
        rows = height // 8
        alone = decoder(heatmaps[:, :rows].contiguous(), pafs[:, :rows].contiguous())
        assert torch.equal(people.keypoints, alone.keypoints)
