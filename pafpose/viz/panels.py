"""Panels of one photo for training: labels and targets above, what the network predicts below."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pafpose.fields import Fields, Poses
from pafpose.geometry import transform_keypoints
from pafpose.skeleton import Skeleton
from pafpose.viz.draw import as_numpy, draw_people, enlarge
from pafpose.viz.fields import hatch, heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import Panel

SIDE = 400  # px, the long side of every panel


def training_panels(
    image: Tensor,
    targets: Fields,
    predicted: Fields,
    *,
    truth: Tensor,
    found: Poses,
    skeleton: Skeleton,
    ignore: Tensor | None = None,
) -> list[Panel]:
    """Draw labelled people, target heatmaps and PAFs, then found people, predicted heatmaps and PAFs.

    ``image`` is (3, H, W) uint8. The fields (C, h, w) are of that photo, without a batch. ``truth`` (P, K, 3)
    and ``found`` are in pixels of the image. Cells of ``ignore`` (h, w), where the loss does not count, are
    hatched.
    """
    picture = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    picture, matrix = enlarge(picture, SIDE / max(picture.shape[:2]))
    labelled, people = (transform_keypoints(matrix, as_numpy(k)) for k in (truth, found.keypoints))
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
