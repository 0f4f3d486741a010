"""Boxes and areas of people: those of the file, and what replaces them where they cannot be right."""

from __future__ import annotations

from typing import Any

import numpy as np

from pafpose.data.annotations.faults import Note
from pafpose.geometry import box_from_corner_frame

Json = dict[str, Any]

AREA_SHARES = (
    0.02,
    4.0,
)  # of the box: the least and the largest believable area; COCO's people have 0.1 to 1
_MOST = 0.8  # of the boxes of a file: how many must fit no worse as corners
_BETTER = 0.1  # by how much their overlap with the keypoints must grow on average


def read_boxes(people: list[Json], keypoints: np.ndarray, sizes: np.ndarray, notes: list[Note]) -> np.ndarray:
    """Return the boxes (M, 4) in our frame; those of the labelled keypoints replace missing ones.

    ``sizes`` (M, 2) are the height and width of each person's photo. What is replaced, and boxes that look
    like two corners, go to ``notes``.
    """
    boxes = np.array([person.get("bbox") or [0, 0, 0, 0] for person in people], float).reshape(-1, 4)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    if count := int(look_like_corners(boxes, keypoints).sum()):
        notes.append(
            Note(
                "corner_boxes",
                f"{count} of {len(boxes)} boxes look like x1, y1, x2, y2; bbox is x, y, width, height, or "
                "crops will be off centre",
            )
        )
    # still in the file's frame, in which a photo reaches from 0 to its size
    labelled, sides = (keypoints[..., 2] > 0).any(-1), boxes[:, 2:]
    beyond = (boxes[:, :2] + sides <= 0).any(-1) | (boxes[:, :2] >= sizes[:, ::-1]).any(-1)
    replaced = labelled & (sides > 0).any(-1) & beyond
    if replaced.any():
        notes.append(
            Note(
                "box_outside_photo",
                f"{replaced.sum()} boxes lie outside their photos (the first is that of annotation "
                f"{people[int(replaced.argmax())]['id']}); the boxes of the keypoints replace them",
            )
        )
    missing = (sides <= 0).all(-1) | beyond
    boxes = box_from_corner_frame(boxes)
    for m in np.flatnonzero(labelled & missing):
        xy = keypoints[m, keypoints[m, :, 2] > 0, :2]
        boxes[m] = *xy.min(0), *np.ptp(xy, axis=0)
    return boxes


def look_like_corners(boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return (M,) whose boxes (M, 4) fit better as x1, y1, x2, y2; nobody's unless a whole file does.

    A box fits as well as it overlaps that of the three or more labelled keypoints (M, K, 3).
    """
    labelled = keypoints[..., 2] > 0
    judged = np.flatnonzero((labelled.sum(-1) >= 3) & (boxes[:, 2:] > 0).all(-1))
    found = np.zeros(len(boxes), bool)
    if not len(judged):
        return found
    points = np.where(labelled[judged, :, None], keypoints[judged, :, :2], np.nan)
    low, high = np.nanmin(points, 1), np.nanmax(points, 1)
    start, end = boxes[judged, :2], boxes[judged, 2:]
    better = _overlap(low, high, start, end) - _overlap(low, high, start, start + end)
    if (better >= 0).mean() >= _MOST and better.mean() > _BETTER:
        found[judged] = better >= 0
    return found


def _overlap(low: np.ndarray, high: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return (M,): intersection over union of two boxes, given by their corners (M, 2)."""
    shared = np.maximum(np.minimum(high, end) - np.maximum(low, start), 0).prod(-1)
    both = np.maximum(high - low, 0).prod(-1) + np.maximum(end - start, 0).prod(-1) - shared
    return shared / np.maximum(both, 1e-9)


def read_areas(
    people: list[Json], boxes: np.ndarray, labelled: np.ndarray, box_area: float, notes: list[Note]
) -> np.ndarray:
    """Return the areas (M,) of the file; without one, or with one that cannot be right, a share of the box.

    Only areas of ``labelled`` (M,) people who are no crowd are doubted: the others do not count.
    """
    given = np.array([person["area"] for person in people], float)
    of_box = boxes[:, 2] * boxes[:, 3]
    crowd = np.array([bool(person.get("iscrowd")) for person in people], bool)
    low, high = AREA_SHARES
    fits = (given >= low * of_box) & (given <= high * of_box)
    believable = (given > 0) & (fits | ~np.array(["bbox" in person for person in people], bool))
    absurd = np.isfinite(given) & ~believable & labelled & ~crowd & (of_box > 0)
    if absurd.any():
        first = int(absurd.argmax())
        notes.append(
            Note(
                "odd_area",
                f"{absurd.sum()} areas do not fit their boxes (the first: {given[first]:g} px^2, of "
                f"annotation {people[first]['id']} in a box of {boxes[first, 2]:g} x {boxes[first, 3]:g}); "
                f"{box_area:g} times the area of the box replaces them",
            )
        )
    return np.where(np.isfinite(given) & ~absurd, given, box_area * of_box)
