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
    out = np.zeros(cells, bool)
    if not len(ignored) and not mask.outside_image:
        return out
    x, y, inside = photo_pixels(matrix, cells, stride=stride, size=index.size(photo))
    if len(ignored):
        out[inside] = in_regions(index, photo, ignored, x=x[inside], y=y[inside], region=mask.region)
    protected = np.flatnonzero(roles.protected[people]) + people.start
    if mask.protect_labelled and len(protected) and out.any():
        out[out] = ~in_regions(index, photo, protected, x=x[out], y=y[out], region=mask.region)
    return out | ~inside if mask.outside_image else out


def photo_pixels(
    matrix: np.ndarray, cells: tuple[int, int], *, stride: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each cell (h, w): column and row of the photo pixel under it, and whether the photo has it."""
    back = geometry.invert(matrix)
    u = stride * np.arange(cells[1]) + stride // 2
    v = (stride * np.arange(cells[0]) + stride // 2)[:, None]
    x = np.floor(back[0, 0] * u + back[0, 1] * v + (back[0, 2] + 0.5)).astype(np.int64)
    y = np.floor(back[1, 0] * u + back[1, 1] * v + (back[1, 2] + 0.5)).astype(np.int64)
    height, width = size
    return x, y, (x >= 0) & (x < width) & (y >= 0) & (y < height)


def in_regions(
    index: PoseIndex, photo: int, people: np.ndarray, *, x: np.ndarray, y: np.ndarray, region: str
) -> np.ndarray:
    """Whether photo pixels (x, y) lie in the region of any of the people; no segmentation: in the box.

    A pixel is in a box when its centre is; box edges, like polygons, count from the corner of the first
    pixel, as in COCO's own mask code.
    """
    shapes, boxes = _shapes(index, photo, people, region=region)
    out = np.zeros(x.shape, bool)
    for left, top, width, height in boxes:
        cx, cy = x + 0.5 - left, y + 0.5 - top
        out |= (cx >= 0) & (cx < width) & (cy >= 0) & (cy < height)
    for ends in shapes:  # masks run down the columns; odd runs are inside
        out |= (np.searchsorted(ends, x * index.size(photo)[0] + y, side="right") & 1).astype(bool)
    return out


def _shapes(
    index: PoseIndex, photo: int, people: np.ndarray, *, region: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Ends of the runs of the people's masks, and the boxes of those without one."""
    from pycocotools import mask as coco

    height, width = index.size(photo)
    shapes: list[bytes] = []
    boxes: list[np.ndarray] = []
    polygons: list[np.ndarray] = []
    for person in people:
        own = index.person_polygons(person) if region == "segmentation" else []
        if region == "segmentation" and len(index.rle[person]):
            shapes.append(index.rle[person].tobytes())
        elif own:
            polygons += own
        else:
            boxes.append(index.boxes[person])
    if polygons:
        shapes.append(coco.merge(coco.frPyObjects(polygons, height, width))["counts"])
    return [run_ends(counts) for counts in shapes], boxes


def run_ends(counts: bytes) -> np.ndarray:
    """Ends of the alternating runs of a compressed mask; run 0 is outside.

    COCO's format: numbers of 5-bit digits, lowest first, plus 48; bit 5 says that more follow, bit 4 of the
    last is the sign; from the fourth number on, each is the difference to the one two before.

    >>> run_ends(b"52203").tolist()
    [5, 7, 9, 11, 16]
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(digits < 32)
    first = np.concatenate([[0], last[:-1] + 1])
    place = 5 * (np.arange(len(digits)) - np.repeat(first, last - first + 1))
    values = np.add.reduceat((digits & 31) << place, first)
    values -= ((digits[last] & 16) != 0) * (np.int64(1) << (place[last] + 5))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return np.cumsum(values)
