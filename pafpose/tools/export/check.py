"""Does an exported network compute what torch computes, and does it find the same people?"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.people import People
from pafpose.inference.predictor import Predictor
from pafpose.skeleton import Skeleton
from pafpose.synthetic.picture import FigureSampler, draw_picture
from pafpose.synthetic.settings import SyntheticSettings

log = logging.getLogger(__name__)

BATCHES = (1, 2)
CELLS = ((16, 24), (21, 13))  # rows and columns; the second size is odd at every stride
FIELDS = {False: 1e-4, True: 1e-2}  # largest error of a field, by fp16; relative where fields exceed 1
PIXELS = {False: 0.1, True: 1.0}  # how far a keypoint of the same person may be off, in px of the photo
SCORES = {False: 1e-3, True: 1e-2}  # by how much the person's score may differ
FAINT = {False: 0.0, True: 0.1}  # people with lower scores may come and go
SHARE = {False: 1.0, True: 0.9}  # of the other people who must be the same


def draw_photos(skeleton: Skeleton, count: int = 3, size: int = 320) -> list[np.ndarray]:
    """Draw pictures of the people, or creatures, that a skeleton is for: square, wide and tall ones."""
    settings, sampler = SyntheticSettings(picture_size=size), FigureSampler.of(skeleton)
    pictures = [draw_picture(settings, sampler, "val", index).image for index in range(count)]
    shapes = ((size, size), (size, size * 3 // 4), (size * 3 // 4, size))
    return [picture[: shapes[n % 3][0], : shapes[n % 3][1]] for n, picture in enumerate(pictures)]


def check_fields(
    trained: TrainedNetwork, written: TrainedNetwork, photos: Sequence[np.ndarray], *, fp16: bool
) -> None:
    """Compare the fields of both networks at two sizes and two batch sizes.

    Raises ``PafposeError`` if one value differs by more than ``FIELDS``.
    """
    errors = []
    for rows, columns in CELLS:
        for batch in BATCHES:
            images = _batch(photos, batch, (rows * trained.stride, columns * trained.stride))
            with torch.no_grad():
                ours, theirs = trained.network(images)[-1], written.network(images)[-1]
            errors.append(_error(ours, theirs))
    worst, limit = max(errors), FIELDS[fp16]
    if worst > limit:
        raise PafposeError(
            f"format=onnx: the fields differ from torch's by {worst:.1e}, above {limit:.0e}"
            + (", because half precision is too coarse for this network; leave fp16=true out" if fp16 else "")
        )
    sizes = " and ".join(f"{c * trained.stride} x {r * trained.stride}" for r, c in CELLS)
    log.info("fields       equal to torch's within %.1e (at most %.0e), at %s px, in batches of %s",
             worst, limit, sizes, " and ".join(map(str, BATCHES)))  # fmt: skip


def check_people(
    trained: TrainedNetwork, written: TrainedNetwork, photos: Sequence[np.ndarray], *, fp16: bool
) -> None:
    """Compare the people that both networks find in photos; raise ``PafposeError`` if they differ."""
    exact = TrainedNetwork(trained.network, trained.config | {"precision": "32-true"})
    ours, theirs, same, total = Predictor(exact), Predictor(written), 0, 0
    for photo in photos:
        both, everybody = count_same(ours(photo), theirs(photo), fp16=fp16)
        same, total = same + both, total + everybody
    if same < SHARE[fp16] * total:
        raise PafposeError(
            f"format=onnx: only {same} of {total} people in {len(photos)} photos are found as by torch; "
            + ("half precision is too coarse, leave fp16=true out" if fp16 else "please report this bug")
        )
    log.info("people       %d of %d in %d photos are found as by torch", same, total, len(photos))


def count_same(known: People, found: People, *, fp16: bool) -> tuple[int, int]:
    """Return how many people are the same in both sets within the tolerances, and how many there are."""
    distance = _distances(known, found)
    pairs = zip(*linear_sum_assignment(np.minimum(distance, 1e6)), strict=True)
    same = [(r, c) for r, c in pairs if distance[r, c] <= PIXELS[fp16]]
    ours, theirs = (people.scores.numpy() for people in (known, found))
    same = [(r, c) for r, c in same if abs(ours[r] - theirs[c]) <= SCORES[fp16]]
    alone = np.r_[np.delete(ours, [r for r, _ in same]), np.delete(theirs, [c for _, c in same])]
    return len(same), len(same) + int((alone >= FAINT[fp16]).sum())


def _distances(known: People, found: People) -> np.ndarray:
    """Return, for all pairs of people, how far apart their keypoints are at most; inf if others are there."""
    a, b = known.keypoints.double().numpy()[:, None], found.keypoints.double().numpy()[None]
    apart = np.hypot(a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]).max(-1, initial=0.0)
    same = ((a[..., 2] > 0) == (b[..., 2] > 0)).all(-1)
    return np.where(same, apart, np.inf)


def _batch(photos: Sequence[np.ndarray], count: int, size: tuple[int, int]) -> Tensor:
    """Return photos (count, 3, H, W) uint8, squeezed to one size."""
    chosen = [photos[n % len(photos)] for n in range(count)]
    resized = [cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA) for photo in chosen]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


def _error(ours: Fields, theirs: Fields) -> float:
    """Return the largest difference, relative to the largest value where that is above 1; inf for NaN."""
    errors = []
    for a, b in zip(ours, theirs, strict=True):
        assert a is not None and b is not None
        error = float((a - b).abs().max() / max(1.0, float(a.abs().max())))
        errors.append(error if math.isfinite(error) else math.inf)
    return max(errors)
