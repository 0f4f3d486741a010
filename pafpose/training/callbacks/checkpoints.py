"""The checkpoints of a run, from which it resumes exactly: the best so far and the latest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from pafpose.errors import PafposeError
from pafpose.training.callbacks.gradients import PENDING

BEST, LAST = "best.ckpt", "last.ckpt"


class Checkpoints(Checkpoint):
    """Save ``best.ckpt`` and ``last.ckpt`` in a folder after every validation, ``last.ckpt`` also before it.

    ``best.ckpt`` has the highest value of ``monitor``, the first of equals; NaN, which stands for undefined,
    is below every number. The state is that value alone: no path is ever read from a checkpoint.
    """

    def __init__(self, folder: str, monitor: str = "val/AP") -> None:
        self.folder, self.monitor = Path(folder), monitor
        self._best: float | None = None
        self._saved_step: int | None = None
        self.validating = False  # or, in a run that was just resumed, still to validate

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and whether a validation has begun."""
        return {"best": self._best, "validating": self.validating}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of the run that is resumed."""
        self._best, self.validating = state_dict["best"], state_dict["validating"]

    def save_last(self, trainer: Trainer) -> None:
        """Save ``last.ckpt``."""
        trainer.save_checkpoint(self.folder / LAST)
        self._saved_step = trainer.global_step

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the best value when its checkpoint is not there; rank 0 looks for all."""
        if not trainer.strategy.broadcast((self.folder / BEST).is_file()):
            self._best = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Save the end of a run that is not validated."""
        if trainer.should_stop and not trainer.enable_validation:
            trainer.save_checkpoint(self.folder / BEST)
            self.save_last(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before the validation, so that a kill during it costs no training."""
        if trainer.sanity_checking:
            return
        self.validating = True
        if trainer.state.fn == TrainerFn.FITTING:
            self.save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the validation judged."""
        if trainer.sanity_checking:
            return
        self.validating = False
        value = self._value(trainer)
        if self._best is None or value > self._best:
            self._best = value
            trainer.save_checkpoint(self.folder / BEST)
        if trainer.state.fn == TrainerFn.FITTING:
            self.save_last(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the checkpoint that was resumed when it had no steps left."""
        if self._saved_step == trainer.global_step:
            return
        self.save_last(trainer)
        if self._best is None and not self.validating:
            trainer.save_checkpoint(self.folder / BEST)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note the progress in the form that resumes exactly."""
        progress = checkpoint["loops"]["fit_loop"]
        end_batch(progress)
        if self.validating:
            at_end = trainer.global_step >= trainer.estimated_stepping_batches
            begin_validation(progress, counted_again=not at_end and PENDING not in checkpoint)

    def _value(self, trainer: Trainer) -> float:
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            raise PafposeError(
                f"callbacks.checkpoints.monitor={self.monitor}: validation gives no such value; choose "
                f"one of {' '.join(sorted(metrics))}"
            )
        value = float(metrics[self.monitor])
        return -math.inf if math.isnan(value) else value


def end_batch(progress: dict[str, Any]) -> None:
    """Note in Lightning's progress of a run that a batch is about to end, in place.

    From such a checkpoint Lightning resumes exactly, also at the end of a pass over the data. From one that
    notes the batch as completed, as after a validation, it would train one batch too many there.
    """
    for count in ("total", "current"):
        batches = progress["epoch_loop.batch_progress"][count]
        batches["completed"] = batches["processed"] - 1


def begin_validation(progress: dict[str, Any], *, counted_again: bool) -> None:
    """Note in Lightning's progress that the validation after this batch has begun, in place.

    A resumed run then validates first, from the first photo; without the note it would leave the validation
    out. ``counted_again``: Lightning will count the optimiser step of this batch a second time.
    """
    begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    progress["epoch_loop.val_loop.batch_progress"] |= {"total": begun, "current": dict(begun)}
    progress["epoch_loop.state_dict"]["_batches_that_stepped"] -= counted_again
