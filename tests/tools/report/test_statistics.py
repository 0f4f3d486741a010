"""Effects and interactions against cases worked out by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from pafpose.tools.report.collect import Run
from pafpose.tools.report.statistics import (
    additive_rest,
    effects,
    interactions,
    level_names,
    ordered,
    ranked,
    share_of_variance,
)


def run(ap: float | None, *, state: str = "done", **choices: str) -> Run:
    metrics = {} if ap is None else {"AP": ap}
    return Run(Path("x"), "x", state, metrics=metrics, choices=choices)


GRID = [run(a + b, one=str(a), two=str(b)) for a, b in itertools.product((0, 10), (1, 2, 3))]


def test_means_and_spreads_over_the_other_choice() -> None:
    one, two = effects(GRID, "AP")
    assert (one.key, two.key) == ("one", "two")
    assert [(level.value, level.mean, len(level.scores)) for level in one.levels] == [
        ("0", 2, 3),
        ("10", 12, 3),
    ]
    assert [level.spread for level in one.levels] == [1, 1]
    assert [level.mean for level in two.levels] == [6, 7, 8]
    assert two.levels[0].spread == pytest.approx(math.sqrt(50))
    assert one.gain == 10 and two.gain == 2
    # total sum of squares 154 = 150 between the values of one + 4 between those of two
    assert one.share == pytest.approx(150 / 154) and two.share == pytest.approx(4 / 154)


def test_one_run_per_value_has_no_spread() -> None:
    (effect,) = effects([run(0.1, a="1"), run(0.3, a="2")], "AP")
    assert all(math.isnan(level.spread) for level in effect.levels)


def test_failed_runs_count_nowhere() -> None:
    runs = [*GRID, run(99, state="failed", one="0", two="1"), run(None, state="unfinished", one="5", two="1")]
    assert effects(runs, "AP") == effects(GRID, "AP")
    assert ranked(runs, "AP")[0].metrics["AP"] == 13
    assert [r.state for r in ranked(runs, "AP")[-2:]] == ["failed", "unfinished"]


@pytest.mark.parametrize("runs", [[], [run(0.5)], [run(0.5, a="1")], [run(None, state="failed", a="1")]])
def test_nothing_to_compare(runs: list[Run]) -> None:
    assert effects(runs, "AP") == [] and interactions(runs, "AP") == []


def test_sums_do_not_interact_and_an_exclusive_or_does() -> None:
    (pair,) = interactions(GRID, "AP")
    assert pair.strength == pytest.approx(0, abs=1e-12)
    assert pair.rows == ("0", "10") and pair.columns == ("1", "2", "3")
    np.testing.assert_allclose(pair.means, [[1, 2, 3], [11, 12, 13]])
    assert (pair.counts == 1).all()
    assert additive_rest(np.array([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(1)


def test_pairs_without_a_run_are_nan() -> None:
    (pair,) = interactions(GRID[:-1], "AP")
    assert math.isnan(pair.means[1, 2]) and pair.counts[1, 2] == 0
    assert pair.strength == pytest.approx(0, abs=1e-12)
    assert additive_rest(np.array([[1.0, np.nan], [np.nan, 2.0]])) == 0


def test_share_of_variance_when_nothing_varies() -> None:
    assert share_of_variance([[1.0, 1.0], [1.0]]) == 0


def test_many_numbers_become_ranges_with_equal_counts() -> None:
    values = [str(v) for v in np.linspace(0, 10, 40)]
    names = level_names(values)
    assert [names.count(name) for name in ordered(names)] == [10, 10, 10, 10]
    assert ordered(names)[0].startswith("0 …") and ordered(names)[-1].endswith("… 10")
    assert level_names(["a"] * 30) == ["a"] * 30
    words = [f"w{n}" for n in range(30)]
    assert level_names(words) == words


def test_numbers_are_ordered_by_size_before_words() -> None:
    assert ordered(["16", "8", "none", "4", "8"]) == ["4", "8", "16", "none"]
