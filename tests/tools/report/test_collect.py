"""Run folders as they are found: whole, failed, killed, broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from pafpose.errors import PafposeError
from pafpose.tools.report.collect import DONE, FAILED, UNFINISHED, find_runs, metric_names
from tests.tools.report.sweeps import make_run


def test_runs_come_in_order_of_their_numbers_with_what_differs(tmp_path: Path) -> None:
    for n in (10, 9, 0):
        make_run(tmp_path / str(n), [f"paf.width={n}", "seed=0"], metrics={"AP": n / 10})
    runs = find_runs([tmp_path])
    assert [run.name for run in runs] == ["0", "9", "10"]
    assert [run.choices for run in runs] == [{"paf.width": "0"}, {"paf.width": "9"}, {"paf.width": "10"}]
    assert runs[1].label == "width=9" and runs[1].metrics == {"AP": 0.9}


def test_a_key_that_one_run_leaves_alone_comes_from_its_config(tmp_path: Path) -> None:
    make_run(tmp_path / "0", ["paf.width=4", "backbone=tiny"], metrics={"AP": 0.1})
    make_run(tmp_path / "1", [], metrics={"AP": 0.2})
    assert find_runs([tmp_path])[1].choices == {"paf.width": "8.0", "backbone": "default"}


def test_states(tmp_path: Path) -> None:
    make_run(tmp_path / "0", ["a=1"], metrics={"AP": 0.5})
    make_run(tmp_path / "1", ["a=2"], status={"state": "failed", "error": "ValueError: no\n  way"})
    make_run(tmp_path / "2", ["a=3"], status={"state": "running"})
    make_run(tmp_path / "3", ["a=4"])
    (make_run(tmp_path / "4", ["a=5"]) / "metrics.json").write_text('{"AP": 0.')
    make_run(tmp_path / "5", ["a=6"], metrics={"AP": 0.5}, status={"state": "done"})
    make_run(tmp_path / "6", ["a=7"], status={"state": "done"})
    runs = find_runs([tmp_path])
    assert [r.state for r in runs] == [DONE, FAILED, UNFINISHED, UNFINISHED, FAILED, DONE, UNFINISHED]
    assert runs[1].error == "ValueError: no way"
    assert "incomplete" in runs[4].error and "missing" in runs[6].error


def test_overrides_of_the_finished_run_stand_when_hydra_wrote_others_since(tmp_path: Path) -> None:
    status = {"state": "done", "overrides": ["paf.width=4"]}
    make_run(tmp_path / "0", ["paf.width=16"], metrics={"AP": 0.5}, status=status)
    assert find_runs([tmp_path])[0].overrides == ("paf.width=4",)


def test_only_finite_numbers_are_metrics(tmp_path: Path) -> None:
    make_run(tmp_path / "0", [], metrics={"AP": 0.5, "name": "x", "ok": True, "bad": float("nan")})  # type: ignore[dict-item]
    assert metric_names(find_runs([tmp_path])) == ["AP"]


def test_the_command_is_quoted_for_the_shell(tmp_path: Path) -> None:
    make_run(tmp_path / "0", ["paf.limbs=[[nose,neck]]", "tags=[a b]"], script="oracle")
    command = find_runs([tmp_path])[0].command
    assert command == "python scripts/oracle.py 'paf.limbs=[[nose,neck]]' 'tags=[a b]'"


def test_a_single_run_folder_and_several_sweeps(tmp_path: Path) -> None:
    for sweep in ("one", "two"):
        make_run(tmp_path / sweep / "0", [], metrics={"AP": 0.5})
    assert [run.name for run in find_runs([tmp_path / "one" / "0"])] == ["0"]
    both = find_runs([tmp_path / "one", tmp_path / "two"])
    assert [run.name for run in both] == ["one/0", "two/0"]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="no runs in it"):
        find_runs([tmp_path])
