"""Measure by how many pixels found keypoints miss their places: PCK, and mean and median pixel error.

Found people are those that the error report matched to annotated ones (``pafpose.metrics.errors``). With
``d`` the distance in pixels of a found keypoint to its annotated place, and ``D`` the diagonal of the upright
box around the labelled keypoints of that annotated person,

    ``PCK@a = number of labelled keypoints with d <= a D / number of labelled keypoints``.

A labelled keypoint counts as wrong when it was not found or its person is unseen. People whose labelled
keypoints lie in one place have ``D = 0`` and count in neither number. Crowds do not count either, and people
found in the background cost nothing: AP judges them. Mean and median are over ``d`` of the found keypoints
alone, so they must be read together with the share that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Reduce = Callable[[np.ndarray], Any]

SHARES = (0.05, 0.1, 0.2)  # of the body's length


@dataclass(frozen=True)
class Distances:
    """Pixels from annotated to found keypoints of P annotated people, and the body's length of each."""

    keypoints: tuple[str, ...]  # K scored ones
    labelled: np.ndarray  # (P, K) bool
    pixels: np.ndarray  # (P, K); NaN where the keypoint is not labelled, not found, or its person unseen
    lengths: np.ndarray  # (P,) diagonals of the boxes around the labelled keypoints

    def pck(self, share: float) -> np.ndarray:
        """Return ``(1 + K,)``: PCK at a share of the body's length, of all keypoints and of each; or NaN."""
        counts = self.labelled & (self.lengths > 0)[:, None]
        right = counts & (self.pixels <= share * self.lengths[:, None])  # NaN compares as false
        return _over_all_and_each(right, np.sum) / _at_least_one(_over_all_and_each(counts, np.sum))

    def found_share(self) -> np.ndarray:
        """Return ``(1 + K,)``: the share of labelled keypoints that were found at all; or NaN."""
        there = _over_all_and_each(np.isfinite(self.pixels), np.sum)
        return there / _at_least_one(_over_all_and_each(self.labelled, np.sum))

    def mean(self) -> np.ndarray:
        """Return ``(1 + K,)``: the mean pixel error of the keypoints that were found; or NaN."""
        return _over_all_and_each(self.pixels, lambda values: _or_nan(np.mean, values))

    def median(self) -> np.ndarray:
        """Return ``(1 + K,)``: the median pixel error of the keypoints that were found; or NaN."""
        return _over_all_and_each(self.pixels, lambda values: _or_nan(np.median, values))

    def metrics(self) -> dict[str, float]:
        """Return flat numbers for metrics.json: of all keypoints, and with the name of each one."""
        rows = {f"pck_{100 * share:.0f}": self.pck(share) for share in SHARES}
        rows |= {
            "found_share": self.found_share(),
            "pixels_mean": self.mean(),
            "pixels_median": self.median(),
        }
        names = ("", *(f"_{name}" for name in self.keypoints))
        return {
            f"{key}{name}": value
            for key, values in rows.items()
            for name, value in zip(names, values.tolist(), strict=True)
        }


def measure_distances(
    keypoints: tuple[str, ...], true: np.ndarray, found: Mapping[int, np.ndarray]
) -> Distances:
    """Measure ``found`` people ``(K, 3)``, by the index of their match in ``true (P, K, 3)``.

    Keypoints are x, y in pixels and v; v is 0 where a keypoint is not labelled or was not found.
    """
    true = true.reshape(-1, len(keypoints), 3)
    labelled = np.asarray(true[..., 2] > 0)
    pixels = np.full(labelled.shape, np.nan)
    for person, points in found.items():
        both = labelled[person] & (points[:, 2] > 0)
        pixels[person, both] = np.linalg.norm(points[both, :2] - true[person, both, :2], axis=-1)
    return Distances(keypoints, labelled, pixels, _diagonals(true, labelled))


def _diagonals(true: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    low = np.where(labelled[..., None], true[..., :2], np.inf).min(1, initial=np.inf)
    high = np.where(labelled[..., None], true[..., :2], -np.inf).max(1, initial=-np.inf)
    return np.linalg.norm(np.where(labelled.any(1, keepdims=True), high - low, 0), axis=-1)


def _over_all_and_each(values: np.ndarray, reduce: Reduce) -> np.ndarray:
    return np.array([reduce(values), *(reduce(column) for column in values.T)], float)


def _at_least_one(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, counts, np.nan)


def _or_nan(reduce: Reduce, values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(reduce(there)) if there.size else float("nan")
