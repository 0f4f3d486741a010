"""Gradients that wait for more batches (``trainer.accumulate_grad_batches``) when a checkpoint is saved."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

PENDING = "pending_gradients"  # key of a checkpoint


class PendingGradients(Callback):
    """Keep accumulated gradients in checkpoints, so that a run resumes exactly between two optimiser steps.

    Several processes keep the mean of theirs, which gives the same step up to rounding.
    """

    def __init__(self) -> None:
        self._pending = False
        self._loaded: dict[str, Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Expect gradients that wait."""
        self._pending = True

    def on_before_optimizer_step(self, trainer: Trainer, *args: object) -> None:
        """Note that they are used up."""
        self._pending = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the gradients that wait."""
        if self._pending:
            gradients = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
            checkpoint[PENDING] = {
                name: trainer.strategy.reduce(gradient.clone(), reduce_op="mean")
                for name, gradient in gradients.items()
            }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take them out of the checkpoint."""
        self._loaded = checkpoint.get(PENDING, {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give them to the parameters."""
        parameters = dict(pl_module.named_parameters())
        for name, gradient in self._loaded.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._pending = bool(self._loaded)
        self._loaded = {}
