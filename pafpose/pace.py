"""Shortening a run so that it ends in time: a rehearsal of a few steps tells the pace of this machine."""

from __future__ import annotations

import logging
import statistics
import time
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from pafpose import api
from pafpose.config import build, plain
from pafpose.errors import PafposeError
from pafpose.module import PoseModule

log = logging.getLogger(__name__)

WARM_UP = 6  # steps that are not timed: kernels are compiled, the loader starts
TIMED = 14
SLACK = 1.05  # for what a rehearsal leaves out: averaging of weights, logging, pictures


def shorten(cfg: DictConfig) -> None:
    """Cut ``trainer.max_steps``, and the steps between validations with it, to what ``max_minutes`` allow.

    The schedule of the learning rate follows, as it is told the number of steps. Steps are cut before
    training starts and never again, so that the run itself is counted in steps alone and can be resumed. Runs
    as short as the rehearsal stay as they are.
    """
    if not cfg.max_minutes > 0:
        raise PafposeError(f"max_minutes={cfg.max_minutes}: minutes above 0, or null for no limit")
    planned = int(cfg.trainer.max_steps)
    if planned <= WARM_UP + TIMED:  # a rehearsal would take as long
        return
    per_step = seconds_per_step(cfg) * SLACK
    affordable = max(1, int(60 * cfg.max_minutes / per_step))
    if affordable >= planned:
        return
    every = cfg.trainer.val_check_interval
    if isinstance(every, int):
        cfg.trainer.val_check_interval = max(1, every * affordable // planned)
        if planned % every == 0:  # still the last validation at the last step, not one step before it
            affordable = cfg.trainer.val_check_interval * (planned // every)
    cfg.trainer.max_steps = affordable
    log.warning(
        "%d steps would take %.0f minutes here: cut to %d, which fit into max_minutes=%g (null: no limit)",
        planned,
        planned * per_step / 60,
        affordable,
        cfg.max_minutes,
    )


def seconds_per_step(cfg: DictConfig) -> float:
    """Median time of a training step, loading included, of a network that is thrown away afterwards."""
    watch = Stopwatch()
    trainer: Trainer = build(
        {
            **plain(cfg.trainer),
            "max_steps": WARM_UP + TIMED,
            "val_check_interval": None,
            "limit_val_batches": 0,
            "enable_progress_bar": False,
            "enable_checkpointing": False,
        },
        callbacks=[watch],
        logger=False,
        default_root_dir=cfg.paths.output_dir,
    )
    trainer.fit(PoseModule(plain(cfg)), datamodule=api.build_datamodule(cfg))
    return statistics.median(watch.seconds[WARM_UP:])


class Stopwatch(Callback):
    """Times from the end of one training batch to the end of the next, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Note the time since the last batch."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
