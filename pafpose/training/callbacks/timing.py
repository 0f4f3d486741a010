"""Training speed: samples per second over all ranks, with the wait for data but without validation."""

from __future__ import annotations

import time

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.types import STEP_OUTPUT

from pafpose.data.batch import Batch


class Timing(Callback):
    """Log ``train/samples_per_second``, averaged over about ``window`` seconds."""

    def __init__(self, window: float = 2.0) -> None:
        self.window = window
        self._samples, self._seconds = 0, 0.0
        self._last = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._last = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out the time that validation took."""
        self._last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Batch, batch_idx: int
    ) -> None:
        """Count a batch, and log the speed once the window is full."""
        now = time.perf_counter()
        self._seconds += now - self._last
        self._samples += len(batch.image)
        self._last = now
        if self._seconds >= self.window:
            pl_module.log("train/samples_per_second", self._samples * trainer.world_size / self._seconds)
            self._samples, self._seconds = 0, 0.0
