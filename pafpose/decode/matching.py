# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Which candidates of one limb are kept: every peak at most once per limb, greedily or optimally.

Both take candidates in any order and settle equal scores by peak number, so the order does not matter.
"""

from __future__ import annotations

import numpy as np

from pafpose.decode.grouping import find_root
from pafpose.decode.sorting import descending, descending_float32
from pafpose.runtime.jit import njit

MATCHING = {"greedy": 0, "hungarian": 1}


@njit
def link_ranks(links: np.ndarray, scores: np.ndarray, peaks: np.ndarray, peak_weight: float) -> np.ndarray:
    """float32 ``(M,)``: scores times the heights of both peaks, which are raised to ``peak_weight``.

    A weak maximum beside a true one has limbs as good as the true one's; only its height tells it apart.
    """
    if peak_weight == 0.0:
        return scores
    ranks, factors = np.empty_like(scores), np.empty(peaks.shape[0])
    for n in range(peaks.shape[0]):
        factors[n] = max(peaks[n, 2], 0.0) ** peak_weight
    for i in range(scores.size):
        ranks[i] = scores[i] * (factors[links[i, 1]] * factors[links[i, 2]])
    return ranks


@njit
def rank_links(links: np.ndarray, scores: np.ndarray, num_peaks: int) -> np.ndarray:
    """Indices of the candidates, best score first, equal scores by limb, first and second peak."""
    keys = np.empty(scores.size)
    ordered = True
    for i in range(scores.size):
        keys[i] = -((np.int64(links[i, 0]) * num_peaks + links[i, 1]) * num_peaks + links[i, 2])
        ordered = ordered and (i == 0 or keys[i] < keys[i - 1])
    if ordered:
        return descending_float32(scores)
    canonical = descending(keys)
    return canonical[descending_float32(scores[canonical])]


@njit
def _sides(limbs: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Every limb has a place of its own for each peak of its two kinds, first those of its first kind.

    Returns what to add to a peak's number, ``(L,)`` for either end, and how many places there are.
    """
    first, second = np.empty(limbs.shape[0], np.int64), np.empty(limbs.shape[0], np.int64)
    size = 0
    for l in range(limbs.shape[0]):  # noqa: E741
        first[l] = size - starts[limbs[l, 0]]
        size += starts[limbs[l, 0] + 1] - starts[limbs[l, 0]]
        second[l] = size - starts[limbs[l, 1]]
        size += starts[limbs[l, 1] + 1] - starts[limbs[l, 1]]
    return first, second, size


