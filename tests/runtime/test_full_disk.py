"""A full disk, told as one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pafpose.errors import PafposeError
from pafpose.runtime.full_disk import explain_full_disk
from pafpose.training.checkpoint_files import CheckpointFiles

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_the_cause_is_found_below_what_libraries_raise(code: int) -> None:
    with (
        pytest.raises(PafposeError, match=r"^/run: .*full.*ckpt_path=/run"),
        explain_full_disk("/run"),
    ):
        try:
            raise OSError(code, os.strerror(code))
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")


def test_other_errors_pass() -> None:
    with pytest.raises(PermissionError), explain_full_disk("/run"):
        raise PermissionError(errno.EACCES, "denied")
    with pytest.raises(RuntimeError, match="torch"), explain_full_disk("/run"):
        raise RuntimeError("torch")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    """Torch's own error is about a position; the checkpoint that was there stays whole."""
    file = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint({"step": 1}, file)
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(PafposeError, match="disk is full"), explain_full_disk(tmp_path):
        CheckpointFiles().save_checkpoint({"step": torch.zeros(10**6)}, file)
    assert CheckpointFiles().load_checkpoint(file, weights_only=True)["step"] == 1


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs the right to mount a small disk of its own (unshare)",
)
@pytest.mark.parametrize("size", [100, 700])  # kB: no room for a checkpoint, room for two
def test_a_run_on_a_full_disk_says_so_and_leaves_whole_checkpoints(tmp_path: Path, size: int) -> None:
    (tmp_path / "disk").mkdir()
    tiny = (
        "backbone=tiny head=single optimizer=adamw callbacks=none data.train_count=8 data.val_count=4 "
        "data.generator_workers=1 data.num_workers=0 data.batch_size=4 augment.crop=64 data.picture_size=64 "
        "evaluate.input_size=64 trainer.max_steps=6 trainer.val_check_interval=2 trainer.accelerator=cpu"
    )
    script = (
        f"mount -t tmpfs -o size={size}k tmpfs {tmp_path}/disk && "
        f"{sys.executable} {SCRIPTS}/train.py {tiny} hydra.run.dir={tmp_path}/disk/run "
        f"paths.data_dir={tmp_path}/data; echo rc=$?; cp -r {tmp_path}/disk/run {tmp_path}/kept"
    )
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert "the disk is full" in done.stdout and "rc=1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    kept = {path.name for path in (tmp_path / "kept" / "checkpoints").iterdir()}
    assert kept == (set() if size == 100 else {"best.ckpt", "last.ckpt"})
    for name in kept:
        assert torch.load(tmp_path / "kept" / "checkpoints" / name, weights_only=True)["global_step"] == 2
