"""Training within a time budget: the schedule follows the clock where steps are slower than planned."""

from __future__ import annotations

import math
import time

from pytorch_lightning import Callback, LightningModule, Trainer

from pafpose.errors import PafposeError


class TimeBudget(Callback):
    """End training after some ``minutes``, counted from now; a resumed run counts those of before as well.

    ``share`` is the share of the minutes that is used, between 0 and 1, and the same on all ranks.
    """

    def __init__(self, minutes: float) -> None:
        if not isinstance(minutes, int | float) or not minutes > 0:
            raise PafposeError(f"max_minutes={minutes}: give minutes above 0, or null for no limit")
        self.minutes, self.share = float(minutes), 0.0
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, float]:
        """Return the time used so far."""
        return {"seconds": time.monotonic() - self._started}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Count the time that was used before the run was resumed."""
        self._started -= (seconds := state_dict["seconds"])
        if seconds >= 60 * self.minutes:
            raise PafposeError(
                f"max_minutes={self.minutes:g}: the run to resume has used {seconds / 60:.1f} minutes; give "
                "more, or null for no limit"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Read the clock."""
        used = (time.monotonic() - self._started) / (60 * self.minutes)
        self.share = trainer.strategy.broadcast(min(1.0, used))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Stop when the time is up; Lightning then validates once more."""
        trainer.should_stop = trainer.should_stop or self.share == 1


def schedule_position(trainer: Trainer) -> int:
    """Return where the schedule should be, in steps: the larger of the shares of steps and of time used."""
    step, planned = trainer.global_step, trainer.estimated_stepping_batches
    if math.isinf(planned):
        return step
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return max([step, *(int(c.share * planned) for c in callbacks if isinstance(c, TimeBudget))])
