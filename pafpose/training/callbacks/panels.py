"""Pictures of what the network sees, should say and says: to TensorBoard and to ``images/`` of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from pafpose.data.batch import Batch, Sample, collate
from pafpose.errors import PafposeError
from pafpose.fields import Fields, People, Targets
from pafpose.geometry import pad_to_multiple
from pafpose.training.module import PoseModule
from pafpose.viz.panels import training_panels
from pafpose.viz.sheets import Panel, save_picture, tile


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


@torch.no_grad()
def batch_panels(module: PoseModule, batch: Batch) -> list[np.ndarray]:
    """One RGB picture per photo of a batch; runs the network in evaluation mode, without gradients."""
    training = module.network.training
    module.network.eval()
    predicted = module.predict_fields(batch.image)
    module.network.train(training)
    assert predicted.heatmaps is not None and predicted.pafs is not None
    size = (int(batch.image.shape[-2]), int(batch.image.shape[-1]))
    targets = module.targets(batch.keypoints, size, batch.boxes, batch.ignore)
    found = module.decoder.decode_batch(predicted.heatmaps, predicted.pafs, batch.valid)
    return [
        tile(_photo_panels(module, batch, n, targets=targets, predicted=predicted, found=found[n]), columns=3)
        for n in range(len(batch.image))
    ]


def _photo_panels(
    module: PoseModule, batch: Batch, n: int, *, targets: Targets, predicted: Fields, found: People
) -> list[Panel]:
    """The panels of photo ``n``, cut to the cells that hold the photo."""
    stride = batch.image.shape[-1] // targets.pafs.shape[-1]
    height, width = (pad_to_multiple(int(side), stride) for side in batch.valid[n])
    cells = (n, ..., slice(height // stride), slice(width // stride))
    assert predicted.heatmaps is not None and predicted.pafs is not None
    return training_panels(
        batch.image[n, :, :height, :width],
        Targets(*(targets[i][cells] if i < 2 else targets[i][n] for i in range(4))),
        Fields(predicted.heatmaps[cells], predicted.pafs[cells]),
        truth=batch.keypoints[n],
        found=found,
        skeleton=module.skeleton,
        ignore=batch.ignore[cells],
    )
