"""One photo's training panels: the truth above, what the network says below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pafpose.fields import Fields, People, Targets
from pafpose.geometry import pad_to_multiple
from pafpose.skeleton import Skeleton
from pafpose.viz.draw import draw_people, enlarge, enlarge_points
from pafpose.viz.fields import hatch, heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import Panel, tile

if TYPE_CHECKING:
    from pafpose.data.records import Batch
    from pafpose.module import PoseModule

SIDE = 400  # px, the long side of every panel


@torch.no_grad()
def batch_panels(module: PoseModule, batch: Batch) -> list[np.ndarray]:
    """One RGB picture per photo of a batch; runs the network in evaluation mode, without gradients."""
    training = module.network.training
    module.network.eval()
    predicted = module.predict_fields(batch.image)
    module.network.train(training)
    assert predicted.heatmaps is not None and predicted.pafs is not None
    size = (int(batch.image.shape[-2]), int(batch.image.shape[-1]))
    targets = module.targets(batch.keypoints, size, batch.boxes, batch.ignore)
    found = module.decoder.decode_batch(predicted.heatmaps, predicted.pafs, batch.valid)
    return [
        tile(_photo_panels(module, batch, n, targets=targets, predicted=predicted, found=found[n]), columns=3)
        for n in range(len(batch.image))
    ]


def training_panels(
    image: Tensor,
    targets: Targets,
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
    assert predicted.heatmaps is not None and predicted.pafs is not None
    return [
        Panel("labelled", draw_people(ground, labelled, skeleton)),
        Panel("target heatmaps", heatmaps_overlay(picture, targets.heatmaps, skeleton)),
        Panel("target PAFs", pafs_overlay(picture, targets.pafs)),
        Panel("found", draw_people(picture, people, skeleton, scores=found.scores)),
        Panel("predicted heatmaps", heatmaps_overlay(picture, predicted.heatmaps, skeleton)),
        Panel("predicted PAFs", pafs_overlay(picture, predicted.pafs)),
    ]


def _photo_panels(
    module: PoseModule, batch: Batch, n: int, *, targets: Targets, predicted: Fields, found: People
) -> list[Panel]:
    """The panels of photo ``n``, cut to the cells that hold the photo."""
    stride = batch.image.shape[-1] // targets.pafs.shape[-1]
    height, width = (pad_to_multiple(int(side), stride) for side in batch.valid[n])
    cells = (n, ..., slice(height // stride), slice(width // stride))
    assert predicted.heatmaps is not None and predicted.pafs is not None
    return training_panels(
        batch.image[n, :, :height, :width],
        Targets(*(targets[i][cells] if i < 2 else targets[i][n] for i in range(4))),
        Fields(predicted.heatmaps[cells], predicted.pafs[cells]),
        truth=batch.keypoints[n],
        found=found,
        skeleton=module.skeleton,
        ignore=batch.ignore[cells],
    )
