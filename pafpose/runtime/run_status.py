"""The state of a run in ``status.json`` of its folder; sweeps resume by it, and reports show it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pafpose.errors import PafposeError
from pafpose.runtime.files import read_json, write_json

FREE_KEYS = ("optimized_metric", "overwrite")  # a run resumes whatever these are


def in_sweep() -> bool:
    """Return whether this is a job of a sweep (``-m``)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def is_first_process() -> bool:
    """Return False in all but the first process of a distributed run; the others must not write."""
    return all(os.environ.get(key, "0") == "0" for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def digest(cfg: DictConfig) -> str:
    """Return a fingerprint of the config.

    Interpolations are not resolved, so that folders and dates do not change it.
    """
    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    kept = {key: value for key, value in content.items() if key not in FREE_KEYS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_status(folder: Path) -> dict[str, Any]:
    """Return what ``write_status`` wrote; an empty dict when there is nothing."""
    return read_json(folder / "status.json") or {}


def write_status(folder: Path, state: str, **more: Any) -> None:
    """Write ``state`` (running, done, failed or interrupted) and more keys to ``status.json``, atomically.

    "running" starts anew; the other states keep the keys that are there.
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    known = {} if state == "running" else read_status(folder)
    stamp = {"started": now} if state == "running" else {"ended": now}
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(known | {"state": state} | stamp | more, default=str)
    write_json(folder / "status.json", json.loads(content))


def finished_value(cfg: DictConfig, folder: Path) -> tuple[bool, Any]:
    """Return whether the run in ``folder`` is finished, and the metric that it is optimised for.

    Raises ``PafposeError`` when the folder holds a finished run of another config.
    """
    status = read_status(folder)
    if status.get("state") != "done":
        return False, None
    if status.get("digest") != digest(cfg):
        raise PafposeError(
            f"{folder} holds a finished run with other choices ({' '.join(status.get('overrides', []))}); "
            "resume a sweep with the command that started it, or choose another hydra.sweep.dir"
        )
    metrics: Mapping[str, Any] | None = read_json(folder / "metrics.json")
    if metrics is None:
        return status.get("value") is None, None
    return True, metrics.get(str(cfg.get("optimized_metric")), status.get("value"))


def unfinished_checkpoint(cfg: DictConfig, folder: Path) -> bool:
    """Return whether a training of the same config stopped in this folder and left a checkpoint."""
    status = read_status(folder)
    same = status.get("state") not in (None, "done") and status.get("digest") == digest(cfg)
    return same and "ckpt_path" in cfg and (folder / "checkpoints" / "last.ckpt").is_file()
