"""Run folders that cannot be made: one sentence, before Hydra's traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pafpose.cli.run_folder import create_folder

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
