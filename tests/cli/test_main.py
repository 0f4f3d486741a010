"""The command ``pafpose`` and the wheel that brings it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import pafpose
from pafpose.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
TINY = (
    "backbone=tiny", "head=single", "data.train_count=8", "data.val_count=4", "data.picture_size=128",
    "augment.crop=128", "evaluate.input_size=128", "data.batch_size=2", "data.num_workers=0",
    "data.schedule.max_steps=2", "data.schedule.val_every=2", "callbacks.panels.num_photos=0",
)  # fmt: skip


def run(*arguments: str, program: tuple[str, ...] = (sys.executable, "-m", "pafpose"), **more: object) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_is_listed_and_has_its_file():
    listed = run("--help", env=ENV)
    for command in COMMANDS:
        assert f"\n  {command} " in listed
        script = ROOT / "scripts" / f"{command.replace('-', '_')}.py"
        assert f"pafpose.cli.{script.stem}" in script.read_text()
    assert run("--version", env=ENV) == f"pafpose {pafpose.__version__}\n"


def test_a_command_composes_its_own_config():
    assert "source: null" in run("predict", "--cfg", "job", env=ENV)
    assert "width: 5.0" in run("train", "--cfg", "job", "--package", "paf", "paf.width=5.0", env=ENV)


def test_the_other_ranks_of_a_run_need_no_command():
    env = ENV | {"LOCAL_RANK": "1", "PAFPOSE_COMMAND": "train"}
    assert "width: 5.0" in run("--cfg", "job", "--package", "paf", "paf.width=5.0", env=env)


def test_an_unknown_command_is_an_error():
    done = subprocess.run(
        [sys.executable, "-m", "pafpose", "trian"], env=ENV, capture_output=True, check=False
    )
    assert done.returncode == 1 and b"train" in done.stderr


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("tr", "train"), ("train paf.wid", "paf.width="), ("check-data data=yo", "data=yolo")],
)
def test_bash_completes_commands_and_keys(typed: str, expected: str):
    script = f"""
        pafpose() {{ {sys.executable} -m pafpose "$@"; }}
        eval "$(pafpose completion bash)"
        COMP_LINE="pafpose {typed}"; COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        COMP_POINT=${{#COMP_LINE}}; _pafpose; echo "${{COMPREPLY[@]}}"
    """
    assert run("-c", script, program=("bash",), env=ENV).split() == [expected]


@pytest.mark.slow
def test_letters_that_the_terminal_lacks_break_no_log(tmp_path: Path, coco_root: Path):
    folder = tmp_path / "möwe"
    done = subprocess.run(
        [sys.executable, "-m", "pafpose", "oracle", "data=coco", f"data.root={coco_root}",
         f"hydra.run.dir={folder}"],
        env=ENV | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr + done.stdout
    assert "m\\xf6we" in done.stdout + done.stderr
    assert "möwe" in (folder / "oracle.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_needs_no_repository(tmp_path: Path):
    pip = (sys.executable, "-m", "pip")
    run("wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", str(ROOT), program=pip, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run("-m", "pip", "install", "--quiet", "--no-deps", str(wheel), program=(str(python),))
    own = run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", program=(str(python),)).strip()
    Path(own, "others.pth").write_text(sysconfig.get_path("purelib"))  # the packages that it depends on
    env = {key: value for key, value in ENV.items() if key != "PYTHONPATH"}

    def command(*arguments: str) -> str:
        return run(*arguments, program=(str(python.with_name("pafpose")),), cwd=tmp_path, env=env)

    where = run(
        "-c", "import pafpose; print(pafpose.__file__)", program=(str(python),), cwd=tmp_path, env=env
    )
    assert where.startswith(own)
    assert f"pafpose {pafpose.__version__}" in command("--version")
    assert {"py.typed", "conf"} <= {path.name for path in Path(own, "pafpose").iterdir()}
    command("train", *TINY, "hydra.run.dir=run")
    command("evaluate", "ckpt_path=run", "data.num_workers=0", "hydra.run.dir=evaluated")
    assert "AP" in json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    photos = next((tmp_path / "data").rglob("val2017"))
    command("predict", "ckpt_path=run", f"source={photos}", "hydra.run.dir=predicted")
    assert len(list((tmp_path / "predicted" / "images").iterdir())) == 4
