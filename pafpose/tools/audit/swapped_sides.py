"""Find people whose left and right look swapped, compared with the rest of the data set.

Two kinds of rules are learnt from the data set itself, so this works for any skeleton:

1. Two left/right pairs, such as shoulders and hips, nearly always point the same way. The rule is broken when
   they point in opposite directions.
2. A visible left/right pair and a visible keypoint without a partner, such as eyes and nose, nearly always
   form a triangle with the same sense of rotation. The rule is broken when it has the other sense.

Only what the data set does regularly becomes a rule: ankles, which cross in walking, do not. A person whose
sides are swapped as a whole breaks rules of the second kind only. People with crossed arms are found as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from pafpose.skeleton import Skeleton

REGULAR = 0.9  # share of clear cases that must agree before they become a rule
ENOUGH = 20  # clear cases that are needed for a rule
CLEAR = 0.08  # of the person's extent: shorter distances say nothing
SAME, OPPOSITE = 0.5, -0.5  # cosine of the angle between two pairs


class _Rule(NamedTuple):
    votes: np.ndarray  # (M,) 1: the person keeps the rule, -1: breaks it, 0: the case is not clear
    trust: float  # 0 to 1
    pairs: tuple[int, ...]  # the left/right pairs that the rule is about


class Swap(NamedTuple):
    """A person whose sides look swapped."""

    person: int
    pairs: str  # names of the pairs, left/right
    strength: float  # 0 to 1


def find_swapped_sides(keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton) -> list[Swap]:
    """Return the people whose left and right look swapped, the strongest evidence first.

    ``keypoints`` are ``(M, K, 3)``, ``labelled`` ``(M, K)`` bool. The strength is the share of the evidence
    on the pair that speaks for a swap, times the trust in the most trusted rule that is broken.
    """
    shape = (len(keypoints), len(skeleton.pairs))
    broken, evidence, most_trusted = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for rule in (
        *_parallel_rules(keypoints, labelled, skeleton),
        *_triangle_rules(keypoints, labelled, skeleton),
    ):
        for pair in rule.pairs:
            breach = np.where(rule.votes < 0, rule.trust, 0)
            broken[:, pair] += breach
            evidence[:, pair] += np.where(rule.votes != 0, rule.trust, 0)
            most_trusted[:, pair] = np.maximum(most_trusted[:, pair], breach)
    share = broken / np.maximum(evidence, 1e-9)
    found = []
    for m in np.flatnonzero((share > 0.5).any(-1)):
        worst = np.flatnonzero(share[m] >= share[m].max() - 1e-9)
        names = ("/".join(skeleton.keypoints[k] for k in skeleton.pairs[p]) for p in worst)
        found.append(Swap(int(m), ", ".join(names), float(share[m].max() * most_trusted[m, worst].max())))
    return sorted(found, key=lambda swap: -swap.strength)


def _parallel_rules(keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton) -> Iterator[_Rule]:
    """Yield the rules of the first kind."""
    extent = _extent(keypoints[..., :2], labelled)
    vectors, clear = [], []
    for left, right in skeleton.pairs:
        vector = keypoints[:, left, :2] - keypoints[:, right, :2]
        length = np.linalg.norm(vector, axis=-1)
        vectors.append(vector / np.maximum(length, 1e-9)[:, None])
        clear.append(labelled[:, left] & labelled[:, right] & (length > CLEAR * extent))
    for p, q in combinations(range(len(skeleton.pairs)), 2):
        cosine = np.where(clear[p] & clear[q], (vectors[p] * vectors[q]).sum(-1), 0)
        votes = np.where(cosine > SAME, 1, np.where(cosine < OPPOSITE, -1, 0))
        if trust := _trust(votes):
            yield _Rule(votes, trust, (p, q))


def _triangle_rules(keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton) -> Iterator[_Rule]:
    """Yield the rules of the second kind."""
    area = np.maximum(_extent(keypoints[..., :2], labelled), 1e-9) ** 2
    visible = labelled & (keypoints[..., 2] >= 2)
    paired = {k for pair in skeleton.pairs for k in pair}
    unpaired = [k for k in skeleton.scored if k not in paired]
    for p, (left, right) in enumerate(skeleton.pairs):
        across = keypoints[:, left, :2] - keypoints[:, right, :2]
        centre = (keypoints[:, left, :2] + keypoints[:, right, :2]) / 2
        for k in unpaired:
            to_point = keypoints[:, k, :2] - centre
            cross = across[:, 0] * to_point[:, 1] - across[:, 1] * to_point[:, 0]
            cross = np.where(visible[:, left] & visible[:, right] & visible[:, k], cross, 0) / area
            senses = np.sign(cross) * (np.abs(cross) > CLEAR**2 / 4)
            votes = senses * np.sign(senses.sum())
            if trust := _trust(votes):
                yield _Rule(votes, trust, (p,))


def _trust(votes: np.ndarray) -> float:
    """Return 1 when the whole data set keeps a rule, falling to 0 when only the share ``REGULAR`` does."""
    kept, broken = int((votes > 0).sum()), int((votes < 0).sum())
    if kept + broken < ENOUGH:
        return 0.0
    return max(0.0, (kept / (kept + broken) - REGULAR) / (1 - REGULAR))


def _extent(xy: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return the longer side ``(M,)`` of the box of the labelled keypoints."""
    low = np.where(labelled[..., None], xy, np.inf).min(1)
    high = np.where(labelled[..., None], xy, -np.inf).max(1)
    return np.where(labelled.any(-1), (high - low).max(-1), 1.0)
