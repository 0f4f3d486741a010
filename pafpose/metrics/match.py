"""Detections matched to annotated people as COCOeval does it, compiled; plain arrays in and out."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def match_detections(
    similarity: np.ndarray, ignored: np.ndarray, crowd: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """For every threshold and detection the person it matches, ``(T, D)``, -1 for nobody.

    ``similarity (D, G)`` float64: detections surest first, people with the ignored ones last; ``ignored``
    and ``crowd`` bool ``(G,)``. A detection takes the most similar person (of equal ones the last) that is
    free and not ignored, or else an ignored one; crowds are never used up (``COCOeval.evaluateImg``).
    """
    found, people = similarity.shape
    chosen = np.full((thresholds.size, found), -1)
    for t in range(thresholds.size):
        taken = np.zeros(people, np.bool_)
        for d in range(found):
            best, person = min(thresholds[t], 1 - 1e-10), -1
            for g in range(people):
                if taken[g] and not crowd[g]:
                    continue
                if person > -1 and not ignored[person] and ignored[g]:
                    break
                if similarity[d, g] >= best:
                    best, person = similarity[d, g], g
            if person > -1:
                chosen[t, d], taken[person] = person, True
    return chosen
