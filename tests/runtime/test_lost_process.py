"""The death of another process, told in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset

from pafpose.errors import PafposeError
from pafpose.runtime.lost_process import explain_lost_process
from tests.conftest import ROOT

OPTIONS = (
    "backbone=tiny head=single callbacks=none data.train_count=8 data.val_count=2 data.num_workers=1 "
    "data.generator_workers=1 data.batch_size=4 augment.crop=64 evaluate.input_size=64 "
    "data.picture_size=64 trainer.max_steps=100000 trainer.val_check_interval=1000 trainer.accelerator=cpu"
)


class Deadly(Dataset[int]):
    """Kills the process that reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, item: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return item


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_loader_process() -> None:
    loader = DataLoader(Deadly(), num_workers=1)
    with (
        pytest.raises(PafposeError, match=r"loaded photos.*ckpt_path=/run"),
        explain_lost_process("/run"),
    ):
        list(loader)


def test_a_loader_process_that_dies_while_it_hands_over_a_batch() -> None:
    with pytest.raises(PafposeError, match="loaded photos has died"), explain_lost_process("/run"):
        raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_drawing_process() -> None:
    with (
        pytest.raises(PafposeError, match="drew pictures has died"),
        explain_lost_process("/run"),
        ProcessPoolExecutor(1) as pool,
    ):
        list(pool.map(die, [1]))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_lost_process("/run"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(PafposeError, match=r"^gloo"), explain_lost_process("/run"):
        raise PafposeError("gloo")


def rank(number: int, folder: str) -> None:
    """Rank 1 dies; rank 0 writes what it makes of that."""
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=number, world_size=2)
    dist.barrier()
    if number:
        die()
    try:
        with explain_lost_process("/run"):
            dist.all_reduce(torch.zeros(1))
    except PafposeError as error:
        Path(folder, "said").write_text(str(error))


@pytest.mark.slow
def test_another_rank(tmp_path: Path) -> None:
    context = mp.spawn(rank, (str(tmp_path),), nprocs=2, join=False)
    context.processes[0].join(60)
    assert (tmp_path / "said").read_text().startswith("another process of this training has died")
    context.processes[1].join(10)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the loader process in /proc")
def test_a_training_that_loses_a_loader_process_ends_in_seconds(tmp_path: Path) -> None:
    words = OPTIONS.split()
    places = (f"hydra.run.dir={tmp_path / 'run'}", f"paths.data_dir={tmp_path / 'data'}")
    training = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *words, *places],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    children = Path(f"/proc/{training.pid}/task/{training.pid}/children")
    while not [*(tmp_path / "run").glob("tensorboard/events*")] or not children.read_text():
        assert training.poll() is None, training.communicate()[0]
        time.sleep(0.1)
    time.sleep(2)
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    output = training.communicate(timeout=30)[0]
    assert training.returncode == 1 and "loaded photos has died" in output and "Traceback" not in output


ORPHANS = """
import multiprocessing, os, signal, time
from pafpose.runtime import signals

def child(begin):
    while os.getppid() == PARENT:
        time.sleep(0.01)
    getattr(signals, begin)()
    time.sleep(60)

PARENT = os.getpid()
if __name__ == "__main__":
    for begin in ("begin_loader_process", "end_with_parent"):
        multiprocessing.get_context("fork").Process(target=child, args=(begin,)).start()
    os.kill(PARENT, signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_children_whose_parent_died_before_they_began_end_too() -> None:
    """They hold this pipe open, so that ``run`` returns when all have ended."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, timeout=50, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL and time.monotonic() - started < 30
