"""The oracle's tables: every choice once, resumed after a stop; Markdown and curves from the results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import oracle as benchmark
from pafpose.config import load_config
from pafpose.tools.report import find_runs
from tests.tools.report.sweeps import make_run

KEYS = ("AP", "APM", "APL", *(f"loss_{name}" for name in ("topology", "quantisation", "peaks", "grouping")))


@pytest.fixture
def runs(monkeypatch):
    """Widths of the runs that were made, instead of making them."""
    made = []

    def compute(cfg, settings):
        made.append((cfg.paf.width, settings.noise))
        return dict.fromkeys(KEYS, 0.5)

    monkeypatch.setattr("pafpose.tools.oracle.oracle.compute", compute)
    return made


def test_each_choice_runs_once_and_is_remembered(runs, tmp_path):
    grid = {"paf.width": (4, 8)}
    for _ in range(2):
        results = benchmark.Results(tmp_path, ["data=coco", "data.root=unused"])
        text = benchmark.table("width", grid, results)
    assert runs == [(4, 0), (8, 0)]
    assert "| 4 | 0.500 |" in text and "| 8 | 0.500 |" in text
    assert set(json.loads((tmp_path / "results.json").read_text())) == {
        "oracle.detail=bounds paf.width=4",
        "oracle.detail=bounds",  # 8 is the default
    }


def test_curves_become_a_picture_and_tables(runs, tmp_path, monkeypatch):
    two = {label: benchmark.CHOICES[label] for label in ("default", "width 4")}
    monkeypatch.setattr(benchmark, "CHOICES", two)
    monkeypatch.setattr(benchmark, "PERTURBATIONS", {"oracle.noise": (0, 0.05)})
    curves = benchmark.robustness(benchmark.Results(tmp_path, ["data=coco", "data.root=unused"]))
    assert (8, 0.05) in runs and (4, 0) in runs
    benchmark.draw(curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size < 150_000
    assert benchmark.curves_table(curves).count("| 0.500 |") > 0


def test_a_multirun_becomes_one_table(tmp_path):
    for n, (width, size) in enumerate([(4, 368), (8, 368), (4, 512), (8, 512)]):
        words = ["paf.limbs=openpose", "paf.caps=bbox", "paf.profile=rigid"]
        words += [f"evaluate.input_size={size}", f"paf.width={width}"]
        make_run(tmp_path / str(n), words, metrics={"AP": 0.5 + 0.1 * n}, script="oracle")
    runs = [
        replace(run, choices=dict(word.split("=") for word in run.overrides)) for run in find_runs([tmp_path])
    ]
    text = benchmark.matrix(runs).splitlines()
    assert text[0] == "| paf.limbs | paf.caps | paf.profile | 368 px, 4 | 368 px, 8 | 512 px, 4 | 512 px, 8 |"
    assert text[2] == "| openpose | bbox | rigid | 0.500 | 0.600 | 0.700 | **0.800** |"


@pytest.mark.slow
def test_the_choices_of_every_table_compose():
    for grid in benchmark.GRIDS.values():
        load_config([f"{key}={values[-1]}" for key, values in grid.items()], name="oracle")
