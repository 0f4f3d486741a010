"""COCO's records from the map of who owns every pixel: outlines, boxes, areas, and what can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from pafpose.synthetic.canvas import MAX_PARTS, PART_BITS

Record = dict[str, Any]
FEWEST = 3  # keypoints in sight that make a person worth labelling
ROUGH = 0.5  # px by which an outline may leave that of the pixels: two fifths of the corners
COARSE = 400  # px of the box from which on it may
GUESS_REACH = 0.6  # roots of the visible area: about a thigh of a whole figure


class Visible(Protocol):
    """What is needed of a figure; pixels of the picture."""

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray: ...
    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]: ...


def annotate(
    figures: Sequence[Visible],
    first: int,
    owners: np.ndarray,
    names: tuple[str, ...],
    *,
    errors: np.ndarray,
    unlabelled: Sequence[bool],
) -> list[Record]:
    """COCO's records of the figures of which anything is to be seen.

    ``owners`` is the canvas' owner map, in which the figures are ``first``, ``first + 1`` and so on;
    ``errors`` ``(n, K, 2)`` shift the annotated positions, in roots of the visible area. Somebody of whom
    fewer than ``FEWEST`` keypoints are in sight goes without keypoints.
    """
    regions = {n: _region(owner_mask(owners, first + n)) for n in range(len(figures))}
    found = {n: region for n, region in regions.items() if region}
    if not found:
        return []
    seen = list(found)
    numbers, roots = np.array(seen), np.array([region["area"] for region in found.values()]) ** 0.5
    xy = np.stack([figures[n].keypoints(names) for n in seen])
    own, parts = (np.array(t) for t in zip(*(figures[n].shown(names) for n in seen), strict=True))
    v = visibility(xy, first + numbers, owners, own=own, parts=parts)
    v = forget_unguessable(v, xy, reach=GUESS_REACH * roots, own=own)
    too_few = (v == 2).sum(1) < min(FEWEST, len(names))
    v[too_few | np.array(unlabelled)[numbers]] = 0
    xy = (xy + errors[numbers] * roots[:, None, None]).round(2)
    return [
        _record(found[n], points, labels)
        for n, points, labels in zip(seen, xy.tolist(), v.tolist(), strict=True)
    ]


def _record(region: Record, points: list[list[float]], labels: list[int]) -> Record:
    keypoints = [t for (x, y), k in zip(points, labels, strict=True) for t in ((x, y, k) if k else (0, 0, 0))]
    return {
        **region,
        "iscrowd": 0,
        "num_keypoints": sum(k > 0 for k in labels),
        "keypoints": keypoints,
        "category_id": 1,
    }


def visibility(
    xy: np.ndarray, numbers: np.ndarray, owners: np.ndarray, *, own: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """v ``(n, K)`` of keypoints ``xy`` ``(n, K, 2)``: 0 outside, 1 when something lies before it, 2 in sight.

    ``numbers`` ``(n,)`` are the figures' in the map of ``owners``; ``own`` ``(n, K)`` is the v that a
    figure's own body allows and ``parts`` ``(n, K)`` the parts that a keypoint lies on, as bits. In sight:
    one of the nine pixels around it shows such a part.
    """
    height, width = owners.shape
    inside = ((xy >= -0.5) & (xy <= (width - 0.5, height - 0.5))).all(-1)
    x, y = np.rint(xy).astype(int).transpose(2, 0, 1)[..., None]
    rows = (y + _AROUND[1]).clip(0, height - 1)
    columns = (x + _AROUND[0]).clip(0, width - 1)
    around = owners.take(rows * width + columns).astype(np.int64)
    shows = (parts[..., None] >> (around & (MAX_PARTS - 1))) & 1
    seen = ((around >> PART_BITS == numbers[:, None, None]) & (shows != 0)).any(-1)
    return np.where(seen, own, np.minimum(own, 1)) * inside


def forget_unguessable(v: np.ndarray, xy: np.ndarray, *, reach: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Unlabel what is hidden behind something else with nothing of the same figure in sight near by.

    Annotators place a hidden keypoint when its neighbourhood tells where it must be. ``own`` ``(n, K)`` is
    the v that the figure's own body would allow; ``reach`` ``(n,)`` in pixels. Somebody of whom nothing is
    seen stays as they are.
    """
    seen = v == 2
    who, which = np.nonzero((v == 1) & (own == 2) & seen.any(1, keepdims=True))
    apart = xy[who] - xy[who, which][:, None]  # of each hidden one from all of the same figure
    apart = np.sqrt((apart * apart).sum(-1))
    lost = apart.min(1, where=seen[who], initial=np.inf) > reach[who]
    v = v.copy()
    v[who[lost], which[lost]] = 0
    return v


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
    if w * h >= COARSE:
        outlines = [cv2.approxPolyDP(o, 2 * ROUGH, True) for o in outlines]
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
