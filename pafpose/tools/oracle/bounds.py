"""Upper bounds on AP, each of which admits one more source of error than the one before.

- ``topology``: exact keypoints, perfect grouping. Only limbs with both ends labelled connect keypoints, so a
  person may fall into pieces that nothing can join. Each piece of at least ``decode.min_keypoints`` keypoints
  is one detection.
- ``quantisation``: the same pieces, with each keypoint moved to the decoder's peak; keypoints without a peak
  of their own stay exact.
- ``peaks``: keypoints without a peak are lost (merged with a neighbour's, or dropped).

The difference between ``peaks`` and the AP of the decoded fields is due to grouping.
"""

from __future__ import annotations

import numpy as np
import torch

from pafpose.fields import Poses
from pafpose.skeleton import Skeleton

BOUNDS = ("topology", "quantisation", "peaks")


def split_people(labelled: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Split people ``(P, K)`` bool into connected pieces: masks ``(N, K)`` bool, person of each ``(N,)``.

    A keypoint without limbs is a piece by itself. Pieces with derived keypoints only are left out.
    """
    scored = list(skeleton.scored)
    masks, owners = [], []
    for person, mask in enumerate(labelled):
        for piece in _components(mask, skeleton.limbs):
            if piece[scored].any():
                masks.append(piece)
                owners.append(person)
    return np.array(masks, bool).reshape(-1, skeleton.num_keypoints), np.array(owners, np.int64)


def _components(mask: np.ndarray, limbs: tuple[tuple[int, int], ...]) -> list[np.ndarray]:
    label = np.arange(len(mask))
    for a, b in limbs:
        if mask[a] and mask[b]:
            label[label == label[b]] = label[a]
    return [mask & (label == name) for name in np.unique(label[mask])]


def match_peaks(keypoints: np.ndarray, peaks: list[np.ndarray], *, radius: float) -> np.ndarray:
    """Return the peak of each labelled keypoint ``(P, K, 3)`` as ``(P, K, 2)``; NaN where there is none.

    ``peaks[k]`` is ``(N, 2)``. Pairs are matched greedily, nearest first; each peak serves one keypoint, and
    pairs farther apart than ``radius`` are not matched.
    """
    out = np.full((*keypoints.shape[:2], 2), np.nan, np.float32)
    for k, found in enumerate(peaks):
        people = np.flatnonzero(keypoints[:, k, 2] > 0)
        distance = np.linalg.norm(keypoints[people, k, None, :2] - found[None], axis=-1)
        rows, columns = np.nonzero(distance <= radius)
        taken: set[int] = set()
        for n in np.argsort(distance[rows, columns], kind="stable"):
            person, peak = people[rows[n]], int(columns[n])
            if peak not in taken and np.isnan(out[person, k, 0]):
                out[person, k] = found[peak]
                taken.add(peak)
    return out


def bounded_people(
    keypoints: np.ndarray, matched: np.ndarray, skeleton: Skeleton, *, min_keypoints: int
) -> dict[str, Poses]:
    """Return the detections of every bound, given people ``(P, K, 3)`` and their peaks ``(P, K, 2)``."""
    labelled = keypoints[..., 2] > 0
    pieces, owners = split_people(labelled, skeleton)
    exact = keypoints[owners, :, :2]
    found = ~np.isnan(matched[owners, :, 0])
    moved = np.where(found[..., None], matched[owners], exact)
    make = {
        "topology": (exact, pieces),
        "quantisation": (moved, pieces),
        "peaks": (moved, pieces & found),
    }
    return {bound: _people(xy, mask, min_keypoints) for bound, (xy, mask) in make.items()}


def _people(xy: np.ndarray, mask: np.ndarray, min_keypoints: int) -> Poses:
    """Turn pieces into people. The score grows with size: COCO matches a person's largest piece first."""
    count = mask.sum(-1)
    keep = count >= min_keypoints
    mask, xy, scores = mask[keep], xy[keep], count[keep] / mask.shape[-1]
    rows = np.concatenate([np.where(mask[..., None], xy, 0), mask[..., None]], -1).astype(np.float32)
    return Poses(torch.from_numpy(rows), torch.from_numpy(scores.astype(np.float32)))
