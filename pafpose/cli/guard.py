"""What all scripts share: errors users can act on come without a traceback; sweeps outlive failed jobs."""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pafpose.errors import PafposeError
from pafpose.runtime import run_status as status

log = logging.getLogger(__name__)


def guarded(main: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Run a script's body and keep its state in ``status.json`` of the run folder.

    Alone, a ``PafposeError`` becomes its message and exit status 1. In a sweep the error goes to Hydra,
    which runs the other jobs first; jobs that were finished earlier return their stored value at once.
    """

    @functools.wraps(main)
    def run(cfg: DictConfig) -> Any:
        try:
            return run_job(main, cfg) if status.in_sweep() else run_recorded(main, cfg)
        except PafposeError as error:
            log.error("%s", error)
            log.error("run folder   %s", cfg.paths.output_dir)
            if status.in_sweep():
                raise
            sys.exit(1)

    return run


def run_job(main: Callable[[DictConfig], Any], cfg: DictConfig) -> Any:
    """One job of a sweep: stored when finished before, continued when killed in the middle."""
    folder = Path(cfg.paths.output_dir)
    finished, value = status.finished_value(cfg, folder)
    if finished:
        log.info("finished before, not run again: %s (%s)", value, folder)
        return value
    fingerprint = status.digest(cfg)
    if status.unfinished_checkpoint(cfg, folder):
        log.info("goes on from %s", folder / "checkpoints" / "last.ckpt")
        cfg.ckpt_path = str(folder)
    try:
        return run_recorded(main, cfg, fingerprint=fingerprint)
    except PafposeError:
        raise
    except Exception as error:
        log.exception("job failed: %s", folder)
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error; its tensors must not stay
        raise


def run_recorded(
    main: Callable[[DictConfig], Any], cfg: DictConfig, *, fingerprint: str | None = None
) -> Any:
    """Call ``main``; running, done or failed goes to ``status.json``. A killed run stays at running."""
    if not HydraConfig.initialized() or not status.is_first_process():
        return main(cfg)
    folder = Path(cfg.paths.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    status.write_status(folder, "running", overrides=overrides, digest=fingerprint or status.digest(cfg))
    try:
        value = main(cfg)
    except Exception as error:
        status.write_status(folder, "failed", error=f"{type(error).__name__}: {error}")
        raise
    status.write_status(folder, "done", value=value)
    return value
