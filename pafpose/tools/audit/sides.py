"""Left and right that look exchanged, judged by what the rest of the data set does.

Two rules, learnt from the set itself, for any skeleton. (1) Two left/right pairs that nearly always point the
same way (shoulders and hips) point against each other in this person. (2) A visible pair and a visible point
of the middle that nearly always turn one way round (eyes and nose) turn the other way here. What a data set
does not do regularly (ankles, which cross) is no evidence. A person who is exchanged as a whole is found by
(2) alone, and crossed arms are among what is found: the rules are ranked by how seldom they are broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from pafpose.skeleton import Skeleton

REGULAR = 0.9  # share of clear cases that must agree before a rule is believed
ENOUGH = 20  # clear cases before a rule is believed
CLEAR = 0.08  # of the person's extent: shorter distances say nothing
OPPOSED = -0.5  # cosine


def exchanged(
    keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton
) -> list[tuple[int, str, float]]:
    """Rows of people (M, K, 3) whose sides look exchanged, the pairs' names and how strongly; worst first.

    ``labelled`` (M, K) bool. The strength, 0 to 1: the share of the pair's evidence
    that speaks against it, times the trust in the firmest rule that is broken.
    """
    shape = (len(keypoints), len(skeleton.pairs))
    against, evidence, clearest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    extent = _extent(keypoints[..., :2], labelled)
    rules = [
        *_parallels(keypoints, labelled, extent, skeleton),
        *_turns(keypoints, labelled, extent, skeleton),
    ]
    for vote, trust, pairs in rules:
        for pair in pairs:
            broken = np.where(vote < 0, trust, 0)
            against[:, pair] += broken
            evidence[:, pair] += np.where(vote != 0, trust, 0)
            clearest[:, pair] = np.maximum(clearest[:, pair], broken)
    share = against / np.maximum(evidence, 1e-9)
    found = []
    for m in np.flatnonzero((share > 0.5).any(-1)):
        worst = [int(p) for p in np.flatnonzero(share[m] >= share[m].max() - 1e-9)]
        strength = float(share[m].max() * clearest[m, worst].max())
        found.append((int(m), ", ".join(_name(skeleton, p) for p in worst), strength))
    return sorted(found, key=lambda entry: -entry[2])


def _parallels(
    keypoints: np.ndarray, labelled: np.ndarray, extent: np.ndarray, skeleton: Skeleton
) -> Iterator[tuple[np.ndarray, float, tuple[int, ...]]]:
    """Rule 1: votes (M,) in {-1, 0, 1} of two pairs on each other."""
    vectors, there = [], []
    for left, right in skeleton.pairs:
        vector = keypoints[:, left, :2] - keypoints[:, right, :2]
        length = np.linalg.norm(np.where(np.isfinite(vector), vector, 0), axis=-1)
        vectors.append(vector / np.maximum(length, 1e-9)[:, None])
        there.append(labelled[:, left] & labelled[:, right] & (length > CLEAR * extent))
    for p, q in combinations(range(len(skeleton.pairs)), 2):
        both = there[p] & there[q]
        cosine = np.where(both, (vectors[p] * vectors[q]).sum(-1), 0)
        vote = np.where(cosine > 0.5, 1, np.where(cosine < OPPOSED, -1, 0))
        weight = _trust(vote)
        if weight:
            yield vote, weight, (p, q)


def _turns(
    keypoints: np.ndarray, labelled: np.ndarray, extent: np.ndarray, skeleton: Skeleton
) -> Iterator[tuple[np.ndarray, float, tuple[int, ...]]]:
    """Rule 2: votes of a pair and a a keypoint of no pair."""
    paired = {k for pair in skeleton.pairs for k in pair}
    seen = labelled & (keypoints[..., 2] >= 2)
    middles = [k for k in skeleton.scored if k not in paired]
    for p, (left, right) in enumerate(skeleton.pairs):
        a = keypoints[:, left, :2] - keypoints[:, right, :2]
        centre = (keypoints[:, left, :2] + keypoints[:, right, :2]) / 2
        for k in middles:
            b = keypoints[:, k, :2] - centre
            both = seen[:, left] & seen[:, right] & seen[:, k]
            cross = np.where(both, a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], 0) / np.maximum(extent, 1e-9) ** 2
            vote = np.sign(cross) * (np.abs(cross) > CLEAR**2 / 4)
            usual = np.sign(vote.sum())
            weight = _trust(vote * usual)
            if weight:
                yield vote * usual, weight, (p,)


def _trust(vote: np.ndarray) -> float:
    """0 to 1: how much more often than not the data set agrees; 0 below ``REGULAR``."""
    agree, against = int((vote > 0).sum()), int((vote < 0).sum())
    if agree + against < ENOUGH:
        return 0.0
    share = agree / (agree + against)
    return (share - REGULAR) / (1 - REGULAR) if share > REGULAR else 0.0


def _extent(xy: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(M,) larger side of the box of the labelled keypoints."""
    low = np.where(labelled[..., None], xy, np.inf).min(1)
    high = np.where(labelled[..., None], xy, -np.inf).max(1)
    return np.where(labelled.any(-1), (high - low).max(-1), 1.0)


def _name(skeleton: Skeleton, pair: int) -> str:
    left, right = (skeleton.keypoints[k] for k in skeleton.pairs[pair])
    return f"{left}/{right}"
