"""What Lightning costs: its training step against the same step in a plain loop, taken in turns."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Sequence
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
from pafpose.runtime.precision import choose, mixed
from pafpose.training.callbacks import Timing
from pafpose.training.module import PoseModule
from pafpose.training.optim import build_optimizer

BLOCK = 10  # steps that are summed up; one of them writes to TensorBoard
PEOPLE = 4


def overhead_table(
    overrides: Sequence[str] = (), *, blocks: int = 6, device: str = "cpu"
) -> list[dict[str, Any]]:
    """One row: milliseconds of a step in both, and the ratio's median, lowest and highest over the blocks.

    Both take the same batches through equal networks, targets, loss, clipping, optimiser and schedule, in
    turns, so that other work on the machine hits both alike: step by step on a CPU, ten steps at a time on a
    GPU, which works behind the host and is waited for at the end of a turn alone. Lightning's side has its
    logging (TensorBoard, learning rates, speed); neither loads data, both move it to the device.
    ``precision`` is the config's, without 16-mixed: its loss scaling is Lightning's.
    """
    quiet_known_warnings()
    cfg = load_config(list(overrides))
    loop = measure(cfg, steps=(blocks + 1) * BLOCK, device=device)
    turns = BLOCK // loop.turn  # of a block
    parts = [loop.pairs[i : i + turns] for i in range(turns, len(loop.pairs), turns)]  # the first warms up
    sums = [[sum(column) for column in zip(*part, strict=True)] for part in parts]
    ratios = [lightning / alone for lightning, alone in sums]
    return [
        {
            "batch": f"{cfg.data.batch_size} x {cfg.augment.crop} px",
            "plain_ms": statistics.median(alone for _, alone in sums) / BLOCK * 1e3,
            "lightning_ms": statistics.median(lightning for lightning, _ in sums) / BLOCK * 1e3,
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    ]


class PlainLoop(Callback):
    """After each turn of Lightning's, takes the same steps by hand on a twin; notes how long both took."""

    def __init__(self, module: PoseModule, batches: Sequence[Batch], device: str) -> None:
        self.module = module
        self.batches = batches  # what Lightning is given, over and over
        self.twin = copy.deepcopy(module)
        self.device = torch.device(device)
        self.precision = str(module.config["precision"])
        self.turn = 1 if self.device.type == "cpu" else BLOCK  # steps
        self.pairs: list[tuple[float, float]] = []  # seconds of a turn: Lightning, plain
        self._steps, self._mark = 0, 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Set the twin up as ``configure_optimizers`` does."""
        self.twin.to(self.device).train()
        self.optimizer = build_optimizer(self.twin.network, self.twin.config["optimizer"])
        steps = trainer.estimated_stepping_batches
        self.scheduler = build(
            self.twin.config["scheduler"], optimizer=self.optimizer, total_steps=int(steps)
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self._mark = self._now()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """What passed since the plain turn before is Lightning's, logging of its last step included."""
        self._steps += 1
        if self._steps % self.turn:
            return
        start = self._now()
        for number in range(self._steps - self.turn, self._steps):
            self.step(self.batches[number % len(self.batches)])
        end = self._now()
        self.pairs.append((start - self._mark, end - start))
        self._mark = end

    def step(self, batch: Batch) -> None:
        """One training step without Lightning."""
        batch = Batch(*(field.to(self.device, non_blocking=True) for field in batch))
        self.optimizer.zero_grad()
        with mixed(self.precision, self.device):
            terms = self.twin.loss(self.twin(batch.image), self.twin.render(batch))
            total = torch.stack(list(terms.values())).sum()
        total.backward()
        clip = self.twin.config["trainer"]["gradient_clip_val"]
        if clip:
            torch.nn.utils.clip_grad_norm_(self.twin.parameters(), clip)
        self.optimizer.step()
        self.scheduler.step()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def measure(cfg: DictConfig, *, steps: int, device: str = "cpu") -> PlainLoop:
    """Train ``steps`` steps both ways on random pictures with people."""
    precision = choose(str(cfg.precision))
    if precision not in ("32-true", "bf16-mixed"):
        raise PafposeError(f"precision={precision}: overhead is measured in 32-true, bf16-mixed or auto")
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
