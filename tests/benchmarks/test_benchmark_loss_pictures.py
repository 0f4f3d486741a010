"""Loss curves as a picture: a line for every run, shares of the start; the one of docs/models.md is shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from benchmarks.loss_pictures import draw_losses, read_losses
from pafpose.errors import PafposeError
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "models.md"


@pytest.fixture
def runs(tmp_path):
    for name, scale in (("light", 1000.0), ("dense", 3.0)):
        with SummaryWriter(str(tmp_path / "runs" / name / "tensorboard" / "version_0")) as writer:
            for step in range(60):
                noise = 0.02 * (-1) ** step
                writer.add_scalar("train/loss", scale * (1.0 if step < 2 else 0.1 + noise), 5 * step)
    (tmp_path / "runs" / "empty").mkdir()
    return tmp_path / "runs"


def test_losses_are_shares_of_their_start_and_means_of_neighbours(runs):
    losses = read_losses(runs)
    assert sorted(losses) == ["dense", "light"]
    for curve in losses.values():
        np.testing.assert_allclose(curve.values, [1, *29 * [0.1]], rtol=1e-5)
        np.testing.assert_array_equal(curve.steps, np.arange(2.5, 300, 10))


def test_one_panel_per_folder(runs, tmp_path):
    losses = read_losses(runs)
    draw_losses({"a": losses}, tmp_path / "new" / "one.png")
    draw_losses({"a": losses, "b": losses}, tmp_path / "two.png")
    with Image.open(tmp_path / "new" / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert two.width == pytest.approx(2 * one.width, abs=2)
        assert len(one.convert("RGB").getcolors(10**6)) > 20


def test_a_folder_without_runs_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PafposeError, match=re.escape(f"{folder}: no run folder")):
            read_losses(folder)


def test_the_page_shows_the_picture_and_it_is_small():
    shown = re.findall(r"images/(models/[\w.]+)\)", PAGE.read_text())
    sizes = [(PAGE.parent / "images" / name).stat().st_size for name in shown]
    assert shown == ["models/losses.png"] and max(sizes) < 150_000
