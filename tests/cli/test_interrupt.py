"""Signals end a run in order: saved first, told how to go on, and with nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pafpose.runtime.run_status import read_status
from tests.conftest import ROOT

OPTIONS = (
    "backbone=tiny head=single optimizer=adamw scheduler=none callbacks=default "
    "callbacks.panels.num_photos=0 data.train_count=8 data.val_count=2 data.generator_workers=1 "
    "data.num_workers=1 data.batch_size=4 augment.crop=64 evaluate.input_size=64 data.picture_size=64 "
    "trainer.val_check_interval=1000 trainer.log_every_n_steps=1 trainer.accelerator=cpu"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


def start(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Train below ``folder`` in a process group of its own."""
    places = (f"hydra.run.dir={folder / 'run'}", f"paths.data_dir={folder / 'data'}")
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *OPTIONS.split(), *places, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def members(session: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def last(folder: Path) -> dict:
    return torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)


def is_training(folder: Path) -> bool:
    """Whether steps are logged."""
    return any(file.stat().st_size > 20_000 for file in (folder / "run").glob("tensorboard/events*"))


@pytest.mark.parametrize(
    ("signum", "to_all"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_a_training_saves_says_how_to_go_on_and_does(
    tmp_path: Path, signum: signal.Signals, to_all: bool
) -> None:
    """``to_all``: loader processes get the signal too, as by Ctrl-C in a terminal or by scancel."""
    training = start(tmp_path, "trainer.max_steps=100000")
    wait_for(lambda: is_training(tmp_path), training)
    os.killpg(training.pid, signum) if to_all else training.send_signal(signum)
    output = training.communicate(timeout=60)[0]
    assert training.returncode == 128 + signum, output
    assert "Traceback" not in output and f"interrupted by {signum.name}" in output
    assert f"hydra.run.dir={tmp_path}/run" in output.splitlines()[-1]
    assert read_status(tmp_path / "run")["state"] == "interrupted"
    assert not members(training.pid)
    steps = last(tmp_path)["global_step"]
    assert steps > 10
    length = f"trainer.max_steps={steps + 3}"
    again = start(tmp_path, length, f"ckpt_path={tmp_path / 'run'}")
    output = again.communicate(timeout=200)[0]
    assert again.returncode == 0, output
    whole = start(tmp_path / "whole", length)
    output = whole.communicate(timeout=200)[0]
    assert whole.returncode == 0, output
    expected, found = last(tmp_path / "whole")["state_dict"], last(tmp_path)["state_dict"]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_drawing_leaves_no_processes_behind(tmp_path: Path, signum: signal.Signals) -> None:
    drawing = start(tmp_path, "data.train_count=100000", "data.generator_workers=2")
    wait_for(lambda: len([*tmp_path.glob("data/synthetic/.*.part/train2017/*")]) > 20, drawing)
    drawing.send_signal(signum)
    output = drawing.communicate(timeout=60)[0]
    assert "Traceback" not in output
    assert drawing.returncode == (-signum if signum == signal.SIGKILL else 128 + signum)
    wait_until = time.monotonic() + 5
    while members(drawing.pid) and time.monotonic() < wait_until:
        time.sleep(0.1)
    assert not members(drawing.pid)
    if signum != signal.SIGKILL:
        assert not [*(tmp_path / "data" / "synthetic").iterdir()]


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_slurm_job_is_queued_again_and_goes_on(tmp_path: Path, signum: signal.Signals) -> None:
    """``scontrol`` is a stand-in; the same command, started again, is the requeued job."""
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n")
    (tmp_path / "scontrol").chmod(0o755)
    slurm = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "77", "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "pose",
        "SLURM_NTASKS_PER_NODE": "1",
    }  # fmt: skip
    job = start(tmp_path, "trainer.max_steps=100000", env=slurm)
    wait_for(lambda: is_training(tmp_path), job)
    job.send_signal(signum)
    output = job.communicate(timeout=60)[0]
    assert (tmp_path / "calls").read_text() == "requeue 77\n", output
    steps = last(tmp_path)["global_step"]
    assert steps > 10
    requeued = start(tmp_path, "trainer.max_steps=100000", env=slurm)
    wait_for(lambda: len([*(tmp_path / "run").glob("tensorboard/events*")]) > 1, requeued)
    requeued.send_signal(signum)
    output = requeued.communicate(timeout=60)[0]
    assert f"resuming from {tmp_path}/run/checkpoints/last.ckpt" in output
    assert last(tmp_path)["global_step"] >= steps


def test_two_processes_stop_together_whichever_got_the_signal(tmp_path: Path) -> None:
    two = ("trainer=ddp_cpu", "trainer.val_check_interval=1000", "trainer.log_every_n_steps=1")
    training = start(tmp_path, "trainer.max_steps=100000", *two)
    wait_for(lambda: is_training(tmp_path), training)
    training.send_signal(signal.SIGTERM)  # to rank 0 alone
    output = training.communicate(timeout=100)[0]
    assert training.returncode == 143, output
    assert "interrupted by SIGTERM" in output and last(tmp_path)["global_step"] > 10
    deadline = time.monotonic() + 10
    while members(training.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not members(training.pid)
