"""Export a trained network, with everything needed to use it, to one file or folder in the run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.exported_folder import is_exported_folder
from pafpose.models import PoseNetwork
from pafpose.runtime.files import read_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.export.folder import write_folder
from pafpose.tools.overrides import load_checkpoint

log = logging.getLogger(__name__)

FORMATS = ("folder",)
FOLDER = "model"  # name of the result in the run folder
OWN_KEYS = ("ckpt_path", "format", "source", "device", "trust", "overwrite")  # no part of what is exported


def export(cfg: DictConfig, overrides: Sequence[str] | None = None) -> Path:
    """Export ``cfg.ckpt_path`` in ``cfg.format``; return the file or folder, which is whole or absent.

    Overrides change the config that is exported, as they change that of ``evaluate`` and ``predict``.
    """
    quiet_known_warnings()
    if cfg.format not in FORMATS:
        raise PafposeError(f"format={cfg.format}: choose one of {', '.join(FORMATS)}")
    loaded = load_checkpoint(cfg, overrides)
    config = {key: value for key, value in loaded.config.items() if key not in OWN_KEYS}
    trained = TrainedNetwork(loaded.network, config)
    if not isinstance(trained.network, PoseNetwork):
        raise PafposeError(
            f"ckpt_path={cfg.ckpt_path}: is exported already; give the run that it was made from"
        )
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FOLDER
    _refuse_to_overwrite(path, overwrite=bool(cfg.overwrite))
    write_folder(trained, path, metrics=find_metrics(cfg.ckpt_path))
    log.info("exported     %s", path)
    return path


def _refuse_to_overwrite(path: Path, *, overwrite: bool) -> None:
    """Raise ``PafposeError`` if something is at ``path``, unless it is an earlier result and may go."""
    if path.exists() and not (overwrite and (path.is_file() or is_exported_folder(path))):
        raise PafposeError(
            f"{path}: is there already; choose another hydra.run.dir, or replace an earlier export by "
            "overwrite=true"
        )


def find_metrics(ckpt_path: str) -> dict[str, Any]:
    """Return the metrics of the best checkpoint of a run folder, if that is what ``ckpt_path`` names."""
    path = Path(str(ckpt_path))
    folder = path.parent.parent if path.name == "best.ckpt" else path
    return (
        read_json(folder / "metrics.json") if (folder / "checkpoints" / "best.ckpt").is_file() else None
    ) or {}
