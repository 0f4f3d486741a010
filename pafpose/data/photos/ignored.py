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
from pafpose.data.masks import decode_union, in_box
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

    Crowds are never drawn. A person is small with fewer than ``min_keypoints`` labelled keypoints or an
    area below ``min_area``.
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
    if not mask.outside_image and not flags.ignored[index.people(photo)].any():
        return np.zeros(cells, bool)
    x, y = _photo_pixels(geometry.invert(matrix), cells, stride)
    height, width = index.size(photo)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside], y[inside]
    ignored = _in_regions(index, photo, flags.ignored, mask, x=x, y=y)
    if mask.protect_labelled and ignored.any():
        ignored &= ~_in_regions(index, photo, flags.protected, mask, x=x, y=y)
    out = np.full(cells, mask.outside_image)
    out[inside] = ignored
    return out


def _in_regions(
    index: PoseIndex, photo: int, chosen: np.ndarray, mask: MaskSettings, *, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return which photo pixels ``x, y`` (n,) are in the region of any of the ``chosen`` (M,) people."""
    people = index.people(photo)
    rows = (np.flatnonzero(chosen[people]) + people.start).tolist()
    masks = {m: index.mask(m) if mask.region == "segmentation" else b"" for m in rows}
    rles = [rle for rle in masks.values() if rle]
    out = decode_union(rles, index.size(photo))[y, x] if rles else np.zeros(len(x), bool)
    for m in rows:
        if not masks[m]:
            out |= in_box(index.boxes[m], x, y)
    return out


def _photo_pixels(back: np.ndarray, cells: tuple[int, int], stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row (h, w) of the photo pixel of each cell; ``back`` maps input to photo."""
    v, u = (geometry.cell_to_mask_px(np.arange(count), stride) for count in cells)
    points = geometry.transform_points(back, np.stack(np.broadcast_arrays(u, v[:, None]), -1))
    x, y = np.floor(points + 0.5).astype(np.int64).transpose(2, 0, 1)
    return x, y