@njit
def match_greedy(links: np.ndarray, order: np.ndarray, limbs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The part of ``order`` in which no peak serves a limb twice: best first."""
    first, second, size = _sides(limbs, starts)
    taken = np.zeros(size, np.bool_)
    kept = np.empty_like(order)
    count = 0
    for i in order:
        a = first[links[i, 0]] + links[i, 1]
        b = second[links[i, 0]] + links[i, 2]
        if not taken[a] and not taken[b]:
            taken[a] = taken[b] = True
            kept[count] = i
            count += 1
    return kept[:count]


@njit
def _take_best(gain: np.ndarray, row_price: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    """Rows whose best column is free take it, at prices that allow no better sum; which those are."""
    settled = np.zeros(row_price.size, np.bool_)
    for row in range(1, row_price.size):
        best = np.argmax(gain[row - 1])
        row_price[row] = -gain[row - 1, best]
        if row_of[best + 1] == 0:
            row_of[best + 1], settled[row] = row, True
    return settled


@njit
def assign(gain: np.ndarray) -> np.ndarray:  # noqa: PLR0912
    """For every row of a matrix of gains >= 0 with rows <= columns, its column in the assignment of
    largest sum: shortest augmenting paths with potentials (Kuhn 1955, Munkres 1957; O(rows^2 columns)).
    """
    rows, cols = gain.shape
    row_price, col_price = np.zeros(rows + 1), np.zeros(cols + 1)
    row_of, via = np.zeros(cols + 1, np.int64), np.zeros(cols + 1, np.int64)
    settled = _take_best(gain, row_price, row_of)
    slack, done = np.empty(cols + 1), np.empty(cols + 1, np.bool_)
    for row in range(1, rows + 1):
        if settled[row]:
            continue
        row_of[0] = row
        col = 0
        slack[:], done[:] = np.inf, False
        while row_of[col] != 0:
            done[col] = True
            current, step, nearest = row_of[col], np.inf, 0
            for j in range(1, cols + 1):
                if done[j]:
                    continue
                cost = -gain[current - 1, j - 1] - row_price[current] - col_price[j]
                if cost < slack[j]:
                    slack[j], via[j] = cost, col
                if slack[j] < step:
                    step, nearest = slack[j], j
            for j in range(cols + 1):
                if done[j]:
                    row_price[row_of[j]] += step
                    col_price[j] -= step
                else:
                    slack[j] -= step
            col = nearest
        while col != 0:
            row_of[col] = row_of[via[col]]
            col = via[col]
    result = np.full(rows, -1, np.int64)
    for j in range(1, cols + 1):
        if row_of[j] > 0:
            result[row_of[j] - 1] = j - 1
    return result


@njit
def _ascending(numbers: np.ndarray, most: int) -> np.ndarray:
    """Indices of whole numbers below ``most``, smallest first, equal ones as they stand; by counting."""
    place = np.zeros(most + 1, np.int64)
    for number in numbers:
        place[number + 1] += 1
    for number in range(most):
        place[number + 1] += place[number]
    result = np.empty(numbers.size, np.int64)
    for i in range(numbers.size):
        result[place[numbers[i]]] = i
        place[numbers[i]] += 1
    return result


@njit
def _keep_stars(ends: np.ndarray, size: int, keep: np.ndarray) -> np.ndarray:
    """Settle candidates whose rivals all share one and the same peak with them: the best of them is kept.

    ``ends (M, 2)`` are the places of both peaks, see ``_sides``, best candidate first. A candidate without
    rivals is such a star too. Returns the numbers of the other candidates.
    """
    rivals, simple = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for n in range(ends.shape[0]):
        rivals[ends[n, 0]] += 1
        rivals[ends[n, 1]] += 1
    for n in range(ends.shape[0]):
        simple[ends[n, 0]] += int(rivals[ends[n, 1]] == 1)
        simple[ends[n, 1]] += int(rivals[ends[n, 0]] == 1)
    others, taken = np.empty(ends.shape[0], np.int64), np.zeros(size, np.bool_)
    count = 0
    for n in range(ends.shape[0]):
        a, b = ends[n, 0], ends[n, 1]
        centre, tip = (a, b) if rivals[b] == 1 else (b, a)
        if rivals[tip] == 1 and simple[centre] == rivals[centre]:
            keep[n] = not taken[centre]
            taken[centre] = True
        else:
            others[count] = n
            count += 1
    return others[:count]


@njit
def _islands(ends: np.ndarray, members: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates that compete with each other, directly or through others.

    For each of ``members`` (rows of ``ends``) the name of its island, a place; for each place its peak's
    number among those of its side on its island; and for each name the island's rows and columns.
    """
    parent, side = np.arange(size), np.zeros(size, np.int64)
    for m in members:
        a, b = find_root(parent, ends[m, 0]), find_root(parent, ends[m, 1])
        parent[max(a, b)] = min(a, b)
        side[ends[m, 1]] = 1
    numbers, shapes = np.empty(size, np.int64), np.zeros((size, 2), np.int64)
    for place in range(size):
        root = find_root(parent, place)
        numbers[place] = shapes[root, side[place]]
        shapes[root, side[place]] += 1
    names = np.empty(members.size, np.int64)
    for n in range(members.size):
        names[n] = find_root(parent, ends[members[n], 0])
    return names, numbers, shapes


@njit
def _keep_best_sum(
    ends: np.ndarray, ranks: np.ndarray, members: np.ndarray, numbers: np.ndarray, rows: int, cols: int,
    keep: np.ndarray,
) -> None:  # fmt: skip
    """Keep those ``members``, the candidates of one island, that have the largest sum of squares together."""
    swap = rows > cols
    gain = np.zeros((min(rows, cols), max(rows, cols)))
    for m in members:
        a, b = numbers[ends[m, int(swap)]], numbers[ends[m, 1 - int(swap)]]
        gain[a, b] = np.float64(ranks[m]) ** 2
    chosen = assign(gain)
    for m in members:
        keep[m] = chosen[numbers[ends[m, int(swap)]]] == numbers[ends[m, 1 - int(swap)]]


@njit
def match_hungarian(
    links: np.ndarray, scores: np.ndarray, order: np.ndarray, limbs: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """The part of ``order`` in which no peak serves a limb twice: the largest sum of squared scores per limb.

    With the plain sum two weak candidates outdo a strong one that shares a peak with each: the strong one is
    right, and the weak ones are the rest of its ends. Squared, they must have over .7 of its score.
    Candidates that share no peak, not even through others, are settled apart: the sum is the same, and in
    pictures most such islands are a single candidate or share one peak.
    """
    first, second, size = _sides(limbs, starts)
    ends, ranks = np.empty((order.size, 2), np.int64), scores[order]
    for n in range(order.size):
        i = order[n]
        ends[n, 0] = first[links[i, 0]] + links[i, 1]
        ends[n, 1] = second[links[i, 0]] + links[i, 2]
    keep = np.zeros(order.size, np.bool_)
    members = _keep_stars(ends, size, keep)
    if members.size > 0:
        names, numbers, shapes = _islands(ends, members, size)
        by_name = _ascending(names, size)
        begin = 0
        while begin < members.size:
            name, end = names[by_name[begin]], begin
            while end < members.size and names[by_name[end]] == name:
                end += 1
            island = members[by_name[begin:end]]
            _keep_best_sum(ends, ranks, island, numbers, shapes[name, 0], shapes[name, 1], keep)
            begin = end
    return order[keep]
