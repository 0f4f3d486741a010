"""Compute how choices affect a metric: means and spreads, explained variance, interactions of pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pafpose.tools.report.collect import DONE, Run

MAX_LEVELS = 10  # a choice with more different numbers is grouped into ranges


@dataclass(frozen=True)
class Level:
    """All finished runs with one value of a choice."""

    value: str
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean over the other choices."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """Return the standard deviation over the other choices (n - 1); NaN for a single run."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else math.nan


@dataclass(frozen=True)
class Effect:
    """A choice, its levels in order, and the share of the metric's variance that it explains."""

    key: str
    levels: tuple[Level, ...]
    share: float  # eta squared, 0..1

    @property
    def gain(self) -> float:
        """Return the difference between the best and the worst mean."""
        means = [level.mean for level in self.levels]
        return max(means) - min(means)


@dataclass(frozen=True)
class Interaction:
    """Means of the metric for every pair of values of two choices; NaN where there is no run."""

    row_key: str
    column_key: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    means: np.ndarray  # (rows, columns)
    counts: np.ndarray  # (rows, columns) int
    strength: float  # share of the variance of the means that no sum of two effects explains, 0..1


def ranked(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return the finished runs with the metric, best first, then the others in their order."""
    good = [run for run in runs if has_score(run, metric)]
    bad = [run for run in runs if not has_score(run, metric)]
    return sorted(good, key=lambda run: -run.metrics[metric]) + bad


def has_score(run: Run, metric: str) -> bool:
    """Tell whether a run counts in the statistics."""
    return run.state == DONE and metric in run.metrics


def effects(runs: Sequence[Run], metric: str) -> list[Effect]:
    """Return the choices with two or more values among finished runs, the most important first."""
    runs = [run for run in runs if has_score(run, metric)]
    found = [_effect(runs, key, metric) for key in _keys(runs)]
    return sorted((e for e in found if len(e.levels) > 1), key=lambda e: -e.share)


def interactions(runs: Sequence[Run], metric: str, *, most: int = 6) -> list[Interaction]:
    """Return the pairs of the ``most`` most important choices, the strongest interaction first."""
    keys = [effect.key for effect in effects(runs, metric)][:most]
    runs = [run for run in runs if has_score(run, metric)]
    pairs = [_interaction(runs, pair, metric) for pair in itertools.combinations(keys, 2)]
    return sorted(pairs, key=lambda pair: -pair.strength)


def share_of_variance(groups: Sequence[Sequence[float]]) -> float:
    """Return eta squared, the sum of squares between groups over the total; 0 when nothing varies."""
    everything = np.concatenate([np.asarray(group, float) for group in groups])
    total = float(((everything - everything.mean()) ** 2).sum())
    between = sum(len(group) * (float(np.mean(group)) - everything.mean()) ** 2 for group in groups)
    return float(between / total) if total > 0 else 0.0


def level_names(values: Sequence[str]) -> list[str]:
    """Return the level of each value: the value itself, or one of four ranges when there are many."""
    numbers = [_number(value) for value in values]
    if len(set(values)) <= MAX_LEVELS or None in numbers:
        return list(values)
    array = np.asarray(numbers, float)
    edges = np.unique(np.quantile(array, (0, 0.25, 0.5, 0.75, 1)))
    place = np.clip(np.searchsorted(edges, array, side="right") - 1, 0, len(edges) - 2)
    return [f"{edges[p]:.3g} … {edges[p + 1]:.3g}" for p in place]


def ordered(values: Sequence[str]) -> list[str]:
    """Return the different values in order: numbers and ranges by size, then words by name."""
    firsts = {value: _number(value.split(" … ")[0]) for value in values}
    return sorted(firsts, key=lambda v: (firsts[v] is None, firsts[v] or 0.0, v))


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _keys(runs: Sequence[Run]) -> list[str]:
    return list(runs[0].choices) if runs else []


def _effect(runs: Sequence[Run], key: str, metric: str) -> Effect:
    names = level_names([run.choices[key] for run in runs])
    levels = [
        Level(
            value, tuple(run.metrics[metric] for run, name in zip(runs, names, strict=True) if name == value)
        )
        for value in ordered(names)
    ]
    return Effect(key, tuple(levels), share_of_variance([level.scores for level in levels]))


def _interaction(runs: Sequence[Run], keys: tuple[str, str], metric: str) -> Interaction:
    scores = np.array([run.metrics[metric] for run in runs])
    names = [np.array(level_names([run.choices[key] for run in runs])) for key in keys]
    rows, columns = (ordered(list(values)) for values in names)
    counts = np.zeros((len(rows), len(columns)), int)
    means = np.full(counts.shape, np.nan)
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        chosen = scores[(names[0] == row) & (names[1] == column)]
        counts[i, j] = len(chosen)
        means[i, j] = chosen.mean() if len(chosen) else np.nan
    strength = additive_rest(means)
    return Interaction(keys[0], keys[1], tuple(rows), tuple(columns), means, counts, strength)


def additive_rest(means: np.ndarray) -> float:
    """Return the share of the variance of the means that the best fit ``row + column`` leaves.

    Cells with NaN are empty.
    """
    i, j = np.nonzero(np.isfinite(means))
    if len(i) < sum(means.shape):
        return 0.0  # too few cells for a fit
    design = np.zeros((len(i), sum(means.shape)))
    design[np.arange(len(i)), i] = 1
    design[np.arange(len(i)), means.shape[0] + j] = 1
    cells = means[i, j]
    left = cells - design @ np.linalg.lstsq(design, cells, rcond=None)[0]
    total = float(((cells - cells.mean()) ** 2).sum())
    return float((left**2).sum() / total) if total > 0 else 0.0
