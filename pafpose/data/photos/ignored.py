"""Which people are drawn or ignored, and which field cells the loss ignores.

Cell (i, j) of a field with stride s is ignored when the input pixel x = s*j + s//2, y = s*i + s//2 is. That
pixel has the value of the nearest photo pixel, so masks are not warped: the few pixels that matter are looked
up in the masks of the photo.

The region of a person without a segmentation is the box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose import geometry
from pafpose.data.annotations.index import PoseIndex, count_labelled
from pafpose.data.masks import box_mask, decode_union
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings


class PersonFlags(NamedTuple):
    """How the targets and the loss treat each of the M people of an index."""

    drawn: np.ndarray  # (M,) bool: has targets
    ignored: np.ndarray  # (M,) bool: the loss ignores the region
    protected: (
        np.ndarray
    )  # (M,) bool: drawn and not ignored, so the region may stay counted beneath ignored ones


def flag_people(index: PoseIndex, skeleton: Skeleton, mask: MaskSettings) -> PersonFlags:
    """Apply ``mask.crowd``, ``mask.unlabelled_people`` and ``mask.small_people`` to every person.

    Crowds are never drawn. A person is small with fewer than ``min_keypoints`` labelled keypoints, or an area
    below ``min_area``.
    """
    labelled = count_labelled(index, skeleton.scored, occluded=mask.occluded_keypoints)
    person = ~index.crowd
    known = person & (labelled > 0)
    small = known & ((labelled < mask.min_keypoints) | (index.areas < mask.min_area))
    drawn, ignored = known.copy(), np.zeros_like(known)
    if mask.crowd:
        ignored |= index.crowd
    if mask.unlabelled_people:
        ignored |= person & (labelled == 0)
    if mask.small_people != "target":
        ignored |= small
    if mask.small_people == "ignore":
        drawn &= ~small
    return PersonFlags(drawn, ignored, drawn & ~ignored)


def ignored_cells(
    index: PoseIndex,
    photo: int,
    *,
    flags: PersonFlags,
    mask: MaskSettings,
    matrix: np.ndarray,
    cells: tuple[int, int],
    stride: int,
) -> np.ndarray:
    """Return (h, w) bool: the cells that the loss ignores; ``matrix`` maps the photo to the input."""
    people = index.people(photo)
    if not mask.outside_image and not flags.ignored[people].any():
        return np.zeros(cells, bool)
    region = _region(index, photo, flags.ignored, mask)
    if mask.protect_labelled and region.any():
        region &= ~_region(index, photo, flags.protected, mask)
    x, y = _photo_pixels(geometry.invert(matrix), cells, stride)
    height, width = index.size(photo)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    out = np.full(cells, mask.outside_image)
    out[inside] = region[y[inside], x[inside]]
    return out


def _region(index: PoseIndex, photo: int, chosen: np.ndarray, mask: MaskSettings) -> np.ndarray:
    """Return (H, W) bool: the photo pixels in the region of any of the ``chosen`` (M,) people."""
    people, size = index.people(photo), index.size(photo)
    rows = np.flatnonzero(chosen[people]) + people.start
    masks = {m: index.mask(m) for m in rows.tolist() if mask.region == "segmentation"}
    region = decode_union([rle for rle in masks.values() if rle], size)
    for m in rows.tolist():
        if not masks.get(m):
            region |= box_mask(index.boxes[m], np.arange(size[1]), np.arange(size[0]))
    return region


def _photo_pixels(back: np.ndarray, cells: tuple[int, int], stride: int) -> np.ndarray:
    """Return (2, h, w) column and row of the photo pixel of each cell; ``back`` maps input to photo."""
    v, u = (geometry.cell_to_mask_px(np.arange(count), stride) for count in cells)
    points = geometry.transform_points(back, np.stack(np.meshgrid(u, v), -1))
    return np.moveaxis(np.floor(points + 0.5).astype(np.int64), -1, 0)
