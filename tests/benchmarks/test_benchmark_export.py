"""The table of latencies has a row per recipe, whose ratios are those of its times."""

from __future__ import annotations

import pytest
import torch

from benchmarks.export import RECIPES, export_table
from pafpose.config import conf_dir


def test_the_recipes_are_there() -> None:
    assert set(RECIPES) <= {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}


@pytest.mark.slow
def test_a_row() -> None:
    threads = torch.get_num_threads()
    (row,) = export_table(["quickstart"], rounds=1, threads=1)
    assert torch.get_num_threads() == threads
    assert row["recipe"] == "quickstart" and row["input"] == "288 px, with flip"
    ours, theirs = (float(row[f"{name}, ms"]) for name in ("torch", "ONNX Runtime"))
    assert ours > 1 and theirs > 1
    assert float(row["torch / ONNX Runtime"]) == pytest.approx(ours / theirs, rel=0.1)
