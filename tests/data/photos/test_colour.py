"""Colour changes: the linear map against its formula, and its ranges."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.data.photos.colour import ColourSettings, change_colour, colour_matrix


def test_colour_is_one_linear_map_within_its_ranges():
    rng = np.random.default_rng(0)
    still = ColourSettings(p=1, brightness=0, contrast=0, saturation=0, hue=0)
    assert np.allclose(colour_matrix(still, rng, 100), np.eye(3, 4), atol=1e-9)
    grey = np.full((16, 16, 3), 100, np.uint8)
    lights = [change_colour(grey, ColourSettings(brightness=0.3, contrast=0), rng).mean() for _ in range(400)]
    assert 69 < min(lights) < 72 and 128 < max(lights) < 131
    flat = [change_colour(grey, ColourSettings(brightness=0, contrast=0.3), rng) for _ in range(50)]
    assert all(np.abs(f.astype(int) - 100).max() <= 1 for f in flat)  # contrast leaves the mean alone
    turned = change_colour(grey, ColourSettings(brightness=0, contrast=0, saturation=1, hue=180), rng)
    assert np.abs(turned.astype(int) - 100).max() <= 1  # grey has no hue
    red = np.zeros((16, 16, 3), np.uint8) + np.array([200, 60, 60], np.uint8)
    maps = [
        colour_matrix(ColourSettings(brightness=0, contrast=0, saturation=0, hue=30), rng, 0)
        for _ in range(300)
    ]
    luma = np.array([0.299, 0.587, 0.114])
    assert all(np.allclose(m[:, :3] @ (1, 1, 1), 1) for m in maps)  # and grey stays grey
    moved = np.array([m[:, :3] @ red[0, 0] for m in maps])
    assert np.allclose(moved @ luma, red[0, 0] @ luma)  # as bright as before
    photo = rng.integers(0, 256, (9, 7, 3), np.uint8)
    settings = ColourSettings()
    one, two = (change_colour(photo, settings, np.random.default_rng(5)) for _ in range(2))
    exact = colour_matrix(settings, np.random.default_rng(5), float(photo[::8, ::8].mean()))
    by_hand = np.clip(np.rint(photo @ exact[:, :3].T + exact[:, 3]), 0, 255)
    assert np.array_equal(one, two) and np.abs(one - by_hand).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (9, 7), (64, 48)])
def test_the_colour_matrix_follows_the_formula(size):
    """Brightness times contrast about the mean of every eighth row and column; chroma turned in YIQ."""
    rng = np.random.default_rng(1)
    to_yiq = np.array(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
    settings = ColourSettings(brightness=0.2, contrast=0.1, saturation=0.5, hue=40)
    photo = rng.integers(0, 256, (*size, 3), np.uint8)
    mean = photo[::8, ::8].mean()
    for seed in range(20):
        light, contrast, saturation, turn = np.random.default_rng(seed).uniform(-1, 1, 4)
        light, contrast, saturation = 0.2 * light, 0.1 * contrast, 0.5 * saturation
        c, s = np.cos(np.radians(40 * turn)), np.sin(np.radians(40 * turn))
        chroma = np.array(((1, 0, 0), (0, c, -s), (0, s, c))) * np.array(
            [[1], [1 + saturation], [1 + saturation]]
        )
        gain = (1 + light) * (1 + contrast)
        wanted = np.column_stack(
            [gain * np.linalg.inv(to_yiq) @ chroma @ to_yiq, np.full(3, -contrast * (1 + light) * mean)]
        )
        assert np.allclose(colour_matrix(settings, np.random.default_rng(seed), mean), wanted)
        changed = change_colour(photo, settings, np.random.default_rng(seed))
        exact = np.clip(photo @ wanted[:, :3].T + wanted[:, 3], 0, 255)
        assert np.abs(changed - exact).max() <= 1  # OpenCV calculates in fixed point
