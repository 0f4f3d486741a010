"""A checkpoint on a validation split: COCO's table, metrics.json, detections.json."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from pafpose import api
from pafpose.engine import write_json
from pafpose.evaluation import evaluate_module
from pafpose.tasks.checkpoint import load_checkpoint
from pafpose.utils.log import quiet_known_warnings

log = logging.getLogger(__name__)

_TABLE = (
    ("", "all", "OKS 0.50", "OKS 0.75", "medium", "large"),
    ("precision", "AP", "AP50", "AP75", "APM", "APL"),
    ("recall", "AR", "AR50", "AR75", "ARM", "ARL"),
)


def evaluate(cfg: DictConfig, overrides: Sequence[str] | None = None) -> dict[str, float]:
    """What ``scripts/evaluate.py`` does; the flat metrics. ``overrides``: see ``load_checkpoint``."""
    quiet_known_warnings()
    module = load_checkpoint(cfg, overrides)
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(module.config), folder / "config.yaml")
    data = api.build_datamodule(module.config)
    data.prepare_data()
    data.setup("validate")
    started = time.perf_counter()
    metrics, detections = evaluate_module(module, data, save_to=folder / "fields")
    metrics["seconds"] = time.perf_counter() - started
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "detections.json", detections)
    print_table(metrics, f"{data.name}: {metrics['photos']:.0f} photos, {metrics['people']:.0f} people found")
    log.info("AP %.3f, %.1f photos/s", metrics["AP"], metrics["photos"] / metrics["seconds"])
    log.info("run folder   %s", folder)
    return metrics


def print_table(metrics: Mapping[str, float], title: str) -> None:
    """COCO's ten numbers on the terminal."""
    head, *rows = _TABLE
    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(name, justify="right" if name else "left")
    for label, *keys in rows:
        table.add_row(label, *(f"{metrics[key]:.3f}" for key in keys))
    Console().print(table)
