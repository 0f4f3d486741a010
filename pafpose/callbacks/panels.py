"""Pictures of what the network sees, should say and says: to TensorBoard and to ``images/`` of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from pafpose.data.collate import collate
from pafpose.data.records import Batch, Sample
from pafpose.errors import PafposeError
from pafpose.viz.panels import batch_panels
from pafpose.viz.sheets import save_picture


class PanelsCallback(Callback):
    """Panels of the same validation photos at every validation, and of training batches now and then.

    ``num_photos`` per round; ``every_n_steps`` also shows training batches, None does not.
    """

    def __init__(self, num_photos: int = 4, every_n_steps: int | None = None) -> None:
        if num_photos < 0:
            raise PafposeError(f"callbacks.panels.num_photos={num_photos}: give 0 or more photos")
        if every_n_steps is not None and every_n_steps < 1:
            raise PafposeError(
                f"callbacks.panels.every_n_steps={every_n_steps}: give 1 or more steps, or null for no "
                "pictures of training batches"
            )
        self.num_photos = num_photos
        self.every_n_steps = every_n_steps
        self._photos: list[Sample] | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the fixed photos with the weights that are being validated."""
        if trainer.sanity_checking or not trainer.is_global_zero or not self.num_photos:
            return
        if self._photos is None:
            self._photos = choose_photos(trainer.datamodule.val_dataset, self.num_photos)  # type: ignore[attr-defined]
        for sample in self._photos:
            self._show(trainer, pl_module, batch=collate([sample]), kind="val")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Draw the head of a training batch every so many optimiser steps."""
        step = trainer.global_step
        if self.every_n_steps is None or not self.num_photos or not trainer.is_global_zero:
            return
        once_a_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if once_a_step and step % self.every_n_steps == 0:
            self._show(trainer, pl_module, batch=Batch(*(x[: self.num_photos] for x in batch)), kind="train")

    def _show(self, trainer: Trainer, module: LightningModule, *, batch: Batch, kind: str) -> None:
        batch = trainer.strategy.batch_to_device(batch)
        with trainer.precision_plugin.val_step_context():
            pictures = batch_panels(module, batch)  # type: ignore[arg-type]
        for n, (picture, image_id) in enumerate(zip(pictures, batch.image_id.tolist(), strict=True)):
            name = str(image_id) if kind == "val" else str(n)
            log_picture(trainer, picture, tag=f"panels/{kind}/{name}")
            folder = Path(trainer.default_root_dir, "images", kind)
            save_picture(picture, folder / f"step{trainer.global_step:06d}_{image_id}.png")


def choose_photos(dataset: Any, count: int) -> list[Sample]:
    """Samples spread evenly over a data set, those with labelled people first; the same ones every time."""
    tries = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), 4 * count)).astype(int))
    samples = [dataset[int(i)] for i in tries]
    peopled = [s for s in samples if bool((s.keypoints[..., 2] > 0).any())]
    if len(peopled) > count:
        peopled = [peopled[i] for i in np.linspace(0, len(peopled) - 1, count).astype(int)]
    known = {s.image_id for s in peopled}
    return [*peopled, *(s for s in samples if s.image_id not in known)][:count]


def log_picture(trainer: Trainer, picture: np.ndarray, *, tag: str) -> None:
    """RGB uint8 (H, W, 3) to every TensorBoard logger."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(tag, picture, trainer.global_step, dataformats="HWC")
