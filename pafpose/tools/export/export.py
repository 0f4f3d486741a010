"""Export a trained network, with everything needed to use it, to one file or folder in the run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.exported_folder import is_exported_folder
from pafpose.models import PoseNetwork
from pafpose.runtime.files import read_json
from pafpose.runtime.invocation import spell
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.export.check import draw_photos
from pafpose.tools.export.folder import write_folder
from pafpose.tools.export.onnx_file import require_packages, write_onnx
from pafpose.tools.overrides import load_checkpoint
from pafpose.tools.predict.sources import find_sources

log = logging.getLogger(__name__)

RESULTS = {"onnx": "model.onnx", "folder": "model"}  # by format, in the run folder
MAX_PHOTOS = 20  # of source=
OWN_KEYS = (  # not exported
    "ckpt_path", "weights", "weights_part", "format", "fp16", "source", "device", "trust", "overwrite",
)  # fmt: skip


def export(cfg: DictConfig, overrides: Sequence[str] | None = None) -> Path:
    """Export ``cfg.ckpt_path`` in ``cfg.format``; return the file or folder, which is whole or absent.

    Overrides change the config that is exported, as they change that of ``evaluate`` and ``predict``.
    """
    quiet_known_warnings()
    _check_choices(cfg)
    path = Path(cfg.paths.output_dir) / RESULTS[cfg.format]
    _refuse_to_overwrite(path, overwrite=bool(cfg.overwrite))
    loaded = load_checkpoint(cfg, overrides)
    if not isinstance(loaded.network, PoseNetwork):
        raise PafposeError(
            f"ckpt_path={cfg.ckpt_path}: is an ONNX file already; give the run that it was made from"
        )
    config = {key: value for key, value in loaded.config.items() if key not in OWN_KEYS}
    trained = TrainedNetwork(loaded.network.cpu(), config)
    path.parent.mkdir(parents=True, exist_ok=True)
    if cfg.format == "onnx":
        write_onnx(trained, path, fp16=bool(cfg.fp16), photos=_photos(cfg, trained))
    else:
        write_folder(trained, path, metrics=find_metrics(cfg.ckpt_path))
    log.info("exported     %s", path)
    log.info("predict      %s ckpt_path=%s source=PHOTOS", spell("predict"), path)
    return path


def _check_choices(cfg: DictConfig) -> None:
    if cfg.format not in RESULTS:
        raise PafposeError(f"format={cfg.format}: choose one of {', '.join(RESULTS)}")
    if cfg.format == "onnx":
        require_packages()
    elif cfg.fp16 or cfg.source:
        raise PafposeError(f"format={cfg.format}: fp16 and source apply to format=onnx only; leave them out")


def _photos(cfg: DictConfig, trained: TrainedNetwork) -> list[np.ndarray]:
    """Return the photos of ``source``, or drawn ones, on which the export is checked."""
    if not cfg.source:
        return draw_photos(trained.skeleton)
    photos = find_sources(cfg.source).photos[:MAX_PHOTOS]
    if not photos:
        raise PafposeError(
            f"source={cfg.source}: holds no photo to check the export on; name photos or a folder"
        )
    return [load_image(photo.path) for photo in photos]


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
