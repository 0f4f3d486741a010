"""A progress bar with a time estimate where there is a terminal, plain log lines where there is none."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, RichProgressBar

log = logging.getLogger(__name__)


class LogProgress(Callback):
    """One line now and then: step, loss, speed, time left."""

    def __init__(self, every_seconds: float = 30.0) -> None:
        self._every = every_seconds
        self._started = self._last = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._last = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say where we are, at most every so many seconds."""
        now = time.monotonic()
        if now - self._last < self._every or not trainer.is_global_zero:
            return
        self._last = now
        done, total = trainer.global_step, trainer.estimated_stepping_batches
        pace = (done - self._first_step) / (now - self._started)
        left = f", {(total - done) / pace / 60:.1f} min left" if pace > 0 and total < float("inf") else ""
        loss = trainer.callback_metrics.get("train/loss")
        told = f", loss {float(loss):.3f}" if loss is not None else ""
        log.info("step %d of %s%s, %.1f steps/s%s", done, total, told, pace, left)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report AP."""
        if trainer.is_global_zero and "val/AP" in trainer.callback_metrics:
            log.info("step %d: val AP %.3f", trainer.global_step, float(trainer.callback_metrics["val/AP"]))


def Progress(refresh_rate: int = 10) -> Callback:
    """Rich's bar on a terminal, log lines elsewhere (pipes, CI, cluster logs)."""
    return RichProgressBar(refresh_rate=refresh_rate) if sys.stdout.isatty() else LogProgress()
