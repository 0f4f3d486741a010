"""Groups of nodes that grow by joining: each node points towards the first node of its group."""

from __future__ import annotations

import numpy as np

from pafpose.runtime.jit import njit


@njit
def find_root(parent: np.ndarray, node: int) -> int:
    """Return the first node of a node's group, and shorten the way to it."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
