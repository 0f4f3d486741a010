# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Matching: of the candidates of one limb, every peak keeps at most one, chosen greedily or optimally."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from pafpose.decode.candidates import Candidates
from pafpose.decode.peaks import Peaks
from pafpose.decode.sorting import descending
from pafpose.decode.union_find import find_root
from pafpose.runtime.jit import njit

_LARGEST = float(np.finfo(np.float32).max)


class Matching(IntEnum):
    """``decode.matching``: which candidates of one limb are kept."""

    greedy = 0  # the best whose peaks are free, again and again
    hungarian = 1  # those with the largest sum of squared ranks


@njit
def match(
    candidates: Candidates, peaks: Peaks, limbs: np.ndarray, peak_weight: float, matching: int
) -> np.ndarray:
    """Return the numbers of the candidates that are kept, best first; ``matching`` is a ``Matching``."""
    ranks = _rank(candidates, peaks.points, peak_weight)
    if matching == Matching.hungarian:
        return _match_hungarian(candidates, ranks, peaks, limbs)
    return _match_greedy(candidates, ranks, peaks, limbs)


@njit
def _match_greedy(candidates: Candidates, ranks: np.ndarray, peaks: Peaks, limbs: np.ndarray) -> np.ndarray:
    """Keep the highest-ranked candidate whose two peaks are free, again and again; best first."""
    order = descending(ranks.astype(np.float64))
    taken = np.zeros((len(limbs), len(peaks.points)), np.bool_)
    kept, count = np.empty_like(order), 0
    for i in order:
        limb, a, b = candidates.ends[i, 0], candidates.ends[i, 1], candidates.ends[i, 2]
        if not taken[limb, a] and not taken[limb, b]:
            taken[limb, a] = taken[limb, b] = True
            kept[count] = i
            count += 1
    return kept[:count]


@njit
def _match_hungarian(
    candidates: Candidates, ranks: np.ndarray, peaks: Peaks, limbs: np.ndarray
) -> np.ndarray:
    """Keep the candidates of each limb whose squared ranks have the largest sum; best first.

    With the plain sum two weak candidates outdo a strong one that shares a peak with each: the strong one is
    right, and the weak ones are the rest of its ends. Squared, they must have over .7 of its rank.
    """
    keep = np.ones(len(ranks), np.bool_)
    begin = 0
    for limb in range(len(limbs)):
        end = begin
        while end < len(ranks) and candidates.ends[end, 0] == limb:
            end += 1
        if end - begin > 1:
            pairs = candidates.ends[begin:end, 1:]
            _settle(pairs, ranks[begin:end], limbs[limb], peaks.starts, keep[begin:end])
        begin = end
    kept = np.flatnonzero(keep)
    return kept[descending(ranks[kept].astype(np.float64))]


@njit
def _rank(candidates: Candidates, points: np.ndarray, peak_weight: float) -> np.ndarray:
    """Return float32 ``(M,)``: scores times the heights of both peaks, raised to ``peak_weight``.

    A weak maximum beside a true one has limbs as good as the true one's; only its height tells it apart.
    """
    if peak_weight == 0.0:
        return candidates.scores
    ranks, factors = np.empty_like(candidates.scores), np.empty(len(points))
    for n in range(len(points)):
        factors[n] = max(points[n, 2], 0.0) ** peak_weight
    for i in range(len(ranks)):
        rank = candidates.scores[i] * (factors[candidates.ends[i, 1]] * factors[candidates.ends[i, 2]])
        ranks[i] = min(rank, _LARGEST)  # matching would not end with infinity
    return ranks


@njit
def _settle(
    pairs: np.ndarray, ranks: np.ndarray, limb: np.ndarray, starts: np.ndarray, keep: np.ndarray
) -> None:
    """Mark which candidates of one limb, pairs of peaks ``(M, 2)``, are kept.

    Those that share no peak with another are. The others are settled island by island: candidates that
    compete with each other, directly or through others. The sum is the same, and islands are small.
    """
    first, second, rows = starts[limb[0]], starts[limb[1]], starts[limb[0] + 1] - starts[limb[0]]
    size = rows + starts[limb[1] + 1] - second
    nodes, rivals = np.empty(pairs.shape, np.int64), np.zeros(size, np.int64)
    for n in range(len(pairs)):
        nodes[n, 0], nodes[n, 1] = pairs[n, 0] - first, pairs[n, 1] - second + rows
        rivals[nodes[n, 0]] += 1
        rivals[nodes[n, 1]] += 1
    contested, count = np.empty(len(pairs), np.int64), 0
    for n in range(len(pairs)):
        contested[count] = n
        count += int(rivals[nodes[n, 0]] + rivals[nodes[n, 1]] > 2)
    if count == 0:
        return
    islands, numbers, sizes = _islands(nodes, contested[:count], rows, size)
    for n in range(count):
        island = islands[n]
        if island >= 0:
            members = contested[:count][islands == island]
            islands[islands == island] = -1
            _match_island(nodes, ranks, members, numbers, sizes[island], keep)


