"""An exponential moving average of the weights, which is validated and saved in their place."""

from __future__ import annotations

from functools import partial

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pafpose.errors import PafposeError


class EMA(WeightAveraging):
    """Average parameters and BatchNorm statistics over about ``1 / (1 - decay)`` steps.

    Validation runs on the average. Checkpoints hold it as their ``state_dict`` and the weights being trained
    beside it, so that training resumes exactly. The average moves every ``every_n_steps``, and after each of
    the first so many steps, because every update of torch's ``AveragedModel`` waits for the device. The decay
    of update n is at most ``(1 + n) / (10 + n)``, so that short runs forget their beginning too.
    """

    def __init__(self, decay: float = 0.998, every_n_steps: int = 10) -> None:
        if not 0 <= decay < 1:
            raise PafposeError(f"callbacks.ema.decay={decay}: must be at least 0 and below 1; 0.998 is usual")
        if every_n_steps < 1:
            raise PafposeError(f"callbacks.ema.every_n_steps={every_n_steps}: must be at least 1")
        super().__init__(multi_avg_fn=partial(update_average, decay=decay**every_n_steps))
        self.every_n_steps = every_n_steps

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average on the device that trains, where Lightning moves the module only later."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Tell whether the average is updated after a step, counted from 0."""
        if step_idx is None:
            return False
        return step_idx < self.every_n_steps or (step_idx + 1) % self.every_n_steps == 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights being trained, so that a checkpoint saved after training can be resumed."""


def update_average(
    averages: list[Tensor], values: list[Tensor], updates: Tensor | int, *, decay: float
) -> None:
    """Move tensors of one dtype towards their present values, in place; whole numbers are copied.

    ``updates`` is how often they were updated before.
    """
    warm_up = (1 + int(updates)) / (10 + int(updates))
    if averages[0].is_floating_point():
        get_ema_multi_avg_fn(min(decay, warm_up))(averages, values, updates)
    else:
        for average, value in zip(averages, values, strict=True):
            average.copy_(value)
