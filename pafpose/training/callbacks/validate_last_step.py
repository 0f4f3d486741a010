"""Validation at the end of every run, whatever the interval between validations."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback


class ValidateLastStep(Callback):
    """Asks Lightning to stop at the last step, because it validates before it obeys."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Ask at the last step that ``trainer.max_steps`` or ``trainer.max_epochs`` allows."""
        if trainer.global_step >= trainer.estimated_stepping_batches:
            trainer.should_stop = True
