"""Who is drawn, who is ignored, and which field cells the loss leaves out.

Cell (i, j) of a field with stride s is ignored when the input pixel x = s*j + s//2, y = s*i + s//2 is; that
pixel takes the value of the photo pixel nearest to where it came from. So masks are never warped: the few
pixels that matter are looked up in the photo's own mask.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose import geometry
from pafpose.data.index import PoseIndex, count_labelled
from pafpose.data.runs import mark_box, mark_runs, pixels_under_cells, run_ends
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings


class Roles(NamedTuple):
    """What each of the M people of an index is to the loss."""

    drawn: np.ndarray  # (M,) bool: has targets
    ignored: np.ndarray  # (M,) bool: its region does not count

    @property
    def protected(self) -> np.ndarray:
        """(M,) bool: drawn and not ignored itself."""
        return self.drawn & ~self.ignored


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
    return Roles(drawn, ignored)


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
    ignored = np.flatnonzero(roles.ignored[people]) + people.start
    if not len(ignored) and not mask.outside_image:
        return np.zeros(cells, bool)
    pixels = pixels_under_cells(geometry.invert(matrix), cells, stride, index.size(photo))
    out = in_regions(index, photo, ignored, pixels=pixels, region=mask.region)
    protected = np.flatnonzero(roles.protected[people]) + people.start
    if mask.protect_labelled and len(protected) and out.any():
        out[out] = ~in_regions(index, photo, protected, pixels=pixels[out], region=mask.region)
    if mask.outside_image:
        out |= pixels < 0
    return out.reshape(cells)


def in_regions(
    index: PoseIndex, photo: int, people: np.ndarray, *, pixels: np.ndarray, region: str
) -> np.ndarray:
    """Whether pixels of a photo, numbered ``x * height + y``, lie in the region of any of the people.

    Without a segmentation the region is the box. A pixel is in a box when its centre is; box edges, like
    polygons, count from the corner of the first pixel, as in COCO's own mask code. -1 lies in no region.
    """
    height = index.size(photo)[0]
    out = np.zeros(pixels.shape, bool)
    for person in people:
        counts = segmentation(index, photo, int(person)) if region == "segmentation" else None
        if counts is None:
            mark_box(pixels, height, index.boxes[person], out)
        else:
            mark_runs(pixels, height, run_ends(counts), out)
    out[pixels < 0] = False
    return out


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
