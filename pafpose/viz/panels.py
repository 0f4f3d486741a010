"""One photo's training panels: the truth above, what the network says below."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pafpose.fields import Fields, People
from pafpose.skeleton import Skeleton
from pafpose.viz.draw import draw_people, enlarge, enlarge_points
from pafpose.viz.fields import hatch, heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import Panel

SIDE = 400  # px, the long side of every panel


def training_panels(
    image: Tensor,
    targets: Fields,
    predicted: Fields,
    *,
    truth: Tensor,
    found: People,
    skeleton: Skeleton,
    ignore: Tensor | None = None,
) -> list[Panel]:
    """Labelled people, target heatmaps, target PAFs; found people, predicted heatmaps, predicted PAFs.

    ``image`` (3, H, W) uint8; fields (C, h, w) of that photo, no batch; ``truth`` (P, K, 3) and ``found``
    in input pixels; ``ignore`` (h, w), where the loss does not count, is hatched.
    """
    picture = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    factor = SIDE / max(picture.shape[:2])
    picture = enlarge(picture, factor)
    labelled, people = (
        enlarge_points(k.detach().float().cpu().numpy(), factor) for k in (truth, found.keypoints)
    )
    ground = picture if ignore is None else hatch(picture, ignore)
    assert targets.heatmaps is not None and targets.pafs is not None
    assert predicted.heatmaps is not None and predicted.pafs is not None
    return [
        Panel("labelled", draw_people(ground, labelled, skeleton)),
        Panel("target heatmaps", heatmaps_overlay(picture, targets.heatmaps, skeleton)),
        Panel("target PAFs", pafs_overlay(picture, targets.pafs)),
        Panel("found", draw_people(picture, people, skeleton, scores=found.scores)),
        Panel("predicted heatmaps", heatmaps_overlay(picture, predicted.heatmaps, skeleton)),
        Panel("predicted PAFs", pafs_overlay(picture, predicted.pafs)),
    ]
