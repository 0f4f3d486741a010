"""The checkpoints of a run: the best so far and the latest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from pafpose.errors import PafposeError

BEST, LAST = "best.ckpt", "last.ckpt"


class Checkpoints(Checkpoint):
    """Save ``best.ckpt`` and ``last.ckpt`` in a folder after every validation.

    ``best.ckpt`` has the highest value of ``monitor``, the first of equals; NaN, which stands for undefined,
    is below every number. The state is that value alone: no path is ever read from a checkpoint.
    """

    def __init__(self, folder: str, monitor: str = "val/AP") -> None:
        self.folder, self.monitor = Path(folder), monitor
        self._best: float | None = None
        self._saved_step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best value of the run that is resumed."""
        self._best = state_dict["best"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the best value when its checkpoint is not there; rank 0 looks for all."""
        if not trainer.strategy.broadcast((self.folder / BEST).is_file()):
            self._best = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the validation just judged."""
        if trainer.sanity_checking:
            return
        value = self._value(trainer)
        if self._best is None or value > self._best:
            self._best = value
            trainer.save_checkpoint(self.folder / BEST)
        trainer.save_checkpoint(self.folder / LAST)
        self._saved_step = trainer.global_step

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what no validation judged: no steps were left, or there are no photos to validate on."""
        if self._saved_step == trainer.global_step:
            return
        if self._best is None:
            trainer.save_checkpoint(self.folder / BEST)
        trainer.save_checkpoint(self.folder / LAST)

    def _value(self, trainer: Trainer) -> float:
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            raise PafposeError(
                f"callbacks.checkpoints.monitor={self.monitor}: validation gives no such value; choose "
                f"one of {' '.join(sorted(metrics))}"
            )
        value = float(metrics[self.monitor])
        return -math.inf if math.isnan(value) else value
