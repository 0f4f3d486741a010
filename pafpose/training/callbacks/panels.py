"""Pictures of targets and predictions during training, for TensorBoard and ``images/`` of the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.types import STEP_OUTPUT

from pafpose.data.batch import Batch, Sample, collate
from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.geometry import pad_to_multiple
from pafpose.training.module import PoseModule
from pafpose.viz.panels import training_panels
from pafpose.viz.sheets import save_picture, tile


class PanelsCallback(Callback):
    """Draw the same ``num_photos`` validation photos at every validation.

    With ``every_n_steps``, also draw the first samples of a training batch every so many steps.
    """

    def __init__(self, num_photos: int = 4, every_n_steps: int | None = None) -> None:
        if num_photos < 0:
            raise PafposeError(f"callbacks.panels.num_photos={num_photos}: must be 0 or more")
        if every_n_steps is not None and every_n_steps < 1:
            raise PafposeError(
                f"callbacks.panels.every_n_steps={every_n_steps}: must be at least 1, or null to draw no "
                "training batches"
            )
        self.num_photos = num_photos
        self.every_n_steps = every_n_steps
        self._samples: list[Sample] | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the validation photos with the weights that were validated."""
        if trainer.sanity_checking or not trainer.is_global_zero or not self.num_photos:
            return
        if self._samples is None:
            self._samples = choose_samples(trainer.datamodule.val_dataset, self.num_photos)  # type: ignore[attr-defined]
        for sample in self._samples:
            self._show(trainer, pl_module, batch=collate([sample]), split="val")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Batch, batch_idx: int
    ) -> None:
        """Draw the first samples of a training batch when it is time."""
        if self.every_n_steps is None or not self.num_photos or not trainer.is_global_zero:
            return
        steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # else the step is counted twice
        if steps and trainer.global_step % self.every_n_steps == 0:
            self._show(trainer, pl_module, batch=Batch(*(x[: self.num_photos] for x in batch)), split="train")

    def _show(self, trainer: Trainer, module: LightningModule, *, batch: Batch, split: str) -> None:
        batch = trainer.strategy.batch_to_device(batch)
        with trainer.precision_plugin.val_step_context():
            pictures = draw_batch(module, batch)  # type: ignore[arg-type]
        folder = Path(trainer.default_root_dir, "images", split)
        for n, (picture, image_id) in enumerate(zip(pictures, batch.image_id.tolist(), strict=True)):
            save_picture(picture, folder / f"step{trainer.global_step:06d}_{image_id}.png")
            tag = f"panels/{split}/{image_id if split == 'val' else n}"
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(tag, picture, trainer.global_step, dataformats="HWC")


def choose_samples(dataset: Sequence[Sample], count: int) -> list[Sample]:
    """Return samples spread evenly over a dataset, always the same, those with labelled people first."""
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), 4 * count)).astype(int))
    samples = [dataset[int(index)] for index in indices]
    with_people = [sample for sample in samples if bool((sample.keypoints[..., 2] > 0).any())]
    if len(with_people) > count:
        with_people = [with_people[n] for n in np.linspace(0, len(with_people) - 1, count).astype(int)]
    chosen = {sample.image_id for sample in with_people}
    return [*with_people, *(sample for sample in samples if sample.image_id not in chosen)][:count]


@torch.no_grad()
def draw_batch(module: PoseModule, batch: Batch) -> list[np.ndarray]:
    """Draw targets and predictions of each photo: an RGB uint8 picture (H, W, 3) of six panels.

    The network runs in evaluation mode and is left in the mode that it was in.
    """
    training = module.network.training
    module.network.eval()
    predicted = module.predict_fields(batch.image)
    module.network.train(training)
    return [_draw_photo(module, batch, n, predicted) for n in range(len(batch.image))]


def _draw_photo(module: PoseModule, batch: Batch, n: int, predicted: Fields) -> np.ndarray:
    """Draw photo ``n`` of a batch without its padding."""
    assert predicted.heatmaps is not None and predicted.pafs is not None
    one = Batch(*(field[n : n + 1] for field in batch))
    heatmaps, pafs = predicted.heatmaps[n : n + 1], predicted.pafs[n : n + 1]
    targets = module.render(one)
    found = module.decoder.decode_batch(heatmaps, pafs, one.valid)[0]
    stride = batch.image.shape[-1] // pafs.shape[-1]
    height, width = (pad_to_multiple(int(side), stride) for side in batch.valid[n])
    cells = (0, ..., slice(height // stride), slice(width // stride))
    panels = training_panels(
        one.image[0, :, :height, :width],
        Fields(targets.heatmaps[cells], targets.pafs[cells]),
        Fields(heatmaps[cells], pafs[cells]),
        truth=one.keypoints[0],
        found=found,
        skeleton=module.skeleton,
        ignore=one.ignore[cells],
    )
    return tile(panels, columns=3)
