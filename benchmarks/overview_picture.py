"""Draw README's picture: ``python -m benchmarks.overview_picture RUN PHOTO docs/images/overview.jpg``.

It shows a photo, the heatmaps and PAFs that the network of a run predicts for it, and the decoded people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import pafpose
from benchmarks.picture_command import draw_from_command_line
from pafpose.data.photos.images import evaluation_input, load_image
from pafpose.geometry import transform_points
from pafpose.viz import Panel
from pafpose.viz.draw import draw_people, enlarge
from pafpose.viz.fields import heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import tile

ENLARGE = 1.5


def overview(run: Path, photo: Path) -> np.ndarray:
    """Return the four panels side by side, RGB."""
    trained = pafpose.load(run).trained
    settings = trained.settings
    image, _, valid = evaluation_input(
        load_image(photo), input_size=settings.input_size, fit=settings.fit, stride=trained.stride
    )
    heatmaps, pafs = trained.predict_fields(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert heatmaps is not None and pafs is not None  # the last stage has both
    people = trained.decoder.decode_batch(heatmaps, pafs, torch.tensor([valid]))[0]
    big, matrix = enlarge(image, ENLARGE)
    keypoints = people.keypoints.cpu().numpy()
    keypoints[..., :2] = transform_points(matrix, keypoints[..., :2])
    panels = [
        Panel("photo", big),
        Panel("heatmaps: one per keypoint", heatmaps_overlay(big, heatmaps[0], trained.skeleton)),
        Panel("part affinity fields: one per limb", pafs_overlay(big, pafs[0], smooth=True)),
        Panel("people", draw_people(big, keypoints, trained.skeleton)),
    ]
    return tile(panels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the picture."""
    draw_from_command_line(overview, __doc__, arguments)


if __name__ == "__main__":
    main()
