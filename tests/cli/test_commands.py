"""Every command hands its config to its tool, and a sweep gets the metric that it asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig

from pafpose.cli import report
from pafpose.config import conf_dir, load_config
from pafpose.errors import PafposeError
from pafpose.runtime.run_status import read_status
from tests.conftest import ROOT

TOOLS = {  # command: what does its work
    "check_data": "pafpose.tools.audit.check_data.check_data",
    "convert": "pafpose.tools.convert.checkpoint.convert",
    "export": "pafpose.tools.export.export.export",
    "evaluate": "pafpose.tools.evaluate.evaluate",
    "make_synthetic": "pafpose.tools.make_synthetic.make_synthetic",
    "oracle": "pafpose.tools.oracle.oracle.oracle",
    "predict": "pafpose.tools.predict.predict.predict",
    "train": "pafpose.training.run.train",
    "visualize": "pafpose.tools.visualize.visualize",
}
RETURNING = ("evaluate", "oracle", "train")  # what a sweep can optimise


def call(command: str, monkeypatch: pytest.MonkeyPatch, tool: Any, *overrides: str) -> Any:
    """The command on a composed config, with ``tool`` in place of its own."""
    monkeypatch.setattr(TOOLS[command], tool)
    main = importlib.import_module(f"pafpose.cli.{command}").main
    return main(load_config(list(overrides), name=command))


def test_every_command_has_a_door_and_a_config() -> None:
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == {*TOOLS, "report", "benchmark"}
    assert {path.stem for path in conf_dir().glob("*.yaml")} == set(TOOLS)


@pytest.mark.parametrize("command", RETURNING)
def test_a_sweep_gets_the_metric_it_optimises(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DictConfig] = []

    def tool(cfg: DictConfig) -> dict[str, float]:
        seen.append(cfg)
        return {"AP": 0.25, "AR": 0.75}

    assert call(command, monkeypatch, tool) == 0.25
    assert call(command, monkeypatch, tool, "optimized_metric=AR", "paf.width=5") == 0.75
    assert [cfg.task_name for cfg in seen] == [command] * 2 and seen[1].paf.width == 5


@pytest.mark.parametrize("command", sorted({*TOOLS} - {*RETURNING, "check_data", "predict"}))
def test_the_other_commands_return_nothing(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DictConfig] = []
    assert call(command, monkeypatch, seen.append) is None
    assert [cfg.task_name for cfg in seen] == [command]


@pytest.mark.parametrize("left_out", [[], ["photo.jpg"]])
def test_photos_that_cannot_be_read_are_the_exit_status(
    left_out: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) if left_out else nullcontext():
        call("predict", monkeypatch, lambda _: SimpleNamespace(left_out=left_out))


@pytest.mark.parametrize("problems", [0, 2])
def test_problems_of_a_data_set_are_the_exit_status(problems: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def tool(_: DictConfig) -> SimpleNamespace:
        return SimpleNamespace(problems=problems)

    if problems:
        with pytest.raises(SystemExit) as stop:
            call("check_data", monkeypatch, tool)
        assert stop.value.code == 1
    else:
        call("check_data", monkeypatch, tool)


def test_users_errors_come_without_a_traceback(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def refuse(_: DictConfig) -> None:
        raise PafposeError("paf.width=-1: give more")

    with caplog.at_level("ERROR"), pytest.raises(SystemExit) as stop:
        call("train", monkeypatch, refuse, "paths.output_dir=/some/run")
    assert stop.value.code == 1
    assert "paf.width=-1: give more" in caplog.text and "/some/run" in caplog.text

    def crash(_: DictConfig) -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        call("train", monkeypatch, crash)


def test_report_takes_its_arguments_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    seen: list[Any] = []

    def write(settings: Any) -> Path:
        seen.append(settings)
        return tmp_path / "page.html"

    monkeypatch.setattr("pafpose.tools.report.write_report", write)
    words = [str(tmp_path), "--metric", "AR", "--output", str(tmp_path / "page.html"), "--title", "Widths"]
    monkeypatch.setattr("sys.argv", ["report.py", *words])
    report.main()
    (settings,) = seen
    assert (settings.folders, settings.metric, settings.title) == ([tmp_path], "AR", "Widths")
    assert settings.output == tmp_path / "page.html"
    assert capsys.readouterr().out.split() == [
        "report", str(tmp_path / "page.html"), "table", str(tmp_path / "page.csv"),
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["report.py", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="no such folder"):
        report.main()


PROGRAM = """
import sys
sys.argv = ["visualize", "hydra.run.dir=run", "visualize.count=3"]
import pafpose.tools.visualize
pafpose.tools.visualize.visualize = lambda cfg: print("count", cfg.visualize.count, cfg.paths.output_dir)
import pafpose.cli.visualize
pafpose.cli.visualize.main()
"""


def test_hydra_runs_a_command_and_its_state_is_kept(tmp_path: Path) -> None:
    """As the door does it: words of the command line, run folder, log file, status.json."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["count", "3", str(tmp_path / "run")]
    status = read_status(tmp_path / "run")
    assert status["state"] == "done" and status["overrides"] == ["visualize.count=3"]
    assert (tmp_path / "run" / "visualize.log").is_file()
    assert (tmp_path / "run" / ".hydra" / "overrides.yaml").is_file()


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    """torch and Lightning take seconds, also of those who only ask for --help."""
    imports = "; ".join(f"import pafpose.cli.{command}" for command in (*TOOLS, "report"))
    check = (
        "import sys; print([name for name in ('torch', 'pytorch_lightning', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}; {check}"], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
