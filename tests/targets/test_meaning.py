"""What single options mean, worked out by hand, for both kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from target_cases import KERNELS, SIZE, build, one_limb, toy, two_people

from pafpose.targets import HeatmapSettings, PafSettings


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", [1, -1])
def test_neighbours_do_not_erase_each_other(kernel, order):
    """Two heads 10 px apart, both on cell centres of stride 2: both peaks are 1, whoever comes last."""
    positions = [(20.5, 30.5), (30.5, 30.5)][::order]
    heat = build(kernel, stride=2)(two_people(*positions), (64, 64)).heatmaps[0, 0]
    assert heat[15, 10] == pytest.approx(1) and heat[15, 15] == pytest.approx(1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gaussian_by_hand(kernel):
    heat = build(kernel)(two_people((12.5, 11.5)), SIZE).heatmaps[0]
    assert heat[0, 1, 1] == pytest.approx(np.exp(-1 / 98))
    assert heat[0, 1, 2] == pytest.approx(np.exp(-49 / 98))
    assert heat[0, 2, 2] == pytest.approx(np.exp(-(49 + 64) / 98))
    assert heat[0, 1, 4] == 0  # 23 px away: exp(-5.4) is below 0.01
    assert heat[-1, 1, 1] == pytest.approx(1 - np.exp(-1 / 98), abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_background_none_has_no_channel(kernel):
    builder = build(kernel, heatmap=HeatmapSettings(background="none"))
    assert builder.num_heatmaps == 6 and builder.num_pafs == 12
    assert builder(two_people((12.5, 11.5)), SIZE).heatmaps.shape == (1, 6, 6, 8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_width_is_half_the_width(kernel):
    """A ruler: a level limb at y = 31.5 with width 8 covers cells of stride 1 from 23.5 to 39.5 px: 17."""
    keypoints = one_limb(((10, 32), (50, 32)))
    paf = build(kernel, stride=1)(keypoints, (64, 64)).pafs[0, 6]
    assert paf[:, 30].nonzero().flatten().tolist() == list(range(24, 41))
    assert (paf[24:41, 30] == 1).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("caps", "first", "last"), [("bbox", 12, 48), ("none", 20, 40), ("round", 12, 48)])
def test_ends(kernel, caps, first, last):
    keypoints = one_limb(((20, 32), (40, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(caps=caps))(keypoints, (64, 64)).pafs[0, 6]
    assert paf[32].nonzero().flatten().tolist() == list(range(first, last + 1))
    corner = paf[32 + 7, first]
    assert corner == (0 if caps == "round" else 1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("profile", "value"),
    [("rigid", 1), ("linear", 0.5), ("cosine", 0.5), ("gaussian", np.exp(-1 / 8))],
)
def test_profiles(kernel, profile, value):
    keypoints = one_limb(((10, 32), (50, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(profile=profile))(keypoints, (64, 64)).pafs[0]
    assert paf[6, 36, 30] == pytest.approx(value) and paf[7, 36, 30] == 0
    assert paf[6, 32, 30] == 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("merge", "vector"),
    [("mean", (0, 1 / 3)), ("sum", (0, 1)), ("last", (-1, 0)), ("nearest", (1, 0)), ("max", (1, 0))],
)
def test_merges(kernel, merge, vector):
    """Three limbs through one point: right, down, left; all equally near, so the first wins."""
    keypoints = one_limb(((10, 32), (50, 32)), ((30, 10), (30, 50)), ((50, 32), (10, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(merge=merge))(keypoints, (64, 64)).pafs[0, 6:8, 32, 30]
    assert paf.tolist() == pytest.approx(vector, abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("merge", "profile"), [("nearest", "rigid"), ("max", "linear")])
def test_the_nearer_limb_wins(kernel, merge, profile):
    keypoints = one_limb(((10, 30), (50, 30)), ((50, 35), (10, 35)))
    paf = build(kernel, stride=1, paf=PafSettings(merge=merge, profile=profile))(keypoints, (64, 64)).pafs
    assert (paf[0, 6, 27:33, 30] > 0).all() and (paf[0, 6, 33:38, 30] < 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_limb_of_no_length_is_not_drawn(kernel):
    pafs = build(kernel)(one_limb(((20, 20), (20, 20))), SIZE).pafs
    assert pafs.count_nonzero() == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_points_outside_still_draw_what_falls_inside(kernel):
    pafs = build(kernel, stride=1)(one_limb(((-300, 20), (500, 20))), (40, 40)).pafs
    assert (pafs[0, 6, 20] == 1).all()
    heat = build(kernel, stride=1)(two_people((-3, 20)), (40, 40)).heatmaps
    assert heat[0, 0, 20, 0] == pytest.approx(np.exp(-9 / 98))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_heatmaps_and_pafs_share_one_grid(kernel, stride):
    """The centres of mass of a keypoint's blob and of limbs about the same point agree."""
    x, y = 67.0, 61.0
    keypoints = torch.zeros(1, 1, toy.num_keypoints, 3)
    keypoints[0, 0, 0] = torch.tensor([x, y, 2])
    level, upright = one_limb(((x - 30, y), (x + 30, y))), one_limb(((x, y - 30), (x, y + 30)))
    builder = build(kernel, stride=stride, paf=PafSettings(profile="gaussian"))
    cells = torch.arange(128 // stride) * stride + (stride - 1) / 2
    heat = builder(keypoints, (128, 128)).heatmaps[0, 0]
    rows = builder(level, (128, 128)).pafs[0, 6].sum(1)
    columns = builder(upright, (128, 128)).pafs[0, 7].sum(0)
    for weights, centre in ((heat.sum(0), x), (columns, x), (heat.sum(1), y), (rows, y)):
        assert float((weights * cells).sum() / weights.sum()) == pytest.approx(centre, abs=0.25)
