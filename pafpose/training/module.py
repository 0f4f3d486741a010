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
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets
from pafpose.inference.people import record_people
from pafpose.losses import Loss
from pafpose.metrics import KeypointAP
from pafpose.runtime.precision import full_precision
from pafpose.training.optim import build_optimizer
from pafpose.training.time_budget import schedule_position


class PoseModule(LightningModule):
    """Everything that one training run trains and validates.

    ``config`` is a plain dict (``pafpose.config.plain(cfg)``): it alone rebuilds the module, and it is all
    that a checkpoint holds beside tensors. ``trusted=False`` refuses networks from outside pafpose.
    """

    def __init__(self, config: dict[str, Any], *, trusted: bool = True) -> None:
        super().__init__()
        self.config = config
        self.save_hyperparameters({"config": config}, logger=False)
        self.skeleton = factory.build_skeleton(config)
        self.network = factory.build_network(config, trusted=trusted)
        self.targets = factory.build_targets(config)
        self.loss: Loss = build(
            config["loss"], background=config["heatmap"]["background"] != "none", trusted=trusted
        )
        self.decoder = factory.build_decoder(config)
        self.metric = KeypointAP()
        self._checked_step, self._diverged = 0, False  # where the loss was last looked at; was it NaN there

    def forward(self, images: Tensor) -> list[Fields]:
        """All stages for (B, 3, H, W) RGB images, uint8 or float 0..255."""
        if self.config["channels_last"]:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.network(images)

    def predict_fields(self, images: Tensor) -> Fields:
        """The last stage's heatmaps and PAFs, in float32."""
        last = self(images)[-1]
        return Fields(last.heatmaps.float(), last.pafs.float())

    def render(self, batch: Batch) -> Targets:
        """The ground truth of a batch, on its device, in float32 whatever the precision."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        with full_precision(batch.image.device):
            return self.targets(batch.keypoints, size, batch.boxes, batch.ignore)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Masked loss over all stages, logged where logs are written, every term under its own name too.

        A call of ``log`` takes up to a millisecond of the host's time, and with ``prog_bar=True`` Lightning
        waits for the device after every step.
        """
        stages, targets = self(batch.image), self.render(batch)
        terms = self.loss(stages, targets)
        total = torch.stack(list(terms.values())).sum()
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        written = every and (self.global_step + 1) % every == 0
        if written or self.global_step < every:  # the first ones for whoever looks on
            self.log("train/loss", total)
        if written:
            self.log_dict({f"train/loss/{name}": term for name, term in terms.items()})
            if self.loss.log_channels:
                self.log_dict(self.channel_terms("train", stages[-1], targets))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """End a run whose loss is NaN or infinite twice in a row where logs are written, and read, anyway."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or self.global_step % every or self.global_step == self._checked_step:
            return
        self._checked_step, before = self.global_step, self._diverged
        self._diverged = not bool(outputs["loss"].isfinite())
        if before and self._diverged:
            raise PafposeError(
                f"train/loss was NaN or infinite at steps {self.global_step - every} and {self.global_step}: "
                "the network has diverged; lower optimizer.lr, set trainer.gradient_clip_val=1, or train "
                "with precision=32-true. Checkpoints of earlier validations stay where they are"
            )

    def channel_terms(self, split: str, last: Fields, targets: Targets) -> dict[str, Tensor]:
        """Mean penalty of every keypoint, of the background and of every limb, by name; not in the loss."""
        heatmaps, pafs = self.loss.per_channel(last, targets)
        keypoints = (*self.skeleton.keypoints, "background")[: len(heatmaps)]
        return {f"{split}/keypoint/{n}": v for n, v in zip(keypoints, heatmaps, strict=True)} | {
            f"{split}/limb/{n}": v for n, v in zip(self.skeleton.limb_names, pafs, strict=True)
        }

    def on_train_epoch_end(self) -> None:
        """Tell of photos that could not be read."""
        if self.trainer.datamodule is not None:  # type: ignore[attr-defined]
            self.trainer.datamodule.report_skipped("train")  # type: ignore[attr-defined]

    def on_validation_epoch_start(self) -> None:
        """Forget the last round; compile the decoder outside the first batch."""
        self.metric.reset()
        self.decoder.warm_up()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss, and people for COCO AP."""
        stages, targets = self(batch.image), self.render(batch)
        terms = self.loss(stages, targets)
        size = len(batch.image)
        total = torch.stack(list(terms.values())).sum()
        self.log("val/loss", total, batch_size=size, sync_dist=True)
        self.log_dict({f"val/loss/{n}": t for n, t in terms.items()}, batch_size=size, sync_dist=True)
        last = stages[-1]
        if self.loss.log_channels:
            self.log_dict(self.channel_terms("val", last, targets), batch_size=size, sync_dist=True)
        record_people(
            self.metric,
            self.decoder,
            last,
            image_ids=batch.image_id,
            matrices=batch.matrix,
            valid=batch.valid,
        )

    def on_validation_epoch_end(self) -> None:
        """COCO metrics of the whole split, the same on every rank."""
        truth = self.trainer.datamodule.val_ground_truth()  # type: ignore[attr-defined]
        scores = self.metric.compute(truth, self.skeleton)
        self.log_dict({f"val/{name}": value for name, value in scores.items()})
        self.trainer.datamodule.report_skipped("val")  # type: ignore[attr-defined]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser over named parameter groups, schedule counted in steps."""
        optimizer = build_optimizer(self.network, self.config["optimizer"])
        steps = self.trainer.estimated_stepping_batches
        total = int(steps) if steps != float("inf") else None
        scheduler = build(self.config["scheduler"], optimizer=optimizer, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: object) -> None:
        """Advance the schedule by a step, or further where ``max_minutes`` demands it."""
        position = schedule_position(self.trainer)
        while scheduler.last_epoch < position:
            scheduler.step()
