"""The benchmark of targets: its candidates draw the same, its tables have all rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.targets import (
    SIDE,
    default_builder,
    plain_targets,
    random_people,
    sizes_table,
    targets_table,
)


def test_candidates_draw_the_same(coco18, rng):
    keypoints = random_people(rng, 5, coco18)
    heat, pafs = plain_targets(keypoints, coco18, stride=8)
    for kernel in ("numba", "torch"):
        fields = default_builder(coco18, 8, kernel)(torch.from_numpy(keypoints)[None], (SIDE, SIDE))
        assert np.abs(fields.heatmaps[0].numpy() - heat).max() < 1e-5
        assert np.abs(fields.pafs[0].numpy() - pafs).max() < 1e-5


@pytest.mark.slow
def test_table(coco18, coco_mini):
    rows = targets_table(coco18, coco_mini, rounds=1)
    assert [row["people"] for row in rows] == ["real", "10", "50", "200"]
    assert all(row["numba_x"] > 5 for row in rows)


@pytest.mark.slow
def test_the_same_people_are_drawn_in_larger_photos(coco18):
    small, _, large = sizes_table(coco18)
    assert large["cells"] == 9 * small["cells"]
    assert small["numba_ms"] > 0 and large["numba_ms"] > 0  # how they compare is the benchmark's to say
