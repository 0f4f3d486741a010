"""The overhead of Lightning: its training step compared with the same step in a plain loop."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from pafpose.config import build, load_config, plain
from pafpose.data.batch import Batch
from pafpose.errors import PafposeError
from pafpose.runtime.log import quiet_known_warnings
from pafpose.runtime.precision import network_precision, resolve_precision
from pafpose.training.callbacks import Timing
from pafpose.training.module import PoseModule
from pafpose.training.optim import build_optimizer

BLOCK = 10  # steps per ratio; one of them writes to TensorBoard
PEOPLE = 4  # in each picture


def overhead_table(
    overrides: Sequence[str] = (), *, blocks: int = 6, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Time both loops and return one row: milliseconds per step, and the ratio over ``blocks`` of steps.

    Both loops take the same batches through equal networks, targets, losses, clipping, optimisers and
    schedules. They alternate, so that other work on the machine affects both: after each step on a CPU, after
    ten steps on a GPU, which runs asynchronously and is only waited for when the loops alternate. Lightning
    also logs (TensorBoard, learning rates, speed). Neither loads data; both move it to the device.
    ``precision`` may be anything but 16-mixed, whose loss scaling is a part of Lightning.
    """
    quiet_known_warnings()
    cfg = load_config(list(overrides))
    loop = time_loops(cfg, steps=(blocks + 1) * BLOCK, device=device)
    turns = BLOCK // loop.turn  # in a block; the first block warms up
    timed = [loop.seconds[i : i + turns] for i in range(turns, len(loop.seconds), turns)]
    sums = [[sum(column) for column in zip(*block, strict=True)] for block in timed]
    ratios = [lightning / plain_loop for lightning, plain_loop in sums]
    return [
        {
            "batch": f"{cfg.data.batch_size} x {cfg.augment.crop} px",
            "plain_ms": statistics.median(plain_loop for _, plain_loop in sums) / BLOCK * 1e3,
            "lightning_ms": statistics.median(lightning for lightning, _ in sums) / BLOCK * 1e3,
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    ]


class PlainLoop(Callback):
    """After every ``turn`` steps of Lightning, takes the same steps by hand on a copy and times both."""

    def __init__(self, module: PoseModule, batches: Sequence[Batch], device: str) -> None:
        self.module = module
        self.batches = batches  # Lightning gets the same ones, repeatedly
        self.copy = deepcopy(module)
        self.device = torch.device(device)
        self.precision = str(module.config["precision"])
        self.turn = 1 if self.device.type == "cpu" else BLOCK  # steps
        self.seconds: list[tuple[float, float]] = []  # per turn: Lightning, plain loop
        self._steps, self._mark = 0, 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Give the copy an optimiser and a schedule as ``configure_optimizers`` does."""
        self.copy.to(self.device).train()
        self.optimizer = build_optimizer(self.copy.network, self.copy.config["optimizer"])
        steps = trainer.estimated_stepping_batches
        self.scheduler = build(
            self.copy.config["scheduler"], optimizer=self.optimizer, total_steps=int(steps)
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self._mark = self._now()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Time Lightning's turn, including the logging of the step before, then the plain loop's."""
        self._steps += 1
        if self._steps % self.turn:
            return
        start = self._now()
        for number in range(self._steps - self.turn, self._steps):
            self.step(self.batches[number % len(self.batches)])
        end = self._now()
        self.seconds.append((start - self._mark, end - start))
        self._mark = end

    def step(self, batch: Batch) -> None:
        """One training step without Lightning."""
        batch = Batch(*(field.to(self.device, non_blocking=True) for field in batch))
        self.optimizer.zero_grad()
        with network_precision(self.precision, self.device):
            terms = self.copy.loss(self.copy(batch.image), self.copy.render(batch))
            total = torch.stack(list(terms.values())).sum()
        total.backward()
        clip = self.copy.config["trainer"]["gradient_clip_val"]
        if clip:
            torch.nn.utils.clip_grad_norm_(self.copy.parameters(), clip)
        self.optimizer.step()
        self.scheduler.step()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def time_loops(cfg: DictConfig, *, steps: int, device: str = "cpu") -> PlainLoop:
    """Train for ``steps`` steps in both loops on random pictures; the timings are in the result."""
    precision = resolve_precision(str(cfg.precision))
    if precision not in ("32-true", "bf16-mixed"):
        raise PafposeError(
            f"precision={precision}: the overhead can be measured in 32-true, bf16-mixed or auto"
        )
    torch.manual_seed(0)
    module = PoseModule(plain(cfg))
    batches = [_batch(module, cfg.data.batch_size, cfg.augment.crop) for _ in range(2)]
    if device != "cpu":  # as data loaders do
        batches = [Batch(*(field.pin_memory() for field in batch)) for batch in batches]
    loop = PlainLoop(module, batches, device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator=device,
            devices=1,
            precision=precision,  # type: ignore[arg-type]
            max_steps=steps,
            logger=TensorBoardLogger(folder),
            callbacks=[LearningRateMonitor("step"), Timing(), loop],
            log_every_n_steps=BLOCK,
            gradient_clip_val=cfg.trainer.gradient_clip_val,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            limit_val_batches=0,
        )
        loader: DataLoader[Any] = DataLoader(batches * (BLOCK // 2), batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, loader, loader)
    return loop


def _batch(module: PoseModule, count: int, size: int) -> Batch:
    keypoints = torch.rand(count, PEOPLE, module.skeleton.num_keypoints, 3) * size
    keypoints[..., 2] = 2
    cells = size // module.network.stride
    return Batch(
        image=torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8),
        keypoints=keypoints,
        boxes=torch.tensor([0.0, 0.0, size, size]).expand(count, PEOPLE, 4).clone(),
        ignore=torch.zeros(count, cells, cells, dtype=torch.bool),
        image_id=torch.arange(count),
        matrix=torch.eye(3, dtype=torch.float64)[:2].expand(count, 2, 3).clone(),
        valid=torch.full((count, 2), size),
        original=torch.full((count, 2), size),
    )
