"""A progress bar with a time estimate where there is a terminal, plain log lines where there is none."""

from __future__ import annotations

import logging
import math
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


class StepBar(RichProgressBar):
    """Rich's bar over all steps of a training, not over one pass; asks the device for the loss once a second.

    Lightning's own bars ask after every step, and wait for the answer.
    """

    def __init__(self, refresh_rate: int) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._told: dict[str, Any] = {}
        self._asked = -math.inf

    @property
    def total_train_batches(self) -> int | float:
        """Optimiser steps; fewer once ``max_minutes`` knows how many fit."""
        return self.trainer.estimated_stepping_batches

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin one bar for all passes, where a resumed run stands."""
        if self.train_progress_bar_id is None:
            super().on_train_epoch_start(trainer, pl_module)
            self._update(self.train_progress_bar_id, trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count steps, not batches of a pass."""
        if self.progress is not None and self.train_progress_bar_id is not None:
            self.progress.update(self.train_progress_bar_id, total=self.total_train_batches)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, trainer.global_step - 1)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """What Lightning would show, the last logged loss and the last AP."""
        if time.monotonic() - self._asked >= 1:
            self._asked = time.monotonic()
            known = trainer.callback_metrics
            self._told = {name: float(known[name]) for name in ("train/loss", "val/AP") if name in known}
        return {**super().get_metrics(trainer, pl_module), **self._told}

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training".ljust(len(self.validation_description))


def Progress(refresh_rate: int = 10) -> Callback:
    """Rich's bar on a terminal, log lines elsewhere (pipes, CI, cluster logs)."""
    return StepBar(refresh_rate) if sys.stdout.isatty() else LogProgress()
