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
    if not len(ignored) and not mask.outside_image:
        return np.zeros(cells, bool)
    x, y, inside = photo_pixels(matrix, cells, stride=stride, size=index.size(photo))
    out = np.zeros(cells, bool)
    if len(ignored):
        out = union_mask(index, photo, ignored, region=mask.region)[y, x].astype(bool) & inside
    protected = np.flatnonzero(roles.protected[people]) + people.start
    if mask.protect_labelled and len(protected) and out.any():
        out &= union_mask(index, photo, protected, region=mask.region)[y, x] == 0
    return out | ~inside if mask.outside_image else out


def photo_pixels(
    matrix: np.ndarray, cells: tuple[int, int], *, stride: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each cell the photo pixel under it: column and row (clipped to the photo), and whether inside."""
    back = geometry.invert(matrix)
    u = stride * np.arange(cells[1]) + stride // 2
    v = (stride * np.arange(cells[0]) + stride // 2)[:, None]
    x = np.floor(back[0, 0] * u + back[0, 1] * v + back[0, 2] + 0.5)
    y = np.floor(back[1, 0] * u + back[1, 1] * v + back[1, 2] + 0.5)
    height, width = size
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.clip(x, 0, width - 1).astype(np.intp), np.clip(y, 0, height - 1).astype(np.intp), inside


def union_mask(index: PoseIndex, photo: int, people: np.ndarray, *, region: str) -> np.ndarray:
    """(height, width) uint8: 1 inside the region of any of the people; without a segmentation, its box."""
    from pycocotools import mask as coco

    height, width = index.size(photo)
    shapes: list[dict] = []
    boxes: list[np.ndarray] = []
    polygons: list[np.ndarray] = []
    for person in people:
        own = index.person_polygons(person) if region == "segmentation" else []
        if region == "segmentation" and len(index.rle[person]):
            shapes.append({"size": [height, width], "counts": index.rle[person].tobytes()})
        elif own:
            polygons += own
        else:
            boxes.append(index.boxes[person])
    if polygons:
        shapes += coco.frPyObjects(polygons, height, width)
    if shapes:
        out = coco.decode(coco.merge(shapes) if len(shapes) > 1 else shapes[0])
    else:
        out = np.zeros((height, width), np.uint8)
    for box in boxes:
        _fill_box(out, box)
    return out


def _fill_box(out: np.ndarray, box: np.ndarray) -> None:
    """Pixels whose centre lies in the box; box edges count from the corner of the first pixel."""
    low = np.maximum(np.ceil(box[:2] - 0.5), 0).astype(int)
    high = np.maximum(np.ceil(box[:2] + box[2:] - 0.5), 0).astype(int)
    out[low[1] : high[1], low[0] : high[0]] = 1
