"""Pictures of samples and their targets: what the network is shown, and what it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pafpose.data.batch import Sample, collate
from pafpose.fields import Targets
from pafpose.geometry import pad_to_multiple, transform_keypoints
from pafpose.skeleton import Skeleton
from pafpose.targets import TargetBuilder
from pafpose.viz.draw import draw_people, enlarge
from pafpose.viz.fields import arrows_overlay, hatch, heatmaps_overlay, map_overlay, pafs_overlay
from pafpose.viz.sheets import Panel

SIDE = 720  # px, the long side of every picture


@dataclass(frozen=True)
class SampleView:
    """A sample with its targets, without padding, the picture enlarged for drawing."""

    image_id: int
    picture: np.ndarray  # (H, W, 3) RGB uint8
    keypoints: np.ndarray  # (P, K, 3) in pixels of picture
    targets: Targets  # (C, h, w) each, no batch

    def limb_weights(self, limbs: Sequence[int] | None = None) -> Tensor:
        """Return where the channels of some limbs count, (L, h, w); None means all limbs."""
        weights = self.targets.paf_weights.expand_as(self.targets.pafs)[::2]
        return weights if limbs is None else weights[list(limbs)]

    def ignored(self, limbs: Sequence[int] | None = None) -> Tensor:
        """Return the cells (h, w) where none of the limbs' channels counts."""
        return self.limb_weights(limbs).amax(0) == 0


def view_sample(sample: Sample, builder: TargetBuilder) -> SampleView:
    """Draw the targets of a sample; cut them to its photo, and enlarge its picture."""
    batch = collate([sample])
    height, width = batch.image.shape[-2:]
    with torch.no_grad():
        targets = builder(batch.keypoints, (height, width), batch.boxes, batch.ignore)
    stride = height // targets.pafs.shape[-2]
    rows, columns = (pad_to_multiple(int(side), stride) for side in batch.valid[0])
    cells = (0, ..., slice(rows // stride), slice(columns // stride))
    picture = np.ascontiguousarray(batch.image[0, :, :rows, :columns].permute(1, 2, 0).numpy())
    picture, matrix = enlarge(picture, SIDE / max(rows, columns))
    return SampleView(
        image_id=sample.image_id,
        picture=picture,
        keypoints=transform_keypoints(matrix, batch.keypoints[0].numpy()),
        targets=Targets(*(field.expand(1, -1, -1, -1)[cells] for field in targets)),
    )


def sample_panels(
    view: SampleView,
    skeleton: Skeleton,
    *,
    channels: Sequence[int] | None = None,
    limbs: Sequence[int] | None = None,
) -> list[Panel]:
    """Draw one sample: keypoints, mask, heatmaps, PAFs as a colour wheel and as arrows, background."""
    picture, targets = view.picture, view.targets
    panels = [
        Panel("keypoints", draw_people(picture, view.keypoints, skeleton)),
        Panel("hatched: ignored by the loss", hatch(picture, view.ignored(limbs))),
        Panel("heatmaps", heatmaps_overlay(picture, targets.heatmaps, skeleton, channels=channels)),
        Panel("PAFs", pafs_overlay(picture, targets.pafs, limbs=limbs)),
        Panel("PAFs as arrows", arrows_overlay(picture, targets.pafs, limbs=limbs)),
    ]
    if len(targets.heatmaps) > skeleton.num_keypoints:
        panels.append(Panel("background", map_overlay(picture, targets.heatmaps[-1])))
    return panels


def comparison_panels(
    views: dict[str, SampleView],
    group: str,
    skeleton: Skeleton,
    *,
    channels: Sequence[int] | None = None,
    limbs: Sequence[int] | None = None,
) -> list[Panel]:
    """Draw one sample under several choices, by label: a column per choice, row by row.

    The rows show what the config ``group`` is about: heatmap, paf or mask.
    """
    columns: list[list[np.ndarray]] = []
    background = any(len(view.targets.heatmaps) > skeleton.num_keypoints for view in views.values())
    partial = any(_counts_in_part(view, limbs) for view in views.values())
    for view in views.values():
        picture, targets = view.picture, view.targets
        if group == "heatmap":
            column = [heatmaps_overlay(picture, targets.heatmaps, skeleton, channels=channels)]
            if background:  # black in the columns that have no such channel
                column.append(map_overlay(picture, targets.heatmaps[skeleton.num_keypoints :].sum(0)))
        elif group == "paf":
            column = [pafs_overlay(picture, targets.pafs, limbs=limbs)]
            column.append(arrows_overlay(picture, targets.pafs, limbs=limbs))
        else:
            column = [hatch(draw_people(picture, view.keypoints, skeleton), view.ignored(limbs))]
            if partial:
                column.append(map_overlay(picture, view.limb_weights(limbs).mean(0), smooth=False))
        columns.append(column)
    rows = zip(*columns, strict=True)
    return [
        Panel(label if n == 0 else "", image)
        for n, row in enumerate(rows)
        for label, image in zip(views, row, strict=True)
    ]


def _counts_in_part(view: SampleView, limbs: Sequence[int] | None) -> bool:
    """Return whether there are cells in which some limbs count and others do not."""
    weights = view.limb_weights(limbs)
    return bool((weights.amax(0) != weights.amin(0)).any())
