"""What a training does when a signal asks it to end: save first."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from types import FrameType
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment

from pafpose.runtime import signals
from pafpose.runtime.signals import Interrupted
from pafpose.training.callbacks.checkpoints import Checkpoints

log = logging.getLogger(__name__)


class StopOnSignal(Checkpoint):
    """Finish the batch, save ``last.ckpt`` and raise ``Interrupted``; a second signal is not waited for.

    During validation it is raised at once, because ``last.ckpt`` was saved before. A launcher that handles
    the signal itself, as submitit does, gets it after the checkpoint is saved. Under SLURM, SIGUSR1 and
    SIGUSR2 also queue the job again. All processes of a run stop together, whichever of them got the signal:
    they ask each other after every batch.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._before: dict[int, Any] = {}
        self._launchers: dict[int, Any] = {}  # handlers that are neither Python's nor Lightning's nor ours
        self._received: int | None = None
        self._wait = True  # for the end of the batch
        self._saved = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look who handles signals, before Lightning does."""
        handlers = {
            signum: signal.getsignal(signum) for signum in signals.ENDING if not signals.is_free(signum)
        }
        self._launchers = {signum: handler for signum, handler in handlers.items() if callable(handler)}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals that are not ignored."""
        heard = [signum for signum in signals.ENDING if signal.getsignal(signum) != signal.SIG_IGN]
        self._before = signals.install(self._note, heard)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        again, self._received = self._received is not None, signum
        if again or not self._wait:
            self._hand_over()
        else:
            log.warning("%s: saving a checkpoint after this batch", signal.Signals(signum).name)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Stop between two batches."""
        if self._saved:
            self._hand_over()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Save when any process was asked to end."""
        asked = self._received is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            self._checkpoints.save_last(trainer)
            self._saved = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop before a validation, which the resumed run makes up for."""
        self._wait = False
        if self._saved:
            self._hand_over()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the end of batches again; checkpoints are saved next, which is not to be interrupted."""
        self._wait = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop before the evaluation."""
        if self._saved:
            self._hand_over()
        signals.restore(self._before)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        signals.restore(self._before)

    def _hand_over(self) -> None:
        """Give the signal to the launcher that handled it before, or raise ``Interrupted``.

        Training goes on when the launcher's handler returns.
        """
        signum = self._received or signal.SIGTERM  # another process got the signal
        self._received, self._saved = None, False
        if signum in self._launchers:
            self._launchers[signum](signum, None)
            return
        if signum not in (signal.SIGINT, signal.SIGTERM):
            queue_again()
        raise Interrupted(signum)


def queue_again() -> None:
    """Queue the SLURM job that this process is the first task of again; do nothing anywhere else."""
    if not SLURMEnvironment.detect() or os.environ.get("SLURM_PROCID", "0") != "0":
        return
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if done.returncode:
        log.warning("scontrol requeue %s failed: %s", job, done.stderr.strip())
    else:
        log.info("queued job %s again", job)
