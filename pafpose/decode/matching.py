# ruff: noqa: PLR0917 - numba compiles positional calls only
"""Which candidates of one limb are kept: every peak at most once per limb, greedily or optimally.

Both take candidates in any order and settle equal scores by peak number, so the order does not matter.
"""

from __future__ import annotations

import numpy as np

from pafpose.decode.grouping import find_root
from pafpose.decode.kernel import descending, descending_float32, kernel

MATCHING = {"greedy": 0, "hungarian": 1}


@kernel
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


@kernel
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


@kernel
def match_greedy(links: np.ndarray, order: np.ndarray, limbs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The part of ``order`` in which no peak serves a limb twice: best first."""
    num_limbs = limbs.shape[0]
    first, second = np.empty(num_limbs, np.int64), np.empty(num_limbs, np.int64)
    size = 0
    for l in range(num_limbs):  # noqa: E741
        first[l] = size - starts[limbs[l, 0]]
        size += starts[limbs[l, 0] + 1] - starts[limbs[l, 0]]
        second[l] = size - starts[limbs[l, 1]]
        size += starts[limbs[l, 1] + 1] - starts[limbs[l, 1]]
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


@kernel
def _take_best(gain: np.ndarray, row_price: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    """Rows whose best column is free take it, at prices that allow no better sum; which those are."""
    settled = np.zeros(row_price.size, np.bool_)
    for row in range(1, row_price.size):
        best = np.argmax(gain[row - 1])
        row_price[row] = -gain[row - 1, best]
        if row_of[best + 1] == 0:
            row_of[best + 1], settled[row] = row, True
    return settled


@kernel
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


@kernel
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


@kernel
def _islands(
    links: np.ndarray, order: np.ndarray, members: np.ndarray, rows: int, cols: int, a0: int, b0: int
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates of one limb that compete with each other, directly or through others: for each of
    ``members`` (places in ``order``) the name of its island, and ``(nodes, 2)`` number and size: the number
    of every peak among those of its side on its island, and how many there are on the island that it names.
    """
    parent = np.arange(rows + cols)
    for m in members:
        a = find_root(parent, links[order[m], 1] - a0)
        b = find_root(parent, rows + links[order[m], 2] - b0)
        parent[max(a, b)] = min(a, b)
    numbers = np.zeros((rows + cols, 3), np.int64)  # number of the peak; rows and columns of the island
    for node in range(rows + cols):
        root = find_root(parent, node)
        side = 1 if node < rows else 2
        numbers[node, 0] = numbers[root, side]
        numbers[root, side] += 1
    names = np.empty(members.size, np.int64)
    for n in range(members.size):
        names[n] = find_root(parent, links[order[members[n]], 1] - a0)
    return names, numbers


@kernel
def _assign_island(
    links: np.ndarray, scores: np.ndarray, order: np.ndarray, members: np.ndarray, rows: np.ndarray,
    cols: np.ndarray, shape: tuple[int, int], keep: np.ndarray,
) -> None:  # fmt: skip
    """Keep those of ``members``, at ``rows`` and ``cols`` of a matrix, that have the largest sum together."""
    swap = shape[0] > shape[1]
    gain = np.zeros((min(shape), max(shape)))
    for n in range(members.size):
        gain[cols[n] if swap else rows[n], rows[n] if swap else cols[n]] = (
            np.float64(scores[order[members[n]]]) ** 2
        )
    chosen = assign(gain)
    for n in range(members.size):
        keep[members[n]] = chosen[cols[n] if swap else rows[n]] == (rows[n] if swap else cols[n])


@kernel
def match_hungarian(
    links: np.ndarray, scores: np.ndarray, order: np.ndarray, limbs: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """The part of ``order`` in which no peak serves a limb twice: the largest sum of squared scores per limb.

    With the plain sum two weak candidates outdo a strong one that shares a peak with each: the strong one is
    right, and the weak ones are the rest of its ends. Squared, they must have over .7 of its score.
    Candidates that share no peak, not even through others, are settled apart: the sum is the same, and in
    pictures most such islands are a single candidate.
    """
    keep = np.zeros(order.size, np.bool_)
    of_limb = links[order, 0]
    by_limb = _ascending(of_limb, limbs.shape[0])
    begin = 0
    while begin < order.size:
        limb = of_limb[by_limb[begin]]
        end = begin
        while end < order.size and of_limb[by_limb[end]] == limb:
            end += 1
        members = by_limb[begin:end]
        begin = end
        a0, b0 = starts[limbs[limb, 0]], starts[limbs[limb, 1]]
        rows, cols = starts[limbs[limb, 0] + 1] - a0, starts[limbs[limb, 1] + 1] - b0
        names, numbers = _islands(links, order, members, rows, cols, a0, b0)
        by_name = _ascending(names, rows + cols)
        first = 0
        while first < members.size:
            name = names[by_name[first]]
            last = first
            while last < members.size and names[by_name[last]] == name:
                last += 1
            island = members[by_name[first:last]]
            first = last
            if island.size == 1:
                keep[island[0]] = True
                continue
            _assign_island(
                links, scores, order, island, numbers[links[order[island], 1] - a0, 0],
                numbers[rows + links[order[island], 2] - b0, 0], (numbers[name, 1], numbers[name, 2]), keep,
            )  # fmt: skip
    return order[keep]
