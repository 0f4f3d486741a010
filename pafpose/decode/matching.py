"""Which candidates of one limb are kept: every peak at most once per limb, greedily or optimally.

Both take candidates in any order and settle equal scores by peak number, so the order does not matter.
"""

from __future__ import annotations

import numpy as np

from pafpose.decode.kernel import descending, descending_float32, kernel

MATCHING = {"greedy": 0, "hungarian": 1}


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
def assign(gain: np.ndarray) -> np.ndarray:
    """For every row of a matrix of gains >= 0 with rows <= columns, its column in the assignment of
    largest sum: shortest augmenting paths with potentials (Kuhn 1955, Munkres 1957; O(rows^2 columns)).
    """
    rows, cols = gain.shape
    row_price, col_price = np.zeros(rows + 1), np.zeros(cols + 1)
    row_of, via = np.zeros(cols + 1, np.int64), np.zeros(cols + 1, np.int64)
    for row in range(1, rows + 1):
        row_of[0] = row
        col = 0
        slack = np.full(cols + 1, np.inf)
        done = np.zeros(cols + 1, np.bool_)
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
def match_hungarian(
    links: np.ndarray, scores: np.ndarray, order: np.ndarray, limbs: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """The part of ``order`` in which no peak serves a limb twice: the largest sum of scores per limb."""
    keep = np.zeros(order.size, np.bool_)
    for l in range(limbs.shape[0]):  # noqa: E741
        a0, b0 = starts[limbs[l, 0]], starts[limbs[l, 1]]
        rows, cols = starts[limbs[l, 0] + 1] - a0, starts[limbs[l, 1] + 1] - b0
        if rows == 0 or cols == 0:
            continue
        swap = rows > cols
        gain = np.zeros((min(rows, cols), max(rows, cols)))
        for i in order:
            if links[i, 0] == l:
                a, b = links[i, 1] - a0, links[i, 2] - b0
                gain[b if swap else a, a if swap else b] = scores[i]
        chosen = assign(gain)
        for n in range(order.size):
            i = order[n]
            if links[i, 0] == l:
                a, b = links[i, 1] - a0, links[i, 2] - b0
                keep[n] = chosen[b if swap else a] == (a if swap else b)
    return order[keep]
