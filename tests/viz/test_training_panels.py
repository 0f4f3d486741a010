"""Training panels of one photo: six pictures, labels and targets above, predictions below."""

from __future__ import annotations

import torch

from pafpose.fields import Fields, Poses
from pafpose.geometry import resize, transform_points
from pafpose.viz.panels import SIDE, training_panels

TITLES = ["labelled", "target heatmaps", "target PAFs", "found", "predicted heatmaps", "predicted PAFs"]


def test_six_panels_show_what_their_titles_say(coco18):
    size = (64, 90)  # enlarged to a height that is rounded
    truth, found = torch.zeros(1, 18, 3), torch.zeros(1, 18, 3)
    truth[0, 0] = torch.tensor([30.0, 20.0, 2.0])
    found[0, 0] = torch.tensor([60.0, 40.0, 0.9])
    heatmaps, pafs = torch.zeros(2, 19, 8, 12), torch.zeros(2, 38, 8, 12)
    heatmaps[0, 0, 2, 3], heatmaps[1, 0, 5, 7] = 1, 1
    pafs[0, 0, 2, 3], pafs[1, 0, 5, 7] = 1, 1
    ignore = torch.zeros(8, 12, dtype=torch.bool)
    ignore[:, 9:] = True
    panels = training_panels(
        torch.full((3, *size), 128, dtype=torch.uint8),
        Fields(heatmaps[0], pafs[0]),
        Fields(heatmaps[1], pafs[1]),
        truth=truth,
        found=Poses(found, torch.tensor([0.5])),
        skeleton=coco18,
        ignore=ignore,
    )
    assert [panel.title for panel in panels] == TITLES
    images = {panel.title: panel.image for panel in panels}
    assert {image.shape for image in images.values()} == {(round(64 * SIDE / 90), SIDE, 3)}

    def pixel(panel: str, x: float, y: float) -> tuple[int, ...]:
        height, width = images[panel].shape[:2]
        column, row = transform_points(resize(width / 90, height / 64), (x, y)).round().astype(int)
        return tuple(images[panel][row, column].tolist())

    plain = (128, 128, 128)
    assert pixel("labelled", 30, 20) != plain == pixel("labelled", 60, 40)
    assert pixel("found", 60, 40) != plain == pixel("found", 30, 20)
    assert (images["labelled"][5, -60:] != 128).any() and (images["found"][5, -60:] == 128).all()
    for kind in ("heatmaps", "PAFs"):
        shown = {
            panel: images[f"{panel} {kind}"][:300, :300].astype(int) for panel in ("target", "predicted")
        }
        column, row = int(3.5 * SIDE / 12), int(2.5 * 284 / 8)
        assert shown["target"][row, column].max() > shown["predicted"][row, column].max() + 50
        column, row = int(7.5 * SIDE / 12), int(5.5 * 284 / 8)
        assert shown["predicted"][row, column].max() > shown["target"][row, column].max() + 50
