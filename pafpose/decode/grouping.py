# ruff: noqa: PLR0917 - numba compiles positional calls only
"""From limbs to people: the best limb first, two groups join unless they own the same type of keypoint.

All limbs of all types are taken in one order of score. So conflicts are resolved by score, redundant limbs
vote without ever splitting a person, fragments of one person merge, and the order in which a skeleton lists
its limbs does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose.decode.candidates import Candidates
from pafpose.decode.matching import match
from pafpose.decode.peaks import Peaks
from pafpose.decode.sorting import descending
from pafpose.decode.union_find import find_root
from pafpose.geometry import cell_to_px
from pafpose.runtime.jit import njit


class GroupParameters(NamedTuple):
    """How limbs become people, as numba takes it."""

    limbs: np.ndarray  # (L, 2) int64: the two types of keypoint
    scored: np.ndarray  # (K,) bool: which types are not derived from others
    peak_weight: float
    matching: int  # a ``Matching``
    min_keypoints: int
    min_sum_per_keypoint: float
    min_score: float
    stride: int


@njit
def group_people(
    peaks: Peaks, candidates: Candidates, parameters: GroupParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Match candidates and join peaks along them: people ``(N, K, 3)`` in input pixels, scores ``(N,)``.

    The best person comes first. A score is the sum of a person's keypoint confidences and limb scores, as a
    share of that of a complete person, who has 1 for every keypoint and every limb of the skeleton. Groups
    are dropped that have fewer keypoints than ``min_keypoints``, a sum below ``min_sum_per_keypoint`` times
    their keypoints, a score below ``min_score``, or not one ``scored`` keypoint: a neck without shoulders is
    nobody.
    """
    scored, stride = parameters.scored, parameters.stride
    kept = match(candidates, peaks, parameters.limbs, parameters.peak_weight, parameters.matching)
    kinds = np.empty(len(peaks.points), np.int64)
    for kind in range(len(scored)):
        kinds[peaks.starts[kind] : peaks.starts[kind + 1]] = kind
    groups, sizes, totals = _join_all(peaks.points, kinds, candidates, kept, len(scored))
    scores = np.minimum(totals / (len(scored) + len(parameters.limbs)), 1.0)
    chosen = _choose_groups(groups, sizes, totals, scores, kinds, parameters)
    rank, people = np.full(len(kinds), -1), np.zeros((len(chosen), len(scored), 3), np.float32)
    rank[chosen] = np.arange(len(chosen))
    for i in range(len(kinds)):
        person = rank[groups[i]]
        if person >= 0:
            people[person, kinds[i], 0] = cell_to_px(peaks.points[i, 0], stride)
            people[person, kinds[i], 1] = cell_to_px(peaks.points[i, 1], stride)
            people[person, kinds[i], 2] = peaks.points[i, 2]
    return people, scores[chosen].astype(np.float32)


@njit
def _choose_groups(
    groups: np.ndarray, sizes: np.ndarray, totals: np.ndarray, scores: np.ndarray, kinds: np.ndarray,
    parameters: GroupParameters,
) -> np.ndarray:  # fmt: skip
    """Return the groups that are people, best first."""
    real = np.zeros(len(kinds), np.bool_)
    for i in range(len(kinds)):
        real[groups[i]] |= parameters.scored[kinds[i]]
    chosen, count = np.empty(len(kinds), np.int64), 0
    for i in range(len(kinds)):
        enough = sizes[i] >= parameters.min_keypoints and scores[i] >= parameters.min_score
        enough = enough and totals[i] >= parameters.min_sum_per_keypoint * sizes[i]
        chosen[count] = i
        count += int(groups[i] == i and real[i] and enough)
    chosen = chosen[:count]
    return chosen[descending(totals[chosen])]


@njit
def _join_all(
    points: np.ndarray, kinds: np.ndarray, candidates: Candidates, kept: np.ndarray, num_keypoints: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join peaks along the candidates ``kept``, in this order.

    Returns each peak's group, which is the number of its first peak, and there the group's size and total:
    the sum of its peak heights and of the scores of all its limbs.
    """
    count = len(kinds)
    parent, sizes, totals = np.arange(count), np.ones(count, np.int64), points[:, 2].copy()
    owned = np.zeros((count, num_keypoints), np.bool_)  # which types of keypoints a group has
    for i in range(count):
        owned[i, kinds[i]] = True
    for n in kept:
        a, b = find_root(parent, candidates.ends[n, 1]), find_root(parent, candidates.ends[n, 2])
        if a != b:
            if _clash(owned, a, b):
                continue
            a, b = min(a, b), max(a, b)
            parent[b] = a
            sizes[a] += sizes[b]
            totals[a] += totals[b]
            for kind in range(num_keypoints):
                owned[a, kind] |= owned[b, kind]
        totals[a] += candidates.scores[n]
    for i in range(count):
        parent[i] = find_root(parent, i)
    return parent, sizes, totals


@njit
def _clash(owned: np.ndarray, a: int, b: int) -> bool:
    """Whether two groups own a keypoint of the same type."""
    for kind in range(owned.shape[1]):  # noqa: SIM110 - numba has no any() of a generator
        if owned[a, kind] and owned[b, kind]:
            return True
    return False
