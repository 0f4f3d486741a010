"""Runs that are killed at random moments and started again by the same command."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.test_resume import TINY, check_the_same, curves, load

CHOICES = {  # passes have three batches; two choices validate at the end of a pass
    "processes, end of a pass": "data.num_workers=2 trainer.val_check_interval=3 optimizer=adamw",
    "average, Muon": "data.num_workers=0 trainer.val_check_interval=7 callbacks=ema optimizer=muon",
    "gradients wait": "trainer.accumulate_grad_batches=2 trainer.val_check_interval=5 callbacks=ema",
    "everything": (
        "data.num_workers=2 trainer.val_check_interval=6 callbacks=ema optimizer=muon "
        "trainer.accumulate_grad_batches=2"
    ),
}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Train in ``folder``; its neighbour ``data`` has the pictures."""
    places = (f"hydra.run.dir={folder}", f"paths.data_dir={folder.parent / 'data'}")
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *TINY, *places, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output


def kill_while_it_trains(folder: Path, words: list[str], rng: random.Random) -> bool:
    """Kill the run up to a second after it began to train; return False when it finished before."""
    known = len([*folder.glob("tensorboard/events*")])
    process = start(folder, *words)
    while len([*folder.glob("tensorboard/events*")]) == known and process.poll() is None:
        time.sleep(0.05)
    time.sleep(rng.uniform(0, 1))
    process.send_signal(signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode != 0


def try_kills(folder: Path, choices: str, *, steps: int, kills: int, seed: int) -> int:
    """Compare a run that was killed again and again with one that never was; return the number of kills."""
    words = [*choices.split(), f"trainer.max_steps={steps}"]
    finish(start(folder / "whole", *words))
    rng = random.Random(seed)
    done = 0
    while done < kills and kill_while_it_trains(folder / "killed", words, rng):
        done += 1
    if done == kills:
        finish(start(folder / "killed", *words))
    check_the_same(load(folder / "whole"), load(folder / "killed"))
    check_the_same(load(folder / "whole", "best"), load(folder / "killed", "best"))
    whole, killed = (last_values(curves(folder / name)) for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(repr(value) == repr(killed[key]) for key, value in whole.items())  # NaN too
    assert not [*(folder / "killed" / "checkpoints").glob("*.part")]
    return done


def last_values(points: dict[tuple[str, int], list[float]]) -> dict[tuple[str, int], float]:
    return {key: values[-1] for key, values in points.items()}


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    assert try_kills(tmp_path, CHOICES["everything"], steps=60, kills=2, seed=0) > 0


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CHOICES)
def test_five_kills_of_each_kind_of_run(tmp_path: Path, name: str) -> None:
    """Twenty in all."""
    assert try_kills(tmp_path, CHOICES[name], steps=300, kills=5, seed=1) == 5
