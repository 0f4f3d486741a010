"""An exponential moving average of the weights, evaluated and saved in their place."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from pafpose.errors import PafposeError

Weights = dict[str, Tensor]


class EMA(Callback):
    """Average parameters and BatchNorm statistics after every optimiser step.

    While fitting, validation runs on the average, and checkpoints hold it as their ``state_dict``; the
    weights being trained are kept beside it, so that resuming restores both. The decay warms up as
    ``min(decay, (1 + n) / (10 + n))`` after n steps, so that short runs are averaged sensibly.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise PafposeError(
                f"callbacks.ema.decay={decay}: must be at least 0 and below 1 (0.998 is usual)"
            )
        self.decay = float(decay)
        self._average: Weights | None = None
        self._training: Weights | None = None  # out of a checkpoint, until fitting starts
        self._updates = 0
        self._last_step = -1
        self._swapped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights as they are, or go on where the checkpoint stopped."""
        if self._training is not None:
            pl_module.load_state_dict(self._training, strict=False)
            self._training = None
        live = averaged(pl_module)
        known = self._average or {}
        self._average = {
            name: known.get(name, value).detach().to(value.device, value.dtype, copy=True)
            for name, value in live.items()
        }
        self._swapped = False
        self._last_step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Move the average after an optimiser step (not after every accumulated batch)."""
        if self._average is None or trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        live = averaged(pl_module)
        decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            torch._foreach_lerp_(
                [self._average[name] for name in live], [value.detach() for value in live.values()], 1 - decay
            )
        self._updates += 1

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the average."""
        if trainer.state.fn == TrainerFn.FITTING and not self._swapped:
            self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go back to the weights being trained."""
        if self._swapped:
            self._swap(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Plain values; the tensors are added in ``on_save_checkpoint``."""
        return {"updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self._updates = int(state_dict["updates"])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the weights, and the weights being trained beside it."""
        if self._average is None:
            return
        live = {name: value.detach() for name, value in averaged(pl_module).items()}
        training, average = (self._average, live) if self._swapped else (live, self._average)
        checkpoint["ema_training_weights"] = {name: value.clone() for name, value in training.items()}
        for name, value in average.items():
            checkpoint["state_dict"][name] = value.clone()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """When resuming, take both sets of weights; a plain load just has the average as its weights."""
        if trainer.state.fn != TrainerFn.FITTING or "ema_training_weights" not in checkpoint:
            return
        self._training = checkpoint["ema_training_weights"]
        self._average = {name: checkpoint["state_dict"][name] for name in self._training}

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        if self._average is None:
            return
        live = [value.detach() for value in averaged(pl_module).values()]
        kept = [value.clone() for value in live]
        average = list(self._average.values())
        torch._foreach_copy_(live, average)
        torch._foreach_copy_(average, kept)
        self._swapped = not self._swapped


def averaged(module: torch.nn.Module) -> Weights:
    """The tensors that are averaged, by their name in the state dict: all of floating point."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
