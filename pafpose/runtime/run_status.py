"""``status.json`` of a run folder: how far the run came, so that a sweep can go on and a report can tell."""

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
from pafpose.runtime.files import read_json

FREE_KEYS = ("optimized_metric",)  # may differ between the parts of one sweep: no run depends on them


def in_sweep() -> bool:
    """Whether this is a job of ``-m``."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def is_first_process() -> bool:
    """False in the further processes of a distributed run, which must not write."""
    return all(os.environ.get(key, "0") == "0" for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def digest(cfg: DictConfig) -> str:
    """A fingerprint of the choices; interpolations stay as written, so folders and dates do not count."""
    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    kept = {key: value for key, value in content.items() if key not in FREE_KEYS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_status(folder: Path) -> dict[str, Any]:
    """What ``write_status`` left; empty when there is nothing."""
    return read_json(folder / "status.json") or {}


def write_status(folder: Path, state: str, **more: Any) -> None:
    """Set ``state`` (running, done, failed) and add keys to ``status.json``, atomically."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    known = {} if state == "running" else read_status(folder)
    stamp = {"started": now} if state == "running" else {"ended": now}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "status.json.part"
    part.write_text(json.dumps(known | {"state": state} | stamp | more, indent=1, default=str))
    part.replace(folder / "status.json")


def finished_value(cfg: DictConfig, folder: Path) -> tuple[bool, Any]:
    """Whether the run of this folder is finished, and the value that it returned.

    Raises ``PafposeError`` when the folder holds a finished run with other choices.
    """
    status = read_status(folder)
    if status.get("state") != "done":
        return False, None
    if status.get("digest") != digest(cfg):
        raise PafposeError(
            f"{folder} holds a finished run with other choices ({' '.join(status.get('overrides', []))}); "
            "continue a sweep with the command that started it, or give another hydra.sweep.dir"
        )
    metrics: Mapping[str, Any] | None = read_json(folder / "metrics.json")
    if metrics is None:
        return status.get("value") is None, None
    return True, metrics.get(str(cfg.get("optimized_metric")), status.get("value"))


def unfinished_checkpoint(cfg: DictConfig, folder: Path) -> bool:
    """Whether a killed training of the same choices left a checkpoint to go on from."""
    status = read_status(folder)
    same = status.get("state") == "running" and status.get("digest") == digest(cfg)
    unset = "ckpt_path" in cfg and cfg.ckpt_path is None
    return same and unset and (folder / "checkpoints" / "last.ckpt").is_file()
