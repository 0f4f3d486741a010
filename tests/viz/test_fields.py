"""Fields over pictures: cells where they belong, colours that mean directions, stripes on masks only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose.geometry import cell_to_px
from pafpose.viz.fields import (
    add_legend,
    arrows_overlay,
    hatch,
    heatmaps_overlay,
    map_overlay,
    pafs_overlay,
    strongest_limb,
    wheel_colours,
)


def picture(height=96, width=128):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("smooth", [True, False])
def test_a_cell_is_painted_at_its_centre(coco18, smooth):
    maps = torch.zeros(19, 12, 16)
    maps[4, 5, 9] = 1
    out = heatmaps_overlay(picture(), maps, coco18, smooth=smooth).astype(float).sum(-1)
    y, x = np.indices(out.shape)
    centre = ((x * out).sum() / out.sum(), (y * out).sum() / out.sum())
    np.testing.assert_allclose(centre, (cell_to_px(9, 8), cell_to_px(5, 8)), atol=0.05)


def test_channels_have_their_keypoints_colour_and_the_background_none(coco18):
    maps = np.zeros((19, 12, 16))
    maps[18] = 1
    assert not heatmaps_overlay(picture(), maps, coco18).any()
    maps[7] = 1
    assert tuple(heatmaps_overlay(picture(), maps, coco18)[50, 50]) == coco18.colours[7]
    assert not heatmaps_overlay(picture(), maps, coco18, channels=[6]).any()


def test_wheel_colours_turn_with_the_direction():
    right, down, left = (
        wheel_colours(np.array(v, float).reshape(2, 1))[0] for v in ((1, 0), (0, 1), (-1, 0))
    )
    assert right.argmax() == 0  # red
    assert set(left.argsort()[1:]) == {1, 2}  # cyan, its opposite
    assert not np.allclose(down, right)
    np.testing.assert_allclose(wheel_colours(np.array([[0.1], [0.0]]))[0], right)


def test_the_longest_limb_wins():
    pafs = torch.zeros(6, 2, 3)
    pafs[2:4, 1, 1] = torch.tensor([0.6, -0.8])
    pafs[4, 1, 1] = 0.5
    np.testing.assert_allclose(strongest_limb(pafs)[:, 1, 1], [0.6, -0.8])
    np.testing.assert_allclose(strongest_limb(pafs, limbs=[2])[:, 1, 1], [0.5, 0])


def test_paf_pictures(coco18):
    pafs = np.zeros((38, 12, 16), np.float32)
    pafs[0, 6, 8] = 1
    plain = pafs_overlay(picture(), pafs, legend=False)
    assert (plain[48:56, 64:72] > 0).any() and not plain[:40].any()
    assert (pafs_overlay(picture(), pafs)[-30:, -30:] != plain[-30:, -30:]).any()
    arrows = np.argwhere(arrows_overlay(picture(), pafs).any(-1))
    np.testing.assert_allclose(arrows.mean(0), [cell_to_px(6, 8), cell_to_px(8, 8)], atol=1.5)


def test_stripes_only_where_ignored():
    image = np.full((96, 128, 3), 100, np.uint8)
    ignore = torch.zeros(12, 16, dtype=torch.bool)
    assert (hatch(image, ignore) == image).all()
    ignore[2:6, 3:9] = True
    out = hatch(image, ignore)
    different = (out != image).any(-1)
    assert different[16:48, 24:72].all()
    assert not different[:14].any() and not different[50:].any()


def test_one_map_and_tiny_pictures():
    assert map_overlay(picture(), np.eye(12)).max() > 200
    tiny = np.zeros((20, 20, 3), np.uint8)
    assert (add_legend(tiny) == tiny).all()
