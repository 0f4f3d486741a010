"""Drawing, training and evaluating where processes are spawned, as on macOS and Windows, and not forked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_main import ENV, ROOT, TINY, run

SPAWN = """\
import multiprocessing
multiprocessing.set_start_method("spawn", force=True)
multiprocessing.get_context("fork").Process.start = None  # whoever insists on forking fails
"""


@pytest.mark.slow
def test_everything_that_starts_processes_works_with_spawned_ones(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SPAWN)  # Python runs it at every start
    processes = ("data.generator_workers=2", "data.num_workers=2")
    out = tmp_path / "run"
    words = (*TINY, *processes, f"paths.data_dir={tmp_path}", f"paths.output_dir={out}")
    env = ENV | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    run("train", *words, env=env, cwd=tmp_path)
    assert "AP" in json.loads((out / "metrics.json").read_text())
    assert len(list((tmp_path / "synthetic").rglob("*.jpg"))) == 12
