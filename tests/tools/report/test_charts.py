"""Numbers, ticks and colours; every chart is well-formed XML whatever the names are."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from pafpose.tools.report.charts import (
    curve_chart,
    effect_chart,
    heat_colour,
    interaction_chart,
    number,
    share_in,
    ticks,
)
from pafpose.tools.report.curves import Curve, choose_tags, thin
from pafpose.tools.report.statistics import Effect, Interaction, Level

NASTY = '<b>"x" & y'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5123, "0.512"),
        (0, "0.000"),
        (1, "1"),
        (2400, "2400"),
        (7.25, "7.250"),
        (31.44, "31.44"),
        (math.nan, "–"),
    ],
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_ticks_are_round_and_inside() -> None:
    np.testing.assert_allclose(ticks((0.19, 0.71)), [0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert ticks((0, 2400)) == [0, 500, 1000, 1500, 2000]


def test_colours_darken_from_low_to_high() -> None:
    brightness = [int(heat_colour(share)[1:3], 16) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert brightness == sorted(brightness, reverse=True) and brightness[0] > 230 and brightness[-1] < 20


def test_where_a_value_lies() -> None:
    assert share_in(3, (2, 4)) == share_in(7, (7, 7)) == 0.5


def test_charts_are_well_formed() -> None:
    effect = Effect(NASTY, (Level(NASTY, (0.1, 0.2)), Level("one", (0.3,))), 0.5)
    means, counts = np.array([[0.1, np.nan]]), np.array([[2, 0]])
    pair = Interaction(NASTY, NASTY, (NASTY,), ("a", NASTY), means, counts, 0.1)
    curve, point = Curve(np.arange(5.0), np.arange(5.0)), Curve(np.array([3.0]), np.array([1.0]))
    lines = [(NASTY, curve), ("single", point)] * 4
    for svg in (effect_chart(effect, (0, 1)), interaction_chart(pair), curve_chart(lines, NASTY)):
        root = ET.fromstring(svg)
        assert NASTY in "".join(root.itertext())
        assert "nan" not in svg


def test_a_flat_curve_and_equal_cells_have_room() -> None:
    flat = Curve(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    assert "nan" not in curve_chart([("x", flat)], "t")
    one = Interaction("a", "b", ("1",), ("2",), np.array([[0.5]]), np.array([[1]]), 0.0)
    assert "nan" not in interaction_chart(one)


def test_thinning_keeps_the_mean() -> None:
    curve = Curve(np.arange(1600.0), np.arange(1600.0) ** 2)
    small = thin(curve, 80)
    assert len(small.steps) == 80 and small.values.mean() == pytest.approx(curve.values.mean())


def test_tags_worth_a_chart() -> None:
    long, short = Curve(np.arange(3.0), np.arange(3.0)), Curve(np.zeros(1), np.zeros(1))
    tags = {"train/loss": long, "val/AP": long, "lr-AdamW": long, "val/AR": short, "train/paf": long}
    assert choose_tags([tags, {}]) == ["val/AP", "train/loss", "train/paf"]
