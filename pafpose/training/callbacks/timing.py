"""Training speed: samples per second over all ranks, validation left out, waiting for data included."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from pafpose.data.batch import Batch

CLOCK = time.perf_counter


class Timing(Callback):
    """Logs ``train/samples_per_second``, an average over about ``window`` seconds."""

    def __init__(self, window: float = 2.0) -> None:
        self.window = window
        self._samples, self._seconds = 0, 0.0
        self._last: float | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._last = CLOCK()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on after validation as if it had taken no time."""
        self._last = CLOCK()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count one batch; tell the speed once the window is full."""
        now = CLOCK()
        if self._last is not None:
            self._seconds += now - self._last
            self._samples += len(batch.image)
        self._last = now
        if self._seconds >= self.window:
            speed = self._samples * trainer.world_size / self._seconds
            pl_module.log("train/samples_per_second", speed)
            self._samples, self._seconds = 0, 0.0
