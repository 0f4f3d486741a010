"""Training within a time limit: the schedule runs by the clock where steps are slower than planned."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

from pafpose.errors import PafposeError

log = logging.getLogger(__name__)

CLOCK = time.monotonic
WARM_UP = 5  # steps that tell nothing: kernels are compiled, the loader starts
ENOUGH = 15  # steps that tell the pace
WINDOW = 100  # steps whose mean is the present pace; fewer would take every hiccup for one


class Deadline(Callback):
    """Ends training, validations included, ``minutes`` after ``started`` (a ``time.monotonic()``; None: now).

    After every step the pace of the last ones and the time left tell how many more fit, up to
    ``trainer.max_steps``, and what is left of the learning rate's schedule and of the intervals between
    validations is stretched over those. A machine that slows down thus still ends in time with the whole
    schedule behind it. Checkpoints carry the time used, so that a resumed run takes no more than is left.
    For one process: several would have to agree on each number.
    """

    def __init__(self, minutes: float, *, started: float | None = None) -> None:
        if not isinstance(minutes, int | float) or not minutes > 0:
            raise PafposeError(f"max_minutes={minutes}: minutes above 0, or null for no limit")
        self.minutes = float(minutes)
        self.position = 0.0  # how far along the planned steps the schedule is
        self._started = CLOCK() if started is None else started
        self._used = 0.0  # seconds, by the processes before this one
        self._step = self._ahead = self._planned = self._passed = 0
        self._taken = self._timed_steps = 0
        self._pace: deque[float] = deque(maxlen=WINDOW)
        self._last: float | None = None  # end of the last step, if nothing else came after it
        self._validating = self._validation = 0.0
        self._told = False

    def state_dict(self) -> dict[str, float]:
        """The time used and the place on the schedule."""
        return {"seconds": self.seconds(), "position": self.position, "step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another process stopped."""
        self._used, self.position = float(state_dict["seconds"]), float(state_dict["position"])
        self._step = int(state_dict["step"])

    def seconds(self) -> float:
        """Time used so far, over all processes of this run."""
        return self._used + CLOCK() - self._started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the schedule onto this clock."""
        if not math.isfinite(trainer.estimated_stepping_batches):
            raise PafposeError(
                f"max_minutes={self.minutes:g}: the length of the run is not known; set trainer.max_steps or "
                "trainer.max_epochs, or stop by trainer.max_time alone"
            )
        if self._used >= 60 * self.minutes:
            raise PafposeError(
                f"max_minutes={self.minutes:g}: the run to resume has used {self._used / 60:.1f} minutes; "
                "give more, or null for no limit"
            )
        self._planned = self._ahead = int(trainer.estimated_stepping_batches)
        self._passed = int(self.position / self._every(trainer))
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, LambdaLR):
                config.scheduler.lr_lambdas = list(map(self._timed, config.scheduler.lr_lambdas))

    def _timed(self, factor: Any) -> Callable[[int], float]:
        """The planned factor at the place on the schedule that belongs to a step."""

        def at(step: int) -> float:
            while self._step < step:
                self.position += (self._planned - self.position) / max(1, self._ahead - self._step)
                self._step += 1
            return float(factor(self.position))

        return at

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count the steps that still fit, and validate when it is time."""
        if trainer.global_step > self._taken:  # not a batch whose gradients wait for others
            self._taken = trainer.global_step
            now, last = CLOCK(), self._last
            self._last = now
            if last is not None:
                self._timed_steps += 1
                if self._timed_steps > WARM_UP:
                    self._pace.append(now - last)
            if len(self._pace) >= ENOUGH:
                self._replan(trainer)
        self._time_validation(trainer)

    def _replan(self, trainer: Trainer) -> None:
        step, per_step = trainer.global_step, statistics.fmean(self._pace)
        left = 60 * self.minutes - self.seconds() - self._validations_left(trainer) * self._validation
        fit = max(step, min(self._planned, step + int(left / per_step)))
        if not self._told and fit < self._planned:
            log.warning(
                "%d steps would take too long here: about %d fit into max_minutes=%g (null: no limit)",
                self._planned, fit, self.minutes,
            )  # fmt: skip
        self._told = True
        self._ahead = trainer.fit_loop.epoch_loop.max_steps = fit

    def _every(self, trainer: Trainer) -> float:
        """Planned steps from one validation to the next; infinite where epochs or shares of them tell."""
        every = trainer.val_check_interval
        counted = isinstance(every, int) and trainer.check_val_every_n_epoch is None
        return every / trainer.accumulate_grad_batches if counted else math.inf

    def _validations_left(self, trainer: Trainer) -> int:
        return math.ceil((self._planned - self.position) / self._every(trainer)) or 1

    def _time_validation(self, trainer: Trainer) -> None:
        """Make this batch one that is followed by a validation, or none."""
        every = self._every(trainer)
        if every == math.inf:
            return
        passed = int(self.position / every)
        due = passed > self._passed or trainer.global_step >= self._ahead
        self._passed = passed
        batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        trainer.val_check_batch = batches if due else batches + 1

    def on_validation_batch_start(self, *args: Any) -> None:
        """Note when the first batch starts, after whatever is compiled then."""
        if self._last is not None:
            self._last, self._validating = None, CLOCK()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how long a validation takes."""
        if self._last is None:
            self._validation = CLOCK() - self._validating
