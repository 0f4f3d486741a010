"""Who is drawn, who is ignored, and which field cells the loss leaves out.

Cell (i, j) of a field with stride s is ignored when the input pixel x = s*j + s//2, y = s*i + s//2 is; that
pixel takes the value of the photo pixel nearest to where it came from. So masks are never warped: the few
pixels that matter are looked up in the photo's own mask.

Without a segmentation the region is the box. A pixel is in a box when its centre is; box edges, as polygons,
count from the corner of the first pixel, as in COCO's own mask code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose import geometry
from pafpose.data.annotations.index import PoseIndex, Ragged, count_labelled
from pafpose.data.photos.run_lengths import Regions, ignored_pixels, pixels_under_cells
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings


class Roles(NamedTuple):
    """What each of the M people of an index is to the loss."""

    drawn: np.ndarray  # (M,) bool: has targets
    ignored: np.ndarray  # (M,) bool: its region does not count
    protected: np.ndarray  # (M,) bool: drawn and not ignored


def assign_roles(index: PoseIndex, skeleton: Skeleton, mask: MaskSettings) -> Roles:
    """Apply ``mask.crowd``, ``unlabelled_people`` and ``small_people`` to every person.

    Crowds are never drawn. Small: fewer than ``min_keypoints`` labelled, or an area under ``min_area``.
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
    return Roles(drawn, ignored, drawn & ~ignored)


def ignored_cells(
    index: PoseIndex,
    photo: int,
    *,
    roles: Roles,
    mask: MaskSettings,
    matrix: np.ndarray,
    cells: tuple[int, int],
    stride: int,
) -> np.ndarray:
    """(h, w) bool: cells that the loss leaves out, for a photo moved by ``matrix`` (photo -> input)."""
    people = index.people(photo)
    ignored = roles.ignored[people]
    if not mask.outside_image and not ignored.any():
        return np.zeros(cells, bool)
    masks = _masks(index, photo, people) if mask.region == "segmentation" else _no_masks(len(ignored))
    protected = roles.protected[people] if mask.protect_labelled else np.zeros_like(ignored)
    regions = Regions(index.boxes[people], masks.values, masks.first, ignored, protected)
    size = index.size(photo)
    pixels = pixels_under_cells(geometry.invert(matrix), cells, stride, size)
    return ignored_pixels(pixels, size[0], regions, mask.outside_image).reshape(cells)


def _masks(index: PoseIndex, photo: int, people: slice) -> Ragged:
    """The compressed run lengths of the people of a photo; an empty row where there are none."""
    if len(index.polygons.first) == 1:  # all packed: no polygons
        return Ragged(index.rle.values, index.rle.first[people.start : people.stop + 1])
    rows = [segmentation(index, photo, person) for person in range(people.start, people.stop)]
    return Ragged.of([_NOTHING if row is None else row for row in rows], np.uint8)


def _no_masks(people: int) -> Ragged:
    return Ragged(_NOTHING, np.zeros(people + 1, np.int64))


_NOTHING = np.zeros(0, np.uint8)


def segmentation(index: PoseIndex, photo: int, person: int) -> np.ndarray | None:
    """The mask of a person as COCO's compressed run lengths (bytes); None where the file gives none."""
    if len(index.rle[person]):
        return index.rle[person]
    polygons = index.person_polygons(person)
    return pack_polygons(polygons, index.size(photo)) if polygons else None


def pack_polygons(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The union of polygons ``x0, y0, x1, ...`` in a photo of (height, width), as compressed run lengths."""
    from pycocotools import mask as coco

    return np.frombuffer(coco.merge(coco.frPyObjects(polygons, *size))["counts"], np.uint8)
