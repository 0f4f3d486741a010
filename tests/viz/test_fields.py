"""Fields over pictures: cells lie where they belong, colours mean directions, stripes cover masks only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose.geometry import cell_to_px, resize, transform_points
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


@pytest.mark.parametrize("smooth", [True, False])
def test_cells_of_a_fractional_size_lie_where_they_belong(smooth):
    """An enlarged picture's sides need not be multiples of the field's; 13 cells over 100 pixels."""
    values = np.zeros((13, 17))
    values[5, 9] = 1
    out = map_overlay(picture(100, 160), values, smooth=smooth).astype(float).sum(-1)
    out = np.where(out > out.min(), out, 0)
    y, x = np.indices(out.shape)
    centre = ((x * out).sum() / out.sum(), (y * out).sum() / out.sum())
    np.testing.assert_allclose(
        centre, transform_points(resize(160 / 17, 100 / 13), (9, 5)), atol=0.1 if smooth else 0.5
    )


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


def test_an_arrow_lies_across_its_cell():
    pafs = np.zeros((38, 12, 16), np.float32)
    pafs[0, 6, 8] = 1  # to the right
    pafs[2, 2, 3] = 0.05  # too short
    rows, columns = np.nonzero(arrows_overlay(picture(480, 640), pafs).any(-1))  # cells of 40 px
    middle = cell_to_px(8, 40)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(cell_to_px(6, 40), abs=0.6)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(middle, abs=3)  # the line is 5 px wide
    assert 36 <= np.ptp(columns) + 1 <= 44
    assert np.ptp(rows[columns > middle]) > np.ptp(rows[columns < middle - 4]) + 10  # the head


def test_stripes_only_where_ignored():
    image = np.full((96, 128, 3), 100, np.uint8)
    ignore = torch.zeros(12, 16, dtype=torch.bool)
    assert (hatch(image, ignore) == image).all()
    ignore[2:6, 3:9] = True
    out = hatch(image, ignore)
    different = (out != image).any(-1)
    assert different[16:48, 24:72].all()
    assert not different[:14].any() and not different[50:].any()
    assert not different[:, :22].any() and not different[:, 74:].any()


def test_one_map_and_tiny_pictures():
    assert map_overlay(picture(), np.eye(12)).max() > 200
    tiny = np.zeros((20, 20, 3), np.uint8)
    assert (add_legend(tiny) == tiny).all()
