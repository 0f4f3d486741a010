"""Progress of a run: a bar on a terminal, log lines elsewhere (pipes, CI, cluster logs)."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.types import STEP_OUTPUT
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from pafpose.training.time_budget import schedule_position

log = logging.getLogger(__name__)


def build_progress(refresh_rate: float = 10, every_seconds: float = 30) -> Callback:
    """Build the bar where standard output is a terminal, else the log lines."""
    return ProgressBar(refresh_rate) if sys.stdout.isatty() else ProgressLines(every_seconds)


class ProgressLines(Callback):
    """Log a line every ``every_seconds`` (step, loss, speed, time left) and the AP after each validation."""

    def __init__(self, every_seconds: float = 30) -> None:
        self._every = every_seconds
        self._started = self._last = 0.0
        self._first_step = self._first_position = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._last = time.monotonic()
        self._first_step, self._first_position = trainer.global_step, schedule_position(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Write a line when it is time; only then is the loss read from the device."""
        now = time.monotonic()
        if now - self._last < self._every or not trainer.is_global_zero:
            return
        self._last = now
        step, total, seconds = trainer.global_step, trainer.estimated_stepping_batches, now - self._started
        speed = (step - self._first_step) / seconds
        position = schedule_position(trainer)
        line = f"step {step} of {total}, loss {loss_of(trainer, outputs):.3f}, {speed:.1f} steps/s"
        if position > self._first_position and math.isfinite(total):
            left = seconds * (total - position) / (position - self._first_position)
            line += f", {left / 60:.1f} min left"
        log.info(line)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the AP."""
        if trainer.is_global_zero and "val/AP" in trainer.callback_metrics:
            log.info("step %d: val AP %.3f", trainer.global_step, float(trainer.callback_metrics["val/AP"]))


class ProgressBar(Callback):
    """Draw one bar for all steps of a run, with the time left, the loss (read once a second) and the last AP.

    ``refresh_rate`` is how often it is drawn a second. Lightning's own bars count the batches of one pass
    over the data and read every logged value from the device after every step.
    """

    def __init__(self, refresh_rate: float = 10, *, console: Console | None = None) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[loss]}{task.fields[ap]}"),
            refresh_per_second=refresh_rate, console=console,
        )  # fmt: skip
        self._task = self._bar.add_task("Training", loss="", ap="")
        self._last = -math.inf

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, where a resumed run stands."""
        if trainer.is_global_zero:
            total = trainer.estimated_stepping_batches
            self._bar.reset(
                self._task,
                total=total if math.isfinite(total) else None,
                completed=schedule_position(trainer),
            )
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Move the bar; once a second, show the loss as well."""
        if not trainer.is_global_zero:
            return
        self._bar.update(self._task, completed=schedule_position(trainer))
        if time.monotonic() - self._last >= 1:
            self._last = time.monotonic()
            self._bar.update(self._task, loss=f"loss {loss_of(trainer, outputs):.3f}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that the run validates."""
        self._bar.update(self._task, description="Validating")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the AP."""
        self._bar.update(self._task, description="Training")
        if "val/AP" in trainer.callback_metrics:
            self._bar.update(self._task, ap=f"  val AP {float(trainer.callback_metrics['val/AP']):.3f}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._bar.stop()


def loss_of(trainer: Trainer, outputs: STEP_OUTPUT) -> float:
    """Read the loss of the batch just trained, which waits for the device.

    Lightning hands it over divided by the number of batches whose gradients are accumulated.
    """
    loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
    return math.nan if loss is None else float(loss) * trainer.accumulate_grad_batches
