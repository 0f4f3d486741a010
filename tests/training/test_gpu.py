"""What only a GPU can show of training: pytest -m gpu."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger

import pafpose
from pafpose.config import plain
from pafpose.data.batch import Batch
from pafpose.inference.checkpoint import load_network
from pafpose.training.module import PoseModule
from pafpose.training.optim import build_optimizer
from tests.training.test_run import run
from tests.training.test_step import CHOICES, SMALL, every_step, make_batch, take_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]
ROOT = Path(__file__).parents[2]
GPU = ["trainer.accelerator=gpu", "callbacks=none", "trainer.max_steps=30", "trainer.val_check_interval=30"]


@contextmanager
def no_waiting() -> Iterator[None]:
    """CUDA itself raises where the host waits for the device."""
    try:
        torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("choice", [*CHOICES, "muon"])
def test_a_step_does_not_wait_for_the_gpu(choice: str, precision: str) -> None:
    """The transfer, targets, network, loss, backward, clipping and optimiser."""
    device = torch.device("cuda")
    chosen = CHOICES.get(choice, ["optimizer=muon"])
    module = PoseModule(plain(pafpose.load_config([*SMALL, *chosen]))).to(device)
    optimizer = build_optimizer(module.network, module.config["optimizer"])
    pinned = Batch(*(field.pin_memory() for field in make_batch()))

    def step() -> torch.Tensor:
        batch = Batch(*(field.to(device, non_blocking=True) for field in pinned))
        return take_step(module, optimizer, batch, precision)

    step()  # the optimiser makes its state, constants move to the device
    with no_waiting():
        losses = [step() for _ in range(2)]
        with pytest.raises(RuntimeError, match="synchronizing"):
            losses[0].item()  # so that the test would notice
    assert all(torch.isfinite(loss) for loss in losses)


class WatchGpu(Callback):
    """Forbids waiting from the end of the second batch to the end of the last, fetching data included."""

    def __init__(self) -> None:
        self.watched = 0

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.watched += torch.cuda.get_sync_debug_mode() == 2
        last = trainer.global_step == trainer.max_steps
        torch.cuda.set_sync_debug_mode("default" if trainer.global_step < 2 or last else "error")


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightnings_step_does_not_wait_either(tmp_path: Path, precision: Any) -> None:
    data = [f"paths.data_dir={tmp_path}", "data.train_count=24", "data.val_count=1", "data.picture_size=64"]
    data += ["data.generator_workers=1", "data.num_workers=1", "data.batch_size=2", "evaluate.input_size=64"]
    cfg = pafpose.load_config([*SMALL, *data])
    watch = WatchGpu()
    trainer = Trainer(
        accelerator="gpu", devices=1, precision=precision, max_steps=8, callbacks=[*every_step(), watch],
        logger=CSVLogger(tmp_path), log_every_n_steps=50, gradient_clip_val=1.0, limit_val_batches=0,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    try:
        trainer.fit(PoseModule(plain(cfg)), datamodule=pafpose.build_datamodule(cfg))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert watch.watched == 6


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # inductor's own
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # float16 skips the first
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("compiled", ["true", "false"])
def test_training_goes_down_in_every_precision(tmp_path: Path, precision: str, compiled: str) -> None:
    """Compiled by inductor or not; checkpoints keep their names and give the same people on the CPU."""
    overrides = [f"precision={precision}", f"compile={compiled}", "logger=csv", *GPU]
    _, out = run(tmp_path, *overrides, "optimizer.lr=1e-2")
    rows = (next(out.rglob("metrics.csv"))).read_text().splitlines()
    column = rows[0].split(",").index("train/loss")
    losses = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert len(losses) == 30 and losses[-1] < 0.6 * losses[0]
    assert torch.get_float32_matmul_precision() == "high"
    state = torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not any("_orig_mod" in name for name in state)
    on_cpu, on_gpu = (load_network(out, device=device) for device in ("cpu", "cuda"))
    on_cpu.config["precision"] = on_gpu.config["precision"] = "32-true"
    here, there = (trained.predict_fields(make_batch().image) for trained in (on_cpu, on_gpu))
    for ours, theirs in zip(here, there, strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(theirs.cpu(), ours, atol=5e-3, rtol=1e-2)  # convolutions in TF32


def test_ddp_with_shared_statistics(tmp_path: Path) -> None:
    """`trainer=ddp` as typed, NCCL and SyncBatchNorm, on the one GPU that is here."""
    command = [
        sys.executable, "scripts/train.py", *SMALL, "trainer=ddp", "trainer.devices=1", "data.train_count=8",
        "data.val_count=4", "data.picture_size=64", "data.generator_workers=1", "data.num_workers=0",
        "data.batch_size=2", "evaluate.input_size=64", "trainer.max_steps=3", "trainer.val_check_interval=3",
        f"paths.data_dir={tmp_path}", f"hydra.run.dir={tmp_path}/run",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 3
