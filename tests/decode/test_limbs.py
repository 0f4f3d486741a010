"""Limb candidates: hand-computed line integrals and the rules of acceptance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pafpose.decode.limbs import find_links, sample_positions, samples_needed


def score(field, ends, *, samples=10, min_ratio=0.8, length_factor=0.0, near=0.0, cubic=0):
    """Score of the pair of ends ((x, y), (x, y)) cells in a field (2, h, w); None when refused."""
    peaks = np.array([[*end, 1.0] for end in ends])
    links, scores = find_links(
        np.asarray(field, np.float32),
        *np.shape(field)[1:],
        np.array([[0, 1]]),
        peaks,
        np.array([0, 1, 2]),
        sample_positions(samples),
        samples_needed(samples, min_ratio),
        0.05,
        length_factor,
        near,
        0.05,
        cubic,
    )
    assert links.tolist() == [[0, 0, 1]][: len(scores)]
    return float(scores[0]) if len(scores) else None


def constant(vx, vy, shape=(8, 12)):
    return np.stack([np.full(shape, vx), np.full(shape, vy)])


@pytest.mark.parametrize("cubic", [0, 1])
def test_a_constant_field_scores_its_projection(cubic):
    ends = (2, 3), (6, 6)  # direction 0.8, 0.6
    assert score(constant(0.8, 0.6), ends, cubic=cubic) == pytest.approx(1)
    assert score(constant(0.5, 0.5), ends, cubic=cubic) == pytest.approx(0.7)
    assert score(constant(-0.8, -0.6), ends, cubic=cubic) is None
    assert score(constant(0, 0), ends, cubic=cubic) is None


@pytest.mark.parametrize("cubic", [0, 1])
def test_a_ramp_is_read_between_cells(cubic):
    field = np.zeros((2, 5, 12))
    field[0] = np.arange(12) / 10
    assert score(field, ((2.5, 1.3), (7.5, 1.3)), cubic=cubic) == pytest.approx(0.5)


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
@pytest.mark.parametrize("cubic", [0, 1])
def test_thin_fields(shape, cubic):
    assert score(constant(1, 1, shape), ((0, 0), (0.3, 0.4)), cubic=cubic) == pytest.approx(1.4)


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
        peaks = np.concatenate([np.concatenate([firsts, seconds]), np.ones((80, 1))], 1)
        links, scores = find_links(
            field.astype(np.float32), 24, 30, np.array([[0, 1]]), peaks, np.array([0, 40, 80]),
            sample_positions(samples), needed, 0.05, 0.0, 0.0, 0.05, 0,
        )  # fmt: skip
        found = np.zeros((40, 40))
        found[links[:, 1], links[:, 2] - 40] = scores
        assert np.array_equal(found > 0, expected > 0)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        accepted += len(scores)
    assert accepted > 50
