"""What a perfect decoder could make of the choices: each bound allows one more thing to go wrong.

- ``topology``: exact keypoints, perfect linking. The limbs whose two ends are labelled split a person into
  pieces; the graph has no way to join them. A piece of at least ``decode.min_keypoints`` is a detection.
- ``quantisation``: the same pieces with their keypoints at the peaks that the decoder reads off the maps;
  keypoints without a peak of their own stay exact.
- ``peaks``: those without one (neighbours whose Gaussians merged, keypoints dropped) are lost.

What is left between ``peaks`` and the AP of the decoded fields is grouping.
"""

from __future__ import annotations

import numpy as np
import torch

from pafpose.fields import People
from pafpose.skeleton import Skeleton

BOUNDS = ("topology", "quantisation", "peaks")


def split_people(labelled: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of people ``(P, K)`` bool: their masks ``(N, K)`` bool and the person of each ``(N,)``.

    A single keypoint without a limb is a piece of its own; derived keypoints alone are none.
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
    """The peak of each labelled keypoint of ``(P, K, 3)`` as ``(P, K, 2)``; NaN where it has none.

    ``peaks[k]`` is ``(N, 2)``. Nearest pairs first, each peak for one keypoint, none beyond ``radius``.
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
) -> dict[str, People]:
    """The detections of every bound for people ``(P, K, 3)`` and their peaks ``(P, K, 2)``, same frame."""
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


def _people(xy: np.ndarray, mask: np.ndarray, min_keypoints: int) -> People:
    """Pieces as people, the largest surest: of one person's pieces it is the one that counts."""
    count = mask.sum(-1)
    keep = count >= min_keypoints
    mask, xy, scores = mask[keep], xy[keep], count[keep] / mask.shape[-1]
    rows = np.concatenate([np.where(mask[..., None], xy, 0), mask[..., None]], -1).astype(np.float32)
    return People(torch.from_numpy(rows), torch.from_numpy(scores.astype(np.float32)))
