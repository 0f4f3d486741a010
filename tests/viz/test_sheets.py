"""Grids of panels as pictures and as figures."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.data.photos.images import load_image
from pafpose.viz.sheets import Panel, figure, save_figure, save_picture, tile


def panels(count, size=(60, 80)):
    return [Panel(f"panel {n}", np.full((*size, 3), 40 * n % 256, np.uint8)) for n in range(count)]


@pytest.mark.parametrize(("count", "columns", "grid"), [(1, None, (1, 1)), (5, None, (1, 5)), (5, 3, (2, 3))])
def test_tile_is_a_grid(count, columns, grid):
    out = tile(panels(count), columns=columns, gap=6)
    assert out.shape == (grid[0] * (60 + 18 + 6) + 6, grid[1] * (80 + 6) + 6, 3)
    if count > 1:
        assert (out[6 + 18 : 6 + 18 + 60, 6 + 86 : 6 + 86 + 80] == 40).all()


def test_tile_takes_pictures_of_different_sizes():
    mixed = [Panel("a", np.zeros((50, 90, 3), np.uint8)), Panel("b", np.zeros((80, 30, 3), np.uint8))]
    assert tile(mixed).shape == (6 + 80 + 18 + 6, 2 * 96 + 6, 3)


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_figures_are_written(tmp_path, suffix):
    path = save_figure(figure(panels(5), columns=2, heading="a photo"), tmp_path / "new" / f"sheet{suffix}")
    assert path.stat().st_size > 1000


def test_pictures_keep_their_colours(tmp_path, rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (load_image(save_picture(image, tmp_path / "new" / "a.png")) == image).all()
