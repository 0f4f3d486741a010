"""What each choice does to a metric: means and spreads over the other choices, shares of variance, pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pafpose.tools.report.collect import DONE, Run

MAX_LEVELS = 10  # more different numbers than this are grouped into ranges


@dataclass(frozen=True)
class Level:
    """All finished runs with one value of a choice."""

    value: str
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the other choices."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """Standard deviation over the other choices (n - 1); NaN for a single run."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else math.nan


@dataclass(frozen=True)
class Effect:
    """One choice: its levels in order and the share of the metric's variance between them."""

    key: str
    levels: tuple[Level, ...]
    share: float  # eta squared, 0..1

    @property
    def gain(self) -> float:
        """Difference between the best and the worst mean."""
        means = [level.mean for level in self.levels]
        return max(means) - min(means)


@dataclass(frozen=True)
class Interaction:
    """Means of the metric over every pair of values of two choices; NaN where no run is."""

    row_key: str
    column_key: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    means: np.ndarray  # (rows, columns)
    counts: np.ndarray  # (rows, columns) int
    strength: float  # share of the cells' variance that no sum of the two choices explains, 0..1


def ranked(runs: Sequence[Run], metric: str) -> list[Run]:
    """Finished runs with the metric, best first; then the others in their order."""
    good = [run for run in runs if has_score(run, metric)]
    bad = [run for run in runs if not has_score(run, metric)]
    return sorted(good, key=lambda run: -run.metrics[metric]) + bad


def has_score(run: Run, metric: str) -> bool:
    """Whether a run counts in statistics."""
    return run.state == DONE and metric in run.metrics


def effects(runs: Sequence[Run], metric: str) -> list[Effect]:
    """The choices that have two values or more among finished runs, the one that explains most first."""
    runs = [run for run in runs if has_score(run, metric)]
    found = [_effect(runs, key, metric) for key in _keys(runs)]
    return sorted((e for e in found if len(e.levels) > 1), key=lambda e: -e.share)


def interactions(runs: Sequence[Run], metric: str, *, most: int = 6) -> list[Interaction]:
    """Every pair of the ``most`` strongest choices, the most entangled pair first."""
    keys = [effect.key for effect in effects(runs, metric)][:most]
    runs = [run for run in runs if has_score(run, metric)]
    pairs = [_interaction(runs, pair, metric) for pair in itertools.combinations(keys, 2)]
    return sorted(pairs, key=lambda pair: -pair.strength)


def share_of_variance(groups: Sequence[Sequence[float]]) -> float:
    """Eta squared: the sum of squares between groups over the total; 0 when nothing varies."""
    everything = np.concatenate([np.asarray(group, float) for group in groups])
    total = float(((everything - everything.mean()) ** 2).sum())
    between = sum(len(group) * (float(np.mean(group)) - everything.mean()) ** 2 for group in groups)
    return float(between / total) if total > 0 else 0.0


def level_names(values: Sequence[str]) -> list[str]:
    """For each value the level that it belongs to: itself, or one of four ranges of many numbers."""
    numbers = [_number(value) for value in values]
    if len(set(values)) <= MAX_LEVELS or None in numbers:
        return list(values)
    array = np.asarray(numbers, float)
    edges = np.unique(np.quantile(array, (0, 0.25, 0.5, 0.75, 1)))
    place = np.clip(np.searchsorted(edges, array, side="right") - 1, 0, len(edges) - 2)
    return [f"{edges[p]:.3g} … {edges[p + 1]:.3g}" for p in place]


def ordered(values: Sequence[str]) -> list[str]:
    """Different values, numbers (and ranges, by their start) by size, the rest by name."""
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
    """Share of the variance of the cell means (NaN: empty) that the best sum ``row + column`` leaves over."""
    i, j = np.nonzero(np.isfinite(means))
    if len(i) < sum(means.shape):
        return 0.0  # too few cells to tell
    design = np.zeros((len(i), sum(means.shape)))
    design[np.arange(len(i)), i] = 1
    design[np.arange(len(i)), means.shape[0] + j] = 1
    cells = means[i, j]
    left = cells - design @ np.linalg.lstsq(design, cells, rcond=None)[0]
    total = float(((cells - cells.mean()) ** 2).sum())
    return float((left**2).sum() / total) if total > 0 else 0.0
