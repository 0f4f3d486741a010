"""Peaks: exact for Gaussians wherever they lie, alone, at borders and close together."""

from __future__ import annotations

import decode_scenes as scenes
import numpy as np
import pytest
import torch

from pafpose.decode.overlap import split_peaks
from pafpose.decode.peaks import (
    PeakParameters,
    Peaks,
    Refine,
    _find_maxima,
    _picture_variance,
    find_peaks,
    least_support,
)

SIGMA = 7 / 8  # cells


def gaussians(centres, shape=(16, 16), sigma=SIGMA, truncate=0.01):
    """Gaussians at (x, y) cells merged with max."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = np.zeros(shape)
    for cx, cy in centres:
        blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
        np.maximum(plane, np.where(blob < truncate, 0, blob), out=plane)
    return plane.astype(np.float32)


def peaks_of(plane, **settings):
    return peaks_of_maps(plane[None], **settings).points


def peaks_of_maps(
    maps, *, refine="log_quadratic", sigma=SIGMA, max_peaks=64, split_error=0.04, threshold=0.1, support=0.0
) -> Peaks:
    maps = np.ascontiguousarray(maps)
    least = least_support(support, sigma**2)
    rule = PeakParameters(threshold, max_peaks, least, int(Refine[refine]), sigma**2)
    peaks, cells, variance = find_peaks(maps, rule)
    return split_peaks(maps, cells, peaks, variance, split_error) if split_error else peaks


def error(found, centre):
    return np.hypot(found[:, 0] - centre[0], found[:, 1] - centre[1]).min()


def test_a_lone_gaussian_is_found_exactly(rng):
    for _ in range(200):
        centre = rng.uniform(-0.49, 15.49, 2)
        found = peaks_of(gaussians([centre]))
        assert len(found) == 1
        assert error(found, centre) < 1e-3
        assert found[0, 2] == pytest.approx(1, abs=1e-3)


def test_any_width_is_exact_in_the_middle(rng):
    for sigma in (0.6, 1.0, 1.75, 3.0):
        centre = rng.uniform(7, 9, 2)
        found = peaks_of(gaussians([centre], sigma=sigma), split_error=0)
        assert error(found, centre) < 1e-3


def test_close_gaussians_are_exact(rng):
    for _ in range(400):
        centre, angle = rng.uniform(5, 10, 2), rng.uniform(0, 2 * np.pi)
        other = centre + rng.uniform(2.0, 5) * np.array([np.cos(angle), np.sin(angle)])
        found = peaks_of(gaussians([centre, other]))
        assert len(found) == 2
        assert max(error(found, centre), error(found, other)) < 0.02


def test_gaussians_too_close_for_two_maxima_are_told_apart(rng):
    right = 0
    for _ in range(200):
        centre, angle = rng.uniform(5, 10, 2), rng.uniform(0, 2 * np.pi)
        other = centre + rng.uniform(0.8, 2.0) * np.array([np.cos(angle), np.sin(angle)])
        found = peaks_of(gaussians([centre, other]))
        right += len(found) == 2 and max(error(found, centre), error(found, other)) < 0.02
    assert right >= 180


def test_a_wide_blob_is_one_peak():
    for sigma in (0.7, 1.2, 1.6):
        assert len(peaks_of(gaussians([(7.3, 8.2)], sigma=sigma))) == 1


def test_noise_moves_a_peak_a_little(rng):
    errors = []
    for _ in range(200):
        centre = rng.uniform(3, 12, 2)
        noisy = gaussians([centre]) + rng.normal(0, 0.02, (16, 16)).astype(np.float32)
        errors.append(error(peaks_of(noisy), centre))
    assert np.mean(errors) < 0.04
    assert np.max(errors) < 0.25


@pytest.mark.parametrize(("refine", "worst"), [("none", 0.72), ("quadratic", 0.12), ("log_quadratic", 1e-3)])
def test_refinements_differ_as_documented(rng, refine, worst):
    errors = []
    for _ in range(100):
        centre = rng.uniform(3, 12, 2)
        errors.append(error(peaks_of(gaussians([centre]), refine=refine, split_error=0), centre))
    assert max(errors) < worst


def test_a_plateau_has_one_peak_its_first_cell():
    plane = np.zeros((6, 6), np.float32)
    plane[2:4, 3:5] = 0.7
    assert peaks_of(plane, refine="none", split_error=0).tolist() == [[3, 2, pytest.approx(0.7)]]


def test_the_strongest_are_kept_in_reading_order():
    plane = np.zeros((3, 9), np.float32)
    plane[1, [1, 3, 5, 7]] = 0.5, 0.9, 0.5, 0.8
    found = peaks_of(plane, refine="none", max_peaks=3, split_error=0)
    assert found[:, 0].tolist() == [1, 3, 7]


def test_maxima_are_those_of_plain_comparisons(rng):
    """Wherever they lie: corners, borders, plateaus, one row or column."""
    for rows, cols in [
        (1, 1),
        (1, 9),
        (7, 1),
        (5, 6),
        (13, 17),
    ]:
        maps = np.round(rng.uniform(-0.2, 1, (4, rows, cols)), 1).astype(np.float32)
        found, starts = peaks_of_maps(maps, refine="none", max_peaks=999, split_error=0)
        expected = []
        for plane in maps:
            padded = np.pad(plane, 1, constant_values=-9)
            around = [padded[y : y + rows, x : x + cols] for y in range(3) for x in range(3)]
            before, after = np.max(around[:4], 0), np.max(around[5:], 0)
            y, x = np.nonzero((plane > np.float32(0.1)) & (plane > before) & (plane >= after))
            expected.append([(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])
        got = [list(map(tuple, found[starts[k] : starts[k + 1], :2].astype(int).tolist())) for k in range(4)]
        assert got == expected


def test_overlaps_do_not_depend_on_the_order_of_people(coco18):
    people = [scenes.figure(coco18, x, 20, 100) for x in (60, 66, 73)]
    one, other = (scenes.fields(coco18, p, (144, 144))[0].numpy() for p in (people, people[::-1]))
    assert np.array_equal(one, other)


def test_no_people_no_peaks():
    assert peaks_of(np.zeros((5, 7), np.float32)).shape == (0, 3)
    assert torch.from_numpy(peaks_of(np.zeros((1, 1), np.float32))).shape == (0, 3)


def test_wider_peaks_than_expected_are_measured_from_the_picture(rng):
    centres = [
        (x + rng.uniform(-0.5, 0.5), y + rng.uniform(-0.5, 0.5)) for x in (5, 13, 21) for y in (5, 13, 21)
    ]
    pair = [(5.2, 30.1), (7.4, 30.6)]  # too near each other for the known width to be right
    found = peaks_of(gaussians([*centres, *pair], shape=(36, 28), sigma=1.2 * SIGMA))
    assert max(error(found, centre) for centre in centres) < 1e-3
    assert max(error(found, centre) for centre in pair) < 0.05


def lattice(rng, count=12, size=64):
    """Centres far from each other and from the border."""
    places = [(x, y) for y in range(8, size - 8, 12) for x in range(8, size - 8, 12)]
    return np.array([places[i] for i in rng.permutation(len(places))[:count]]) + rng.uniform(
        -0.5, 0.5, (count, 2)
    )


def test_noise_is_not_taken_for_neighbours(rng):
    """Two Gaussians explain a noisy patch better than one, but so they do everywhere in the picture."""
    added = 0
    for noise in (0.04, 0.06, 0.08):
        plane = gaussians(lattice(rng), (64, 64)) + rng.normal(0, noise, (64, 64)).astype(np.float32)
        added += len(peaks_of(plane)) - len(peaks_of(plane, split_error=0))
    assert added <= 1


def test_a_neighbour_among_clean_peaks_is_still_told_apart(rng):
    right = 0
    for _ in range(50):
        centres, angle = lattice(rng), rng.uniform(0, 2 * np.pi)
        hidden = centres[0] + 1.4 * np.array([np.cos(angle), np.sin(angle)])
        found = peaks_of(gaussians([*centres, hidden], (64, 64)))
        right += len(found) == 13 and error(found, hidden) < 0.02
    assert right >= 45


def test_faint_gaussians_have_support_and_noise_has_not(rng):
    for sigma in (0.4, SIGMA, 2.0):
        for _ in range(100):
            faint = 0.09 * gaussians([rng.uniform(2, 13, 2)], sigma=sigma, truncate=0)
            found = peaks_of(faint, sigma=sigma, split_error=0, support=0.999, threshold=0.003)
            assert len(found) == 1
    noise = rng.normal(0, 0.02, (64, 64)).astype(np.float32)
    kept, dropped = (len(peaks_of(noise, threshold=0.02, support=s, max_peaks=999)) for s in (0.7, 0))
    assert kept < 0.2 * dropped and dropped > 100
    noise[5, 5] = 0.1  # no longer faint
    assert [5, 5] in peaks_of(noise, refine="none", threshold=0.02, support=0.7)[:, :2].tolist()


def test_noise_does_not_hide_how_wide_the_peaks_are(rng):
    """Faint maxima are narrow; those of people say how wide the Gaussians are."""
    centres = lattice(rng)
    noise = rng.normal(0, 0.015, (64, 64)).astype(np.float32)
    faint = np.where(gaussians(centres, (64, 64), sigma=3) > 0.001, 0, noise)
    plane = gaussians(centres, (64, 64), sigma=1.3 * SIGMA) + faint
    cells, starts = _find_maxima(plane[None], 0.01, 999, -np.inf)
    assert len(cells) > 5 * len(centres)
    assert _picture_variance(plane[None], cells, starts, SIGMA**2) == pytest.approx(
        (1.3 * SIGMA) ** 2, rel=0.02
    )
