"""Training panels of one photo: six pictures, truth above prediction."""

from __future__ import annotations

import torch

from pafpose.fields import Fields, People
from pafpose.viz.panels import SIDE, training_panels


def test_six_panels_of_one_size(coco18):
    keypoints = torch.rand(2, 18, 3) * 60 + 1
    heatmaps, pafs = torch.rand(19, 8, 10), torch.rand(38, 8, 10)
    panels = training_panels(
        torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8),
        Fields(heatmaps, pafs),
        Fields(heatmaps, pafs),
        truth=keypoints,
        found=People(keypoints, torch.tensor([0.5, 0.4])),
        skeleton=coco18,
        ignore=torch.ones(8, 10, dtype=torch.bool),
    )
    assert [p.title.split()[0] for p in panels] == [
        "labelled",
        "target",
        "target",
        "found",
        "predicted",
        "predicted",
    ]
    assert {p.image.shape for p in panels} == {(SIDE * 64 // 80, SIDE, 3)}
    assert (panels[1].image == panels[4].image).all() and (panels[2].image == panels[5].image).all()
    assert (panels[0].image != panels[3].image).any()  # hatched
