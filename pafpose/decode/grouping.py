# ruff: noqa: PLR0917 - numba compiles positional calls only
"""From limbs to people: the best limb first, two groups join unless they own the same kind of keypoint.

Taking all limbs of all types in one order of score resolves conflicts by score, lets redundant limbs vote
without ever splitting a person, merges the fragments of one person, and does not depend on the order in
which limbs are listed.
"""

from __future__ import annotations

import numpy as np

from pafpose.decode.sorting import descending
from pafpose.runtime.jit import njit


@njit
def find_root(parent: np.ndarray, node: int) -> int:
    """The group that a peak belongs to; shortens the path on its way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit
def _clash(owned: np.ndarray, a: int, b: int) -> bool:
    """Whether two groups own a keypoint of the same kind."""
    shared = np.uint64(0)
    for word in range(owned.shape[1]):
        shared |= owned[a, word] & owned[b, word]
    return bool(shared)


@njit
def _join(
    parent: np.ndarray, owned: np.ndarray, sizes: np.ndarray, totals: np.ndarray, a: int, b: int
) -> None:
    """Make two groups one, under the smaller number."""
    root, child = min(a, b), max(a, b)
    parent[child] = root
    sizes[root] += sizes[child]
    totals[root] += totals[child]
    for word in range(owned.shape[1]):
        owned[root, word] |= owned[child, word]


@njit
def group_peaks(
    peaks: np.ndarray, kinds: np.ndarray, links: np.ndarray, scores: np.ndarray, order: np.ndarray, words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join peaks along ``order``: each peak's group (its smallest peak), sizes and totals of groups.

    A total is the sum of the group's peak heights and of the scores of all its limbs.
    """
    count = kinds.size
    parent = np.arange(count)
    sizes, totals = np.ones(count, np.int64), peaks[:, 2].copy()
    owned = np.zeros((count, words), np.uint64)
    for i in range(count):
        owned[i, kinds[i] // 64] = np.uint64(1) << np.uint64(kinds[i] % 64)
    for i in order:
        a, b = find_root(parent, links[i, 1]), find_root(parent, links[i, 2])
        if a != b:
            if _clash(owned, a, b):
                continue
            _join(parent, owned, sizes, totals, a, b)
        totals[min(a, b)] += scores[i]
    for i in range(count):
        parent[i] = find_root(parent, i)
    return parent, sizes, totals


@njit
def collect_people(
    peaks: np.ndarray,
    kinds: np.ndarray,
    groups: np.ndarray,
    sizes: np.ndarray,
    totals: np.ndarray,
    scored: np.ndarray,
    min_keypoints: int,
    min_score: float,
    stride: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Groups that are big and sure enough as ``(N, K, 3)`` input pixels and ``(N,)`` scores, best first.

    A group of derived keypoints alone (a neck without shoulders) is nobody.
    """
    count = kinds.size
    real = np.zeros(count, np.bool_)
    for i in range(count):
        real[groups[i]] |= scored[kinds[i]]
    roots = np.empty(count, np.int64)
    n = 0
    for i in range(count):
        if groups[i] == i and real[i] and sizes[i] >= min_keypoints and totals[i] >= min_score * sizes[i]:
            roots[n] = i
            n += 1
    order = descending(totals[roots[:n]])
    person = np.full(count, -1, np.int64)
    result = np.zeros((n, scored.size, 3), np.float32)
    scores = np.empty(n, np.float32)
    for rank in range(n):
        root = roots[order[rank]]
        person[root] = rank
        scores[rank] = totals[root]
    centre = (stride - 1) / 2.0
    for i in range(count):
        rank = person[groups[i]]
        if rank >= 0:
            result[rank, kinds[i], 0] = peaks[i, 0] * stride + centre
            result[rank, kinds[i], 1] = peaks[i, 1] * stride + centre
            result[rank, kinds[i], 2] = peaks[i, 2]
    return result, scores
