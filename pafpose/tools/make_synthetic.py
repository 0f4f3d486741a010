"""Drawn people written to disk as a COCO data set (``scripts/make_synthetic.py``)."""

from __future__ import annotations

import logging
import time
from dataclasses import fields
from pathlib import Path

from omegaconf import DictConfig

from pafpose.config import plain
from pafpose.skeleton import Skeleton
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.sheet import save_sheets
from pafpose.synthetic.statistics import dataset_statistics
from pafpose.synthetic.write import dataset_fingerprint, write_dataset

log = logging.getLogger(__name__)


def make_synthetic(cfg: DictConfig) -> Path:
    """Draw a data set, log its statistics, save sample sheets; return the data set's folder."""
    data = plain(cfg.data)
    settings = SyntheticSettings(**{f.name: data[f.name] for f in fields(SyntheticSettings)})
    skeleton = Skeleton.from_config(plain(cfg.skeleton), limbs=plain(cfg.limbs))
    root = Path(cfg.output or Path(data["root"], dataset_fingerprint(settings, skeleton)))
    started = time.perf_counter()
    write_dataset(root, settings, skeleton=skeleton, workers=data["generator_workers"])
    seconds = time.perf_counter() - started
    total = settings.train_count + settings.val_count
    log.info("%d pictures in %.1f s (%.0f per second)", total, seconds, total / seconds)
    statistics = dataset_statistics(root, "train" if settings.train_count else "val")
    log.info("statistics   %s", ", ".join(f"{k} {v:.2f}" for k, v in statistics.items()) or "nobody drawn")
    if cfg.sheet:
        for path in save_sheets(root, skeleton, Path(cfg.paths.output_dir), count=int(cfg.sheet)):
            log.info("sheet        %s", path)
    log.info("data set     %s", root.resolve())
    return root
