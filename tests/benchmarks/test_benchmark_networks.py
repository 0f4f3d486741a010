"""The table of networks says what the summary says, and every recipe is in it."""

from __future__ import annotations

from benchmarks.networks import RECIPES, networks_table
from pafpose.config import conf_dir


def test_every_recipe_has_a_row() -> None:
    assert set(RECIPES) == {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}


def test_a_row() -> None:
    (row,) = networks_table(["lightweight2018"], rounds=1)
    assert (row["M"], row["GFLOPs"], row["stages"], row["stride"]) == ("4.09", "17.8", 2, 8)
    assert float(row["CPU ms"]) > 1
