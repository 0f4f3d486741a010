"""Sweeps as they are typed: failures, kills and going on; every engine runs on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import pafpose
from pafpose.config import conf_dir, plain
from pafpose.tools.report import ReportSettings, find_runs, write_report

ROOT = Path(__file__).resolve().parents[2]
JOB = str(Path(__file__).with_name("job.py"))
PLUGINS = {
    "joblib": "joblib",
    "optuna": "optuna",
    "optuna_decode": "optuna",
    "ray": "ray",
    "ray_cluster": "ray",
    "slurm": "submitit",
}
ENV = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}


def needs(plugin: str) -> None:
    name = {"optuna": "hydra_optuna_sweeper"}.get(plugin, f"hydra_{plugin}_launcher")
    if importlib.util.find_spec("hydra_plugins") is None or not importlib.util.find_spec(
        f"hydra_plugins.{name}"
    ):
        pytest.skip(f"{name} is absent: pip install 'pafpose[sweep]'")


def sweep(folder: Path, *words: str, script: str = JOB) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, script, "-m", *words]
    return subprocess.run(
        command, cwd=folder, env=ENV, capture_output=True, text=True, check=False, timeout=550
    )


def widths_run(folder: Path) -> list[float]:
    """The half widths of all jobs that were started so far, sorted."""
    return sorted(float(line.split()[0]) for line in (folder / "calls.log").read_text().splitlines())


def states(folder: Path) -> dict[str, str]:
    return {run.choices["paf.width"]: run.state for run in find_runs([folder])}


@pytest.mark.parametrize("option", sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml")))
def test_every_option_composes(option: str) -> None:
    if option in PLUGINS:
        needs(PLUGINS[option])
    plain(pafpose.load_config([f"sweep={option}"]))


@pytest.mark.parametrize("path", sorted((conf_dir() / "sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_options_leave_the_mode_to_the_command_line(path: Path) -> None:
    """Hydra forbids ``hydra.mode`` in groups; ``-m`` says it."""
    assert OmegaConf.select(OmegaConf.load(path), "hydra.mode") is None
    assert "-m" in path.read_text()


@pytest.mark.slow
def test_failed_jobs_do_not_stop_the_others_and_finished_ones_are_not_redone(tmp_path: Path) -> None:
    words = ("paf.width=3,4,5,8", "hydra.sweep.dir=s")
    first = sweep(tmp_path, *words)
    assert first.returncode == 1 and "not today" in first.stderr
    assert states(tmp_path / "s") == {"3": "failed", "4": "done", "5": "failed", "8": "done"}
    errors = [run.error for run in find_runs([tmp_path / "s"]) if run.error]
    assert errors == ["PafposeError: paf.width=3: not today; choose another", "RuntimeError: out of memory"]
    again = sweep(tmp_path, *words)
    assert again.stdout.count("already finished, skipped") == 2
    assert widths_run(tmp_path / "s") == [3, 3, 4, 5, 5, 8]
    page = write_report(ReportSettings(folders=[tmp_path / "s"])).read_text()
    assert "2 of 4" in page and "out of memory" in page


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "hang").touch()
    words = ("paf.width=4,7,8", "hydra.sweep.dir=s")
    process = subprocess.Popen([sys.executable, JOB, "-m", *words], cwd=tmp_path, env=ENV)
    try:
        deadline = time.monotonic() + 300
        while not (folder / "1" / "status.json").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert states(folder) == {"4": "done", "7": "unfinished"}
    (folder / "1" / "checkpoints").mkdir()
    (folder / "1" / "checkpoints" / "last.ckpt").touch()
    (folder / "hang").unlink()
    resumed = sweep(tmp_path, *words)
    assert resumed.returncode == 0, resumed.stderr
    assert states(folder) == {"4": "done", "7": "done", "8": "done"}
    calls = (folder / "calls.log").read_text().splitlines()
    assert [line.split()[0] for line in calls] == ["4", "7", "7", "8"]
    assert f"ckpt_path={folder / '1'}" in calls[2]  # the killed training goes on from its own checkpoint
    assert "ckpt_path=None" in calls[3]


@pytest.mark.slow
def test_another_sweep_in_the_same_folder_overwrites_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path, "paf.width=4,8", "hydra.sweep.dir=s").returncode == 0
    other = sweep(tmp_path, "paf.width=6,8", "hydra.sweep.dir=s")
    assert other.returncode == 1 and "finished run with other choices" in other.stderr
    assert widths_run(tmp_path / "s") == [4, 8]
    assert states(tmp_path / "s") == {"4": "done", "8": "done"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ("joblib", ["sweep=joblib"]),
        ("ray", ["sweep=ray"]),
        ("submitit", ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=8"]),
    ],
)
def test_a_launcher_runs_the_jobs_on_this_machine(tmp_path: Path, plugin: str, words: list[str]) -> None:
    needs(plugin)
    words = [*words, "paf.width=3,4,8", "hydra.sweep.dir=s"]
    (tmp_path / "s").mkdir()
    (
        tmp_path / "s" / "together"
    ).touch()  # or the first process up does every job while a busy machine starts others
    done = sweep(tmp_path, *words)
    assert done.returncode == 1 and "not today" in done.stderr, done.stderr
    assert states(tmp_path / "s") == {"3": "failed", "4": "done", "8": "done"}
    pids = {line.split("pid=")[1] for line in (tmp_path / "s" / "calls.log").read_text().splitlines()}
    assert len(pids) >= 2  # not one after the other in one process


@pytest.mark.slow
def test_optuna_goes_on_with_a_study(tmp_path: Path) -> None:
    needs("optuna")
    (tmp_path / "outputs").mkdir()
    words = ("sweep=optuna", "hydra.sweeper.study_name=small", "hydra.sweeper.n_trials=2")
    for total in (2, 4):
        done = sweep(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        runs = find_runs([tmp_path / "outputs" / "train" / "studies" / "small"])
        assert [run.state for run in runs] == ["done"] * total
    assert len({run.choices["paf.width"] for run in runs}) == 4
    assert "Using an existing study" in done.stderr


@pytest.mark.slow
def test_optuna_outlives_failed_trials(tmp_path: Path) -> None:
    needs("optuna")
    words = ("sweep=optuna", "hydra.sweeper.storage=null", "hydra.sweeper.n_trials=4")
    done = sweep(
        tmp_path, *words, "paf.width=choice(3,8)", "hydra.sweeper.sampler.seed=4", "hydra.sweep.dir=s"
    )
    assert done.returncode == 0, done.stderr
    widths = widths_run(tmp_path / "s")
    assert len(widths) == 4 and set(widths) == {3, 8}  # this seed tries the width that fails first
    assert set(states(tmp_path / "s").values()) == {"done", "failed"}


@pytest.mark.slow
def test_ddp_in_a_sweep_is_refused(tmp_path: Path) -> None:
    words = ["trainer=ddp_cpu", "paf.width=4,8", "hydra.sweep.dir=s"]
    refused = sweep(tmp_path, *words, script=str(ROOT / "scripts" / "train.py"))
    assert refused.returncode == 1 and "trainer.strategy=ddp_spawn" in refused.stderr
    status = json.loads((tmp_path / "s" / "1" / "status.json").read_text())
    assert status["state"] == "failed" and "cannot be combined with -m" in status["error"]


@pytest.mark.slow
def test_a_real_sweep_from_training_to_report(tmp_path: Path) -> None:
    words = ["debug=fast", "backbone=tiny", "paf.width=6,8", "hydra.sweep.dir=s", "augment.crop=96"]
    done = sweep(tmp_path, *words, "evaluate.input_size=96", script=str(ROOT / "scripts" / "train.py"))
    assert done.returncode == 0, done.stderr
    runs = find_runs([tmp_path / "s"])
    assert [(run.choices, run.state) for run in runs] == [({"paf.width": w}, "done") for w in ("6", "8")]
    page = write_report(ReportSettings(folders=[tmp_path / "s"])).read_text()
    assert "<img" in page and "2 of 2" in page and "debug=fast backbone=tiny paf.width=6" in page
