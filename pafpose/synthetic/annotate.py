"""COCO annotations from the map of who owns every pixel: outlines, boxes, areas and visible keypoints."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pafpose.synthetic.canvas import MAX_PARTS, PART_BITS, owner_mask
from pafpose.synthetic.figure import Figure

Annotation = dict[str, Any]

MIN_VISIBLE = 3  # visible keypoints without which a person is not labelled
OUTLINE_TOLERANCE = 0.5  # px by which a simplified outline may leave the pixels'
MIN_SIMPLIFIED = 400  # px^2 of the box from which on outlines are simplified
GUESS_REACH = 0.6  # of the root of the visible area: about the length of a thigh


def annotate_figure(
    figure: Figure,
    owner: int,
    owners: np.ndarray,
    names: tuple[str, ...],
    *,
    errors: np.ndarray,
    labelled: bool,
) -> Annotation | None:
    """Return the annotation of a figure without ids, or None when nothing of it is visible.

    ``owners`` is the canvas' owner map. ``errors`` ``(K,)`` move the annotated positions, in roots of the
    visible area. When not ``labelled``, or with fewer than ``MIN_VISIBLE`` visible keypoints, no keypoint is
    labelled.
    """
    mask = owner_mask(owners, owner)
    polygons = outline(mask)
    if not polygons:
        return None
    area, box = _area_and_box(mask)
    xy = figure.keypoints(names)
    own, parts = figure.own_visibility(names)
    v = visibility(xy, owner, owners, own=own, parts=parts)
    v = unlabel_unguessable(v, xy, own=own, reach=GUESS_REACH * area**0.5)
    if not labelled or (v == 2).sum() < min(MIN_VISIBLE, len(names)):
        v = np.zeros_like(v)
    placed = (xy + errors * area**0.5).round(2).tolist()
    keypoints: list[float] = []
    for point, label in zip(placed, v.tolist(), strict=True):
        keypoints += (point.real, point.imag, label) if label else (0, 0, 0)
    return {
        "segmentation": polygons,
        "area": area,
        "bbox": box,
        "iscrowd": 0,
        "num_keypoints": int((v > 0).sum()),
        "keypoints": keypoints,
        "category_id": 1,
    }


def annotate_crowd(owners: np.ndarray, owner: int, num_keypoints: int) -> Annotation | None:
    """Return the annotation of a crowd without ids: an RLE and no keypoints; None when it is hidden."""
    mask = owner_mask(owners, owner)
    if not mask.any():
        return None
    area, box = _area_and_box(mask)
    return {
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask > 0)},
        "area": area,
        "bbox": box,
        "iscrowd": 1,
        "num_keypoints": 0,
        "keypoints": [0] * (3 * num_keypoints),
        "category_id": 1,
    }


def visibility(
    xy: np.ndarray, owner: int, owners: np.ndarray, *, own: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """Return v ``(K,)`` of an owner's keypoints ``xy`` ``(K,)``: 0 outside, 1 covered, 2 visible.

    ``own`` and ``parts`` are those of :meth:`Figure.own_visibility`. A keypoint is visible when one of the
    nine pixels around it shows one of its parts.
    """
    height, width = owners.shape
    x, y = xy.real, xy.imag
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    rows = np.rint(y).astype(int)[:, None] + _AROUND_Y
    columns = np.rint(x).astype(int)[:, None] + _AROUND_X
    around = owners.ravel()[np.ravel_multi_index((rows, columns), owners.shape, mode="clip")].astype(int)
    shows = (parts[:, None] >> (around % MAX_PARTS)) & 1
    visible = ((around >> PART_BITS == owner) & (shows != 0)).any(-1)
    return np.where(visible, own, np.minimum(own, 1)) * inside


_AROUND_X, _AROUND_Y = (t.ravel() for t in np.meshgrid((-1, 0, 1), (-1, 0, 1)))


def unlabel_unguessable(v: np.ndarray, xy: np.ndarray, *, own: np.ndarray, reach: float) -> np.ndarray:
    """Return v with 0 for covered keypoints that have no visible one of the same figure within ``reach``.

    Annotators place a covered keypoint when its neighbourhood tells where it must be. Keypoints that the
    figure's own body hides (``own`` below 2) stay labelled, and so does a figure of which nothing is visible.
    """
    visible = v == 2
    if not visible.any():
        return v
    distance = abs(xy[:, None] - xy[visible]).min(1)
    return np.where((v == 1) & (own == 2) & (distance > reach), 0, v)


def outline(mask: np.ndarray) -> list[list[float]]:
    """Return polygons x0, y0, x1, ... around the pixels of a mask; as in COCO, they count from corners.

    They run a quarter of a pixel inside the pixels' border. Outlines of large masks are simplified, and those
    of which only a line is left are dropped.
    """
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return []
    # OpenCV's outlines run through pixel centres, half a pixel inside; of the doubled mask, a quarter
    double = cv2.resize(mask[y : y + h, x : x + w], (2 * w, 2 * h), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if w * h >= MIN_SIMPLIFIED:
        outlines = [cv2.approxPolyDP(o, 2 * OUTLINE_TOLERANCE, True) for o in outlines]
    return [(o[:, 0] / 2 + (x + 0.25, y + 0.25)).ravel().tolist() for o in outlines if len(o) > 2]


def _area_and_box(mask: np.ndarray) -> tuple[float, list[float]]:
    return float(cv2.countNonZero(mask)), [float(side) for side in cv2.boundingRect(mask)]


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return COCO's uncompressed RLE of a mask: column by column, zeros first.

    >>> run_lengths(np.array([[0, 1], [1, 1]], bool))
    [1, 3]
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
