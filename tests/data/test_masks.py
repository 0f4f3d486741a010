"""Masks in run lengths: the frame of polygons, both forms of run lengths, and unions."""

from __future__ import annotations

import numpy as np

from pafpose.data.masks import decode_union, encode_counts, encode_polygons


def test_polygons_are_measured_from_the_outer_corner_of_the_first_pixel():
    square = np.array([1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0])
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    assert np.array_equal(decode_union([encode_polygons([square], (5, 6))], (5, 6)), expected)


def test_run_lengths_go_down_the_columns(rng):
    for _ in range(20):
        mask = rng.random((7, 5)) < 0.5
        counts, value = [0], False
        for pixel in mask.T.ravel():
            if pixel != value:
                counts.append(0)
                value = pixel
            counts[-1] += 1
        assert np.array_equal(decode_union([encode_counts(counts, (7, 5))], (7, 5)), mask)


def test_unions():
    top, left = np.array([0.0, 0, 4, 0, 4, 1, 0, 1]), np.array([0.0, 0, 1, 0, 1, 3, 0, 3])
    both = encode_polygons([top, left], (3, 4))
    expected = np.zeros((3, 4), bool)
    expected[0], expected[:, 0] = True, True
    assert np.array_equal(decode_union([both], (3, 4)), expected)
    parts = [encode_polygons([polygon], (3, 4)) for polygon in (top, left)]
    assert np.array_equal(decode_union(parts, (3, 4)), expected)
