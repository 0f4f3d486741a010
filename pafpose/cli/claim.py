"""Whose a run folder is: free, an unfinished run's that goes on, or a finished one's, which is kept."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pafpose.errors import PafposeError
from pafpose.runtime import run_status as status

log = logging.getLogger(__name__)

# what commands write beside the folders of a sweep's jobs; overwrite=true deletes nothing else
RESULTS = (
    "checkpoints", "tensorboard", "csv", "images", "videos", "fields", "metrics.json", "detections.json",
    "predictions.json", "predictions.jsonl", "people.csv", "status.json",
)  # fmt: skip


def claim(cfg: DictConfig, folder: Path) -> None:
    """Prepare a run folder for a command; refuse it when results of another run would be overwritten.

    An unfinished training of the same config goes on from its last checkpoint: ``cfg.ckpt_path`` is set.
    """
    known = status.read_status(folder)
    if _is_running(known):
        raise PafposeError(
            f"{folder}: process {known['pid']} is writing to it; wait for that run, end it, or choose "
            "another hydra.run.dir"
        )
    if cfg.get("overwrite"):
        delete_results(folder)
    elif status.unfinished_checkpoint(cfg, folder):
        log.info("resuming from %s", folder / "checkpoints" / "last.ckpt")
        cfg.ckpt_path = str(folder)
    elif _holds_results(known, folder) and not _continues(cfg, folder):
        choices = " ".join(known.get("overrides", [])) or "no choices"
        raise PafposeError(
            f"{folder} holds the results of another run ({choices}); "
            "choose another hydra.run.dir, go on with a training by ckpt_path=RUN, or delete them with "
            "overwrite=true"
        )


def place() -> dict[str, Any]:
    """Return where this process runs, for the status of a run."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


def delete_results(folder: Path) -> None:
    """Delete what an earlier run wrote to a folder."""
    for path in (folder / name for name in RESULTS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _is_running(known: dict[str, Any]) -> bool:
    """Return whether the process of a status is still there; only this machine can tell."""
    pid, here = known.get("pid"), known.get("host") == socket.gethostname()
    if known.get("state") != "running" or not here or pid == os.getpid() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and somebody else's
    return True


def _holds_results(known: dict[str, Any], folder: Path) -> bool:
    return known.get("state") == "done" or any((folder / "checkpoints").glob("*.ckpt"))


def _continues(cfg: DictConfig, folder: Path) -> bool:
    """Return whether a training resumes from a checkpoint of its own folder, or predict from its journal."""
    command = HydraConfig.get().job.config_name
    resumed = Path(cfg.ckpt_path).resolve() if cfg.get("ckpt_path") else None
    if command == "train" and resumed is not None:
        return folder.resolve() in (resumed, *resumed.parents)
    return bool(command == "predict") and (folder / "predictions.jsonl").is_file()  # which checks the rest
