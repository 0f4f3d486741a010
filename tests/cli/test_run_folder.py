"""Run folders that cannot be made: one sentence, before Hydra's traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pafpose.cli.run_folder import RunFolder, create_folder, create_new_folder

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_a_folder_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"file/run: .*hydra.run.dir=DIR"):
        create_folder(tmp_path / "file" / "run", "hydra.run.dir")


def test_a_folder_without_write_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(SystemExit, match="not writable"):
        create_folder(tmp_path / "run", "hydra.sweep.dir")


def test_a_usable_folder_is_made(tmp_path: Path) -> None:
    create_folder(tmp_path / "a" / "b", "hydra.run.dir")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("sweep", [[], ["-m", "seed=1,2"]])
def test_scripts_say_it_without_a_traceback(tmp_path: Path, sweep: list[str]) -> None:
    (tmp_path / "file").touch()
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    command = [sys.executable, SCRIPTS / "make_synthetic.py", *sweep, f"{key}={tmp_path}/file/run"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert key in run.stderr and "Traceback" not in run.stderr


def test_two_runs_of_the_same_second_get_two_folders(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "2026-01-01_12-00-00"
    names = [create_new_folder(folder, "hydra.run.dir").name for _ in range(3)]
    assert names == [folder.name, f"{folder.name}_2", f"{folder.name}_3"]


@pytest.mark.parametrize("chosen", [True, False])
def test_hydra_takes_the_numbered_folder_unless_one_was_chosen(tmp_path: Path, chosen: bool) -> None:
    """The name is taken; the config still tells where the run really is."""
    default = tmp_path / "run"
    default.mkdir()
    words = [f"hydra.run.dir={default}"] if chosen else []
    config = OmegaConf.create({"hydra": {"run": {"dir": str(default)}, "overrides": {"hydra": words}}})
    OmegaConf.set_readonly(config, True)
    RunFolder().on_run_start(config)
    assert config.hydra.run.dir == str(default if chosen else tmp_path / "run_2")
    assert Path(config.hydra.run.dir).is_dir()
