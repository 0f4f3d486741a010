"""Limb candidates: hand-computed line integrals and the rules of acceptance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pafpose.decode.candidates import (
    Candidates,
    LineParameters,
    find_candidates,
    sample_positions,
    samples_needed,
)
from pafpose.decode.interpolation import Interpolation
from pafpose.decode.peaks import Peaks


def candidates_between(field, firsts, seconds, **more) -> Candidates:
    """Candidates of one limb between two types of peaks, (x, y) cells, in a field (2, h, w)."""
    points = np.concatenate(
        [np.array([*firsts, *seconds], float), np.ones((len(firsts) + len(seconds), 1))], 1
    )
    peaks = Peaks(points, np.array([0, len(firsts), len(points)]))
    return find_candidates(np.asarray(field, np.float32), peaks, np.array([[0, 1]]), parameters(**more))


def parameters(
    *,
    samples=10,
    min_ratio=0.8,
    threshold=0.05,
    length_factor=0.0,
    near=0.0,
    interpolation=Interpolation.bilinear,
):
    return LineParameters(
        positions=sample_positions(samples),
        needed=samples_needed(samples, min_ratio),
        threshold=threshold,
        length_factor=length_factor,
        near=near,
        near_score=0.05,
        interpolation=int(interpolation),
    )


def score(field, ends, **more):
    """Score of the pair of ends ((x, y), (x, y)) cells; None when refused."""
    found = candidates_between(field, ends[:1], ends[1:], **more)
    assert found.ends.tolist() == [[0, 0, 1]][: len(found.scores)]
    return float(found.scores[0]) if len(found.scores) else None


def constant(vx, vy, shape=(8, 12)):
    return np.stack([np.full(shape, vx), np.full(shape, vy)])


@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_a_constant_field_scores_its_projection(interpolation):
    ends = (2, 3), (6, 6)  # direction 0.8, 0.6
    assert score(constant(0.8, 0.6), ends, interpolation=interpolation) == pytest.approx(1)
    assert score(constant(0.5, 0.5), ends, interpolation=interpolation) == pytest.approx(0.7)
    assert score(constant(-0.8, -0.6), ends, interpolation=interpolation) is None
    assert score(constant(0, 0), ends, interpolation=interpolation) is None


@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_a_ramp_is_read_between_cells(interpolation):
    field = np.zeros((2, 5, 12))
    field[0] = np.arange(12) / 10
    assert score(field, ((2.5, 1.3), (7.5, 1.3)), interpolation=interpolation) == pytest.approx(0.5)


def test_more_than_the_share_must_pass():
    field = np.zeros((2, 3, 19))
    field[0] = 1
    ends = (0, 1), (18, 1)  # 10 samples, 2 cells apart
    field[0, :, 9:12] = 0  # one of them fails
    assert score(field, ends) == pytest.approx(0.9)
    field[0, :, 7:12] = 0  # two: 8 of 10 are not more than 0.8
    assert score(field, ends) is None
    assert score(field, ends, min_ratio=0.7) == pytest.approx(0.8)


def test_a_mean_below_zero_is_refused():
    field = np.zeros((2, 3, 19))
    field[0] = 0.1
    field[0, :, 0] = -5
    assert score(field, ((0, 1), (18, 1))) is None


def test_long_limbs_lose_score():
    assert score(constant(1, 0), ((0, 1), (8, 1)), length_factor=0.5) == pytest.approx(1 + 4 / 8 - 1)
    assert score(constant(1, 0), ((0, 1), (4, 1)), length_factor=0.5) == pytest.approx(1)
    assert score(constant(0.4, 0), ((0, 1), (8, 1)), length_factor=0.5) is None


def test_near_peaks_need_no_field():
    ends = (2, 3), (2.6, 3)
    assert score(constant(0, 0), ends) is None
    assert score(constant(0, 0), ends, near=1) == pytest.approx(0.05)
    assert score(constant(-1, 0), ends, near=1) == pytest.approx(0.05)
    assert score(constant(0.8, 0), ends, near=1) == pytest.approx(0.8)
    assert score(constant(0, 0), ((2, 3), (3.1, 3)), near=1) is None
    assert score(constant(1, 1), ((2, 3), (2, 3)), near=1) == pytest.approx(0.05)
    assert score(constant(1, 1), ((2, 3), (2, 3))) is None


def test_ends_outside_are_read_at_the_border():
    assert score(constant(1, 0), ((-0.9, 3), (11.8, 3))) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_thin_fields(shape, interpolation):
    assert score(constant(1, 1, shape), ((0, 0), (0.3, 0.4)), interpolation=interpolation) == pytest.approx(
        1.4
    )


def test_samples():
    assert sample_positions(2).tolist() == [0, 1]
    assert np.allclose(np.sort(sample_positions(10)), np.linspace(0, 1, 10))
    assert [samples_needed(10, ratio) for ratio in (0, 0.8, 0.94, 0.999)] == [1, 9, 10, 10]


def every_line(field, firsts, seconds, *, samples, needed, threshold=0.05):
    """Scores ``(A, B)`` of all pairs with every sample read, none given up; 0 where refused."""
    lines = seconds[None] - firsts[:, None]
    length = np.maximum(np.hypot(lines[..., 0], lines[..., 1]), 1e-12)
    spots = firsts[:, None, None] + lines[:, :, None] * np.linspace(0, 1, samples)[:, None]
    x, y = spots[..., 0], spots[..., 1]
    read = [map_coordinates(part, [y, x], order=1, mode="nearest") for part in field]
    along = np.stack([read[0], read[1]], -1) @ (lines / length[..., None])[..., None]
    along = along[..., 0]
    good = ((along > threshold).sum(-1) >= needed) & (along.mean(-1) > 0)
    return np.where(good, along.mean(-1), 0.0)


@pytest.mark.parametrize(("samples", "min_ratio"), [(10, 0.8), (10, 0.5), (7, 0.3), (25, 0.94), (3, 0)])
def test_giving_lines_up_early_loses_none(rng, samples, min_ratio):
    """Thousands of lines through fields in which many hang on a single sample, against reading them all."""
    needed, accepted = samples_needed(samples, min_ratio), 0
    for spread in (0.2, 0.5, 1.0):
        field = rng.normal(0.3, spread, (2, 24, 30))
        firsts, seconds = (rng.uniform((0, 0), (29, 23), (40, 2)) for _ in range(2))
        expected = every_line(field, firsts, seconds, samples=samples, needed=needed)
        ends, scores = candidates_between(field, firsts, seconds, samples=samples, min_ratio=min_ratio)
        found = np.zeros((40, 40))
        found[ends[:, 1], ends[:, 2] - 40] = scores
        assert np.array_equal(found > 0, expected > 0)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        accepted += len(scores)
    assert accepted > 50


def test_candidates_come_by_limb_and_peaks_however_many_there_are(rng):
    """Matching relies on this order: of equal candidates the first is kept."""
    sizes = [30, 25, 40]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    points = np.column_stack([rng.uniform(0, 30, (sum(sizes), 2)), np.ones(sum(sizes))])
    limbs = np.array([[2, 0], [0, 1], [1, 2]])
    fields = np.full((6, 31, 31), 0.7, np.float32)
    found = find_candidates(fields, Peaks(points, starts), limbs, parameters())
    keys = [tuple(row) for row in found.ends.tolist()]
    assert len(keys) > 512 and keys == sorted(set(keys))
    for limb, a, b in keys:
        first, second = limbs[limb]
        assert starts[first] <= a < starts[first + 1] and starts[second] <= b < starts[second + 1]
