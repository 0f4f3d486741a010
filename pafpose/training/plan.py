"""How long a run trains: fixed by the config, or fitted to the number of training samples."""

from __future__ import annotations

import math

import torch
from omegaconf import DictConfig, ListConfig

from pafpose.data.datamodule import PoseDataModule
from pafpose.errors import PafposeError

VALIDATIONS = 30  # of a run whose data.schedule.val_every is null


def fit_schedule(cfg: DictConfig, data: PoseDataModule) -> None:
    """Fill in ``trainer.max_steps`` and ``trainer.val_check_interval`` where the config leaves them null.

    A run then takes ``data.schedule.passes`` over the training samples, at least
    ``data.schedule.min_steps`` optimiser steps, and validates thirty times. ``trainer.max_epochs`` becomes a
    number of steps too, because Lightning resumes exactly only where steps limit a run. A limit by
    ``trainer.max_time`` stands as it is.
    """
    trainer, schedule = cfg.trainer, cfg.data.schedule
    accumulate = int(trainer.accumulate_grad_batches)
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        samples = sum(group.per_epoch for group in data.train_dataset.groups)
        limit = int(trainer.max_epochs) * steps_of_a_pass(cfg, samples)
        trainer.max_steps = min(limit, trainer.max_steps) if (trainer.max_steps or -1) >= 0 else limit
        trainer.max_epochs = None
    if trainer.max_steps is None and trainer.max_epochs is None and trainer.max_time is None:
        samples_per_step = cfg.data.batch_size * accumulate * count_processes(trainer)
        trainer.max_steps = planned_steps(
            len(data.train_dataset),
            samples_per_step=samples_per_step,
            passes=schedule.passes,
            min_steps=schedule.min_steps,
        )
    if trainer.val_check_interval is None:
        steps = trainer.max_steps if trainer.max_steps and trainer.max_steps > 0 else None
        trainer.val_check_interval = accumulate * max(1, steps // VALIDATIONS) if steps else 1.0
    if trainer.max_steps is None:
        trainer.max_steps = -1  # Lightning's word for no limit


def steps_of_a_pass(cfg: DictConfig, samples: int) -> int:
    """Return the optimiser steps of one pass; the last of them may have fewer batches."""
    trainer = cfg.trainer
    batches = max(1, samples // count_processes(trainer) // int(cfg.data.batch_size))
    limit = trainer.get("limit_train_batches")
    if isinstance(limit, int):
        batches = min(batches, limit)
    elif limit is not None:
        batches = int(batches * limit)
    return math.ceil(batches / int(trainer.accumulate_grad_batches))


def planned_steps(samples: int, *, samples_per_step: int, passes: float, min_steps: int) -> int:
    """Return the optimiser steps of ``passes`` over the samples, at least ``min_steps``.

    >>> planned_steps(150_000, samples_per_step=10, passes=20, min_steps=5_000)
    300000
    >>> planned_steps(300, samples_per_step=10, passes=20, min_steps=5_000)
    5000
    """
    if not passes > 0 or min_steps < 1:
        raise PafposeError(
            f"data.schedule.passes={passes} min_steps={min_steps}: give passes above 0 and at least 1 step"
        )
    return max(int(min_steps), math.ceil(passes * samples / samples_per_step))


def count_processes(trainer: DictConfig) -> int:
    """Return how many processes take a share of each step, from ``trainer.devices`` and ``num_nodes``."""
    devices = trainer.devices
    if isinstance(devices, str):
        devices = torch.cuda.device_count() if devices in ("auto", "-1") else len(devices.split(","))
    count = len(devices) if isinstance(devices, ListConfig) else int(devices)
    return max(1, count) * int(trainer.num_nodes)
