"""The decode benchmark: its rows, and that its reference finds the same people."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.decode import GROWTH, _crowd, _fields, decode_table, growth_table, plain_decode
from pafpose.decode import Decoder, DecodeSettings


def test_the_reference_finds_the_same_people(coco18):
    rng = np.random.default_rng(0)
    fields = _fields(_crowd(rng, 6, coco18), coco18, stride=8, rng=rng)
    plain = plain_decode(*fields, coco18, stride=8)
    found = Decoder(coco18, DecodeSettings(), stride=8, heatmap_sigma=7)(*fields)
    assert len(plain) == len(found.scores) == 6
    for _, person in plain:
        distance = [
            max(np.hypot(*(body[k, :2].numpy() - xy)) for k, xy in person.items()) for body in found.keypoints
        ]
        assert min(distance) < 3


@pytest.mark.slow
def test_rows_and_a_clear_lead(coco18, coco_mini):
    rows = decode_table(coco18, coco_mini, rounds=1)
    assert [row["people"] for row in rows] == ["real", "10", "50", "100"]
    for row in rows:
        assert row["decode_ms"] > 0
        assert row["x"] > 3
        assert row["AP"] > (0.75 if row["people"] == "real" else 0.97) and row["AP"] >= row["numpy_AP"] > 0.6


@pytest.mark.slow
def test_larger_maps_cost_more_only_where_cells_are_looked_at(coco18):
    rows = {(row["map"], row["people"]): row for row in growth_table(coco18, rounds=2)}
    assert {people for size, people in rows if size == 46} == set(GROWTH)
    assert rows[184, 50]["found"] >= 45
    # 16 times the cells; the factor 4 leaves room for people who overlap less and for a busy machine
    assert rows[184, 100]["limbs_ms"] + rows[184, 100]["people_ms"] < 4 * (
        rows[46, 100]["limbs_ms"] + rows[46, 100]["people_ms"]
    )
