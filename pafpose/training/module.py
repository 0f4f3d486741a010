"""PoseModule: network, targets, loss, decoder and metric, wired for Lightning."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from pafpose import factory
from pafpose.config import build
from pafpose.data.batch import Batch
from pafpose.data.datamodule import PoseDataModule
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets
from pafpose.inference.format_version import FORMAT_VERSION
from pafpose.inference.people import record_people
from pafpose.losses import Loss
from pafpose.metrics import KeypointAP
from pafpose.runtime.precision import full_precision
from pafpose.training.optim import build_optimizer
from pafpose.training.time_budget import schedule_position


class PoseModule(LightningModule):
    """Train a network on rendered targets; validate it by its loss and by the COCO AP of the people it finds.

    ``config`` is a plain dict (``pafpose.config.plain(cfg)``). The module is built from it alone, and a
    checkpoint holds nothing else beside tensors and the format version.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.save_hyperparameters({"config": config, "format_version": FORMAT_VERSION}, logger=False)
        self.skeleton = factory.build_skeleton(config)
        self.network = factory.build_network(config)
        self.targets = factory.build_targets(config)
        self.loss: Loss = build(config["loss"], background=config["heatmap"]["background"] != "none")
        self.decoder = factory.build_decoder(config)
        self.metric = KeypointAP(max_detections=config["evaluate"]["max_detections"])
        self._checked_step, self._diverged = 0, False  # the last step whose loss was read; was it NaN or inf

    def forward(self, images: Tensor) -> list[Fields]:
        """Predict the fields of all stages from (B, 3, H, W) RGB images, uint8 or float 0..255."""
        return self.network(images)

    def predict_fields(self, images: Tensor) -> Fields:
        """Return the last stage's heatmaps and PAFs in float32."""
        last = self(images)[-1]
        return Fields(last.heatmaps.float(), last.pafs.float())

    def render(self, batch: Batch) -> Targets:
        """Draw the targets of a batch on its device, in float32 whatever the precision of training."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        with full_precision(batch.image.device):
            return self.targets(batch.keypoints, size, batch.boxes, batch.ignore)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the sum of the loss terms of all stages.

        The sum and each term are logged only at steps where Lightning writes logs, and the sum also before
        the first of them: a call of ``log`` costs up to a millisecond, and ``prog_bar=True`` waits for the
        device after every step.
        """
        stages, targets = self(batch.image), self.render(batch)
        terms = self.loss(stages, targets)
        total = torch.stack(list(terms.values())).sum()
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        written = every and (self.global_step + 1) % every == 0
        if written or self.global_step < every:
            self.log("train/loss", total)
        if written:
            self.log_dict({f"train/loss/{name}": term for name, term in terms.items()})
            if self.loss.log_channels:
                self.log_dict(self.channel_terms("train", stages[-1], targets))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """End a diverged run: one whose loss is NaN or infinite at two successive steps that write logs.

        Reading the loss waits for the device, which writing logs does anyway.
        """
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or self.global_step % every or self.global_step == self._checked_step:
            return
        self._checked_step, before = self.global_step, self._diverged
        self._diverged = not bool(outputs["loss"].isfinite())
        if before and self._diverged:
            raise PafposeError(
                f"train/loss was NaN or infinite at steps {self.global_step - every} and {self.global_step}: "
                "the network has diverged. Lower optimizer.lr, set trainer.gradient_clip_val=1, or train "
                "with precision=32-true. Checkpoints of earlier validations are kept"
            )

    def channel_terms(self, split: str, last: Fields, targets: Targets) -> dict[str, Tensor]:
        """Name the mean penalty of each keypoint, of the background and of each limb, for logs."""
        heatmaps, pafs = self.loss.per_channel(last, targets)
        keypoints = (*self.skeleton.keypoints, "background")[: len(heatmaps)]
        return {f"{split}/keypoint/{n}": v for n, v in zip(keypoints, heatmaps, strict=True)} | {
            f"{split}/limb/{n}": v for n, v in zip(self.skeleton.limb_names, pafs, strict=True)
        }

    @property
    def data(self) -> PoseDataModule:
        """The data module that the trainer was given."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def on_train_epoch_end(self) -> None:
        """Log how many training photos could not be read."""
        if self.data is not None:  # it is None when the trainer was given bare loaders
            self.data.report_skipped("train")

    def on_validation_epoch_start(self) -> None:
        """Forget the people of the last validation; load the decoder's kernels before the first batch."""
        self.metric.reset()
        self.decoder.warm_up()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss and its terms; record the people for COCO AP."""
        stages, targets = self(batch.image), self.render(batch)
        terms = self.loss(stages, targets)
        logged = {"val/loss": torch.stack(list(terms.values())).sum()}
        logged |= {f"val/loss/{name}": term for name, term in terms.items()}
        if self.loss.log_channels:
            logged |= self.channel_terms("val", stages[-1], targets)
        self.log_dict(logged, batch_size=len(batch.image), sync_dist=True)
        record_people(
            self.metric,
            self.decoder,
            stages[-1],
            image_ids=batch.image_id,
            matrices=batch.matrix,
            valid=batch.valid,
        )

    def on_validation_epoch_end(self) -> None:
        """Log COCO's numbers of the whole split, the same on every rank."""
        scores = self.metric.compute(self.data.val_ground_truth(), self.skeleton)
        self.log_dict({f"val/{name}": value for name, value in scores.items()})
        self.data.report_skipped("val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser with its parameter groups, and a schedule that is counted in steps."""
        optimizer = build_optimizer(self.network, self.config["optimizer"])
        steps = self.trainer.estimated_stepping_batches
        total = int(steps) if steps != float("inf") else None
        scheduler = build(self.config["scheduler"], optimizer=optimizer, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: object) -> None:
        """Advance the schedule by one step, or by more where ``max_minutes`` demands it."""
        position = schedule_position(self.trainer)
        while scheduler.last_epoch < position:
            scheduler.step()
