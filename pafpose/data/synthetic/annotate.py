"""COCO's records from the map of who owns every pixel: outlines, boxes, areas, and what can be seen."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from pafpose.data.synthetic.canvas import MAX_PARTS, PART_BITS

Record = dict[str, Any]
FEWEST = 3  # keypoints in sight that make a person worth labelling
GUESS_REACH = 0.6  # roots of the visible area: about a thigh of a whole figure


class Visible(Protocol):
    """What is needed of a figure; pixels of the picture."""

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray: ...
    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]: ...


def annotate(
    figure: Visible,
    owner: int,
    owners: np.ndarray,
    names: tuple[str, ...],
    *,
    errors: np.ndarray,
    unlabelled: bool = False,
) -> Record | None:
    """COCO's record of one figure, None when nothing of it is to be seen.

    ``owners`` is the canvas' owner map; ``errors`` ``(K, 2)`` shift the annotated positions, in roots of
    the visible area. Somebody of whom fewer than ``FEWEST`` keypoints are in sight goes without keypoints.
    """
    region = _region(owner_mask(owners, owner))
    if region is None:
        return None
    xy = figure.keypoints(names)
    v = visibility(figure, xy, owner, owners, names)
    v = forget_unguessable(v, xy, reach=GUESS_REACH * region["area"] ** 0.5, shown=figure.shown(names)[0])
    if unlabelled or (v == 2).sum() < min(FEWEST, len(names)):
        v[:] = 0
    xy = np.round(xy + errors * region["area"] ** 0.5, 2)
    points = [(x, y, k) if k else (0, 0, 0) for (x, y), k in zip(xy.tolist(), v.tolist(), strict=True)]
    return {
        **region,
        "iscrowd": 0,
        "num_keypoints": int((v > 0).sum()),
        "keypoints": [value for point in points for value in point],
        "category_id": 1,
    }


def visibility(
    figure: Visible, xy: np.ndarray, owner: int, owners: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """v of each keypoint: 0 outside the picture, 1 when something lies before it, 2 in sight.

    In sight: one of the nine pixels around it shows a part that the keypoint lies on.
    """
    height, width = owners.shape
    v, masks = (np.array(t) for t in figure.shown(names))
    inside = (xy >= -0.5).all(1) & (xy[:, 0] <= width - 0.5) & (xy[:, 1] <= height - 0.5)
    x, y = np.rint(xy).astype(int).T
    rows = np.clip(y[:, None] + _AROUND[1], 0, height - 1)
    columns = np.clip(x[:, None] + _AROUND[0], 0, width - 1)
    around = owners[rows, columns]
    bits = np.left_shift(1, (around & (MAX_PARTS - 1)).astype(np.int64))
    seen = (((around >> PART_BITS) == owner) & ((bits & masks[:, None]) != 0)).any(1)
    return np.where(inside, np.where(seen, v, np.minimum(v, 1)), 0)


def forget_unguessable(v: np.ndarray, xy: np.ndarray, *, reach: float, shown: list[int]) -> np.ndarray:
    """Unlabel what is hidden behind something else with nothing of the same figure in sight near by.

    Annotators place a hidden keypoint when its neighbourhood tells where it must be. ``shown`` is the v
    that the figure's own body would allow; ``reach`` in pixels.
    """
    seen = xy[v == 2]
    if not len(seen):
        return v
    nearest = np.linalg.norm(xy[:, None] - seen[None], axis=-1).min(1)
    return np.where((v == 1) & (np.array(shown) == 2) & (nearest > reach), 0, v)


def owner_mask(owners: np.ndarray, owner: int) -> np.ndarray:
    """Where an owner is to be seen: uint8, 0 or 255."""
    return cv2.inRange(owners, owner << PART_BITS, (owner << PART_BITS) + MAX_PARTS - 1)


_AROUND = np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]).T


def _region(mask: np.ndarray) -> Record | None:
    """Polygons, box and area of what can be seen of a figure; coordinates as COCO's, pixel corners."""
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return None
    crop = mask[y : y + h, x : x + w]
    # doubled, so that outlines run a quarter pixel inside the border instead of half a pixel
    double = cv2.resize(crop, (2 * w, 2 * h), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = (x + 0.25, y + 0.25)
    polygons = [(o[:, 0] / 2 + corner).ravel().tolist() for o in outlines if len(o) > 2]
    area, box = float(cv2.countNonZero(crop)), [float(x), float(y), float(w), float(h)]
    return {"segmentation": polygons, "area": area, "bbox": box} if polygons else None


def annotate_crowd(owners: np.ndarray, owner: int, keypoints: int) -> Record | None:
    """COCO's record of a crowd: run lengths, no keypoints; None when it is hidden."""
    mask = owner_mask(owners, owner)
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return None
    return {
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask > 0)},
        "area": float(cv2.countNonZero(mask)),
        "bbox": [float(x), float(y), float(w), float(h)],
        "iscrowd": 1,
        "num_keypoints": 0,
        "keypoints": [0] * (3 * keypoints),
        "category_id": 1,
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE of a mask: column by column, zeros first.

    >>> run_lengths(np.array([[0, 1], [1, 1]], bool))
    [1, 3]
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
