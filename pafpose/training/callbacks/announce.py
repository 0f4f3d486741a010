"""The first lines of a run: data, skeleton, network, targets, plan and run folder."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer

from pafpose.config import conf_dir
from pafpose.data.datamodule import PoseDataModule
from pafpose.models.summary import describe, summarise
from pafpose.training.module import PoseModule

log = logging.getLogger(__name__)
TIMED_STEPS = 20  # after which the length of the run is estimated
WARM_UP = 5  # steps, which load, compile and allocate
TARGETS = ("heatmap", "paf", "mask")


class Announce(Callback):
    """Log what is about to be trained and, after twenty steps, how long it will take."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first_step, self._started = 0, math.nan

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write one line per topic."""
        self._first_step = trainer.global_step
        data, module = trainer.datamodule, pl_module  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not isinstance(module, PoseModule):
            return
        config, skeleton = module.config, module.skeleton
        lines = {
            "data": describe_data(data),
            "skeleton": f"{skeleton.name}: {skeleton.num_keypoints} keypoints, {skeleton.num_limbs} limbs",
            "network": describe(summarise(module.network, size=int(config["augment"]["crop"]))),
            "targets": describe_targets(config),
            "plan": describe_plan(trainer, data),
            "run folder": str(self.folder),
        }
        for name, text in lines.items():
            log.info("%-12s %s", name, text)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Time the first steps and tell how long the rest will take."""
        done, planned = trainer.global_step - self._first_step, trainer.estimated_stepping_batches
        if done == WARM_UP and math.isnan(self._started):
            self._started = time.monotonic()
        if done == TIMED_STEPS and math.isfinite(self._started) and trainer.is_global_zero:
            pace = (time.monotonic() - self._started) / (TIMED_STEPS - WARM_UP)
            self._started = math.inf
            if math.isfinite(planned):
                left = pace * (planned - trainer.global_step)
                log.info("%-12s %s left at %.2g s a step, validations aside", "plan", clock(left), pace)


def describe_data(data: PoseDataModule) -> str:
    """Return the name of the data set, how many photos and people it has, and how many samples."""
    train, val = data.train_dataset, data.val_dataset
    return (
        f"{data.name}: {train.num_photos:,} photos with {train.num_people:,} people, {len(train):,} samples "
        f"a pass; {val.num_photos:,} photos with {val.num_people:,} people to validate on"
    )


def describe_targets(config: Mapping[str, Any]) -> str:
    """Return the choices of targets that differ from the defaults, which are the paper's."""
    changed = [
        f"{group}.{key}={value}"
        for group in TARGETS
        for key, value in config[group].items()
        if value != _default(group, config).get(key)
    ]
    return ", ".join(changed) or "the paper's: " + ", ".join(
        f"{group}.{key}={config[group][key]} px" for group, key in (("heatmap", "sigma"), ("paf", "width"))
    )


def describe_plan(trainer: Trainer, data: PoseDataModule) -> str:
    """Return steps, samples of a step, passes over the data and the interval between validations."""
    steps = trainer.estimated_stepping_batches
    size = data.batch_size * trainer.accumulate_grad_batches * trainer.world_size
    if not math.isfinite(steps):
        return f"until it is stopped, {size} samples a step"
    passes = steps * size / max(1, len(data.train_dataset))
    return f"{steps:,} steps of {size} samples, {passes:.3g} passes over the data"


def clock(seconds: float) -> str:
    """Return a length of time in words.

    >>> clock(90), clock(7200)
    ('1.5 minutes', '2.0 hours')
    """
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _default(group: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a group's default values; the limbs are those of the skeleton."""
    node = OmegaConf.load(conf_dir() / group / "default.yaml")
    values: dict[str, Any] = OmegaConf.to_container(node, resolve=False)  # type: ignore[assignment]
    if "limbs" in values:
        values["limbs"] = config["skeleton"]["default_limbs"]
    return values