@njit
def _islands(
    nodes: np.ndarray, contested: np.ndarray, rows: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the islands of the contested candidates.

    Returns the island of each, the number of each node among the nodes of its side on its island, and how
    many nodes of both sides an island has.
    """
    parent = np.arange(size)
    for n in contested:
        a, b = find_root(parent, nodes[n, 0]), find_root(parent, nodes[n, 1])
        parent[max(a, b)] = min(a, b)
    islands, numbers, sizes = np.empty_like(contested), np.empty_like(parent), np.zeros((size, 2), np.int64)
    for n in range(len(contested)):
        islands[n] = find_root(parent, nodes[contested[n], 0])
    for node in range(size):
        root, side = find_root(parent, node), int(node >= rows)
        numbers[node] = sizes[root, side]
        sizes[root, side] += 1
    return islands, numbers, sizes


@njit
def _match_island(
    nodes: np.ndarray, ranks: np.ndarray, members: np.ndarray, numbers: np.ndarray, sizes: np.ndarray,
    keep: np.ndarray,
) -> None:  # fmt: skip
    """Keep those ``members``, all candidates of an island, whose squared ranks have the largest sum."""
    first = int(sizes[0] > sizes[1])  # the side with fewer peaks
    gain = np.zeros((sizes[first], sizes[1 - first]))
    for m in members:
        gain[numbers[nodes[m, first]], numbers[nodes[m, 1 - first]]] = np.float64(ranks[m]) ** 2
    chosen = assign(gain)
    for m in members:
        keep[m] = chosen[numbers[nodes[m, first]]] == numbers[nodes[m, 1 - first]]


@njit
def assign(gain: np.ndarray) -> np.ndarray:
    """Return each row's column in the assignment with the largest sum of gains.

    ``gain`` (rows, columns) is at least 0 and has no more rows than columns. Shortest augmenting paths with
    potentials (Kuhn 1955, Munkres 1957) take O(rows^2 columns). Rows and columns count from 1 here; row 0 is
    nobody's, column 0 the start of a path.
    """
    rows, cols = gain.shape
    row_price, col_price, row_of = np.zeros(rows + 1), np.zeros(cols + 1), np.zeros(cols + 1, np.int64)
    settled = _take_best(gain, row_price, row_of)
    for row in range(1, rows + 1):
        if not settled[row]:
            _augment(gain, row, row_price, col_price, row_of)
    result = np.full(rows, -1, np.int64)
    for col in range(1, cols + 1):
        if row_of[col] > 0:
            result[row_of[col] - 1] = col - 1
    return result


@njit
def _take_best(gain: np.ndarray, row_price: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    """Give rows their best column while it is free; return which rows are settled so.

    The prices set here allow no better sum.
    """
    settled = np.zeros(len(row_price), np.bool_)
    for row in range(1, len(row_price)):
        best = np.argmax(gain[row - 1])
        row_price[row] = -gain[row - 1, best]
        if row_of[best + 1] == 0:
            row_of[best + 1], settled[row] = row, True
    return settled


@njit
def _augment(
    gain: np.ndarray, row: int, row_price: np.ndarray, col_price: np.ndarray, row_of: np.ndarray
) -> None:
    """Give one more row a column: move other rows along the path that costs least."""
    size = len(col_price)
    slack, via, done = np.full(size, np.inf), np.zeros(size, np.int64), np.zeros(size, np.bool_)
    row_of[0], col = row, 0
    while row_of[col] != 0:
        done[col] = True
        current, step, nearest = row_of[col], np.inf, 0
        for j in range(1, size):
            if done[j]:
                continue
            cost = -gain[current - 1, j - 1] - row_price[current] - col_price[j]
            if cost < slack[j]:
                slack[j], via[j] = cost, col
            if slack[j] < step:
                step, nearest = slack[j], j
        for j in range(size):
            if done[j]:
                row_price[row_of[j]] += step
                col_price[j] -= step
            else:
                slack[j] -= step
        col = nearest
    while col != 0:
        row_of[col] = row_of[via[col]]
        col = via[col]
