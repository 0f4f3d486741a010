"""Compute the AP that a perfect network could reach, by decoding the drawn targets, and what limits it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from pafpose import factory
from pafpose.config import plain
from pafpose.config import settings as read_settings
from pafpose.errors import PafposeError
from pafpose.metrics.breakdown import CROWD_LEVELS, ap_by_crowd, ap_by_keypoint
from pafpose.metrics.coco_ap import MAX_DETECTIONS, coco_ap
from pafpose.runtime.files import write_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.tools.oracle import BOUNDS, OracleResult, OracleSettings, read_annotated_photos, run_oracle
from pafpose.tools.oracle.run import peak_decoder

log = logging.getLogger(__name__)

COLUMNS = ("AP", "AP50", "AP75", "APM", "APL", "AR")
LOSSES = (*BOUNDS, "grouping")


def oracle(cfg: DictConfig) -> dict[str, float]:
    """Decode the targets of ``cfg`` and return its metrics; write config.yaml and metrics.json.

    The metrics are COCO's ten for the decoded fields; ``AP_topology``, ``AP50_topology`` and so on for each
    bound in ``bounds.BOUNDS``; ``loss_topology`` to ``loss_grouping``, which add up to 1 - AP; and AP by
    crowd level and by keypoint.
    """
    quiet_known_warnings()
    settings = read_settings(OracleSettings, cfg.oracle, "oracle")
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(plain(cfg)), folder / "config.yaml")
    started = time.perf_counter()
    metrics = compute(cfg, settings)
    metrics["seconds"] = time.perf_counter() - started
    write_json(folder / "metrics.json", metrics)
    print_tables(metrics, f"{cfg.data.name}: {metrics['photos']:.0f} photos, {metrics['people']:.0f} people")
    log.info("AP %.3f in %.1f s", metrics["AP"], metrics["seconds"])
    log.info("run folder   %s", folder)
    return metrics


def compute(cfg: DictConfig, settings: OracleSettings) -> dict[str, float]:
    """Return the metrics of a config without writing files."""
    data = factory.build_datamodule(cfg)
    photos, truth = read_annotated_photos(data, settings.splits)
    if not photos:
        raise PafposeError(
            f"oracle.split={settings.split}: no person in {data.root} has labelled keypoints of skeleton "
            f"{data.skeleton.name}, so there is nothing to encode; choose another split or data set"
        )
    decoder = factory.build_decoder(cfg)
    background = cfg.heatmap.background != "none"
    alone = peak_decoder(decoder, heatmap_sigma=cfg.heatmap.sigma, background=background)
    result = run_oracle(
        photos,
        factory.build_targets(cfg),
        decoder,
        peaks=None if settings.detail == "total" else alone,
        settings=settings,
        seed=data.seed,
    )
    counted = cfg.evaluate.max_detections
    metrics = measure(result, truth, data.skeleton, detail=settings.detail, max_detections=counted)
    return metrics | {
        "photos": float(len(photos)),
        "people": float(sum(len(photo.keypoints) for photo in photos)),
    }


def measure(
    result: OracleResult,
    truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    detail: str = "full",
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """Return the metrics of the decoded fields and of the bounds; for ``detail`` see ``OracleSettings``."""
    metrics = coco_ap(result.decoded, truth, skeleton, max_detections=max_detections)
    if detail == "total":
        return metrics
    for bound, detections in result.bounds.items():
        scores = coco_ap(detections, truth, skeleton, max_detections=max_detections)
        metrics |= {f"{key}_{bound}": scores[key] for key in COLUMNS}
    steps = [1.0, *(metrics[f"AP_{bound}"] for bound in BOUNDS), metrics["AP"]]
    lost = (a - b for a, b in pairwise(steps))
    metrics |= {f"loss_{name}": float(cost) for name, cost in zip(LOSSES, lost, strict=True)}
    if detail == "full":
        metrics |= ap_by_crowd(result.decoded, truth, skeleton)
        metrics |= ap_by_keypoint(result.decoded, truth, skeleton)
    return metrics


def print_tables(metrics: Mapping[str, float], title: str) -> None:
    """Print the bounds, loosest first, and the decoded fields; then AP by crowd level and by keypoint."""
    table = Table(title=f"a perfect network on {title}", title_justify="left")
    table.add_column("limited by")
    for name in (*COLUMNS, "costs AP"):
        table.add_column(name, justify="right")
    for loss in LOSSES:
        if loss in BOUNDS and f"AP_{loss}" not in metrics:
            continue  # not computed with oracle.detail=total
        suffix = f"_{loss}" if loss in BOUNDS else ""
        label = loss if loss == LOSSES[0] else f"+ {loss}"
        cost = f"{metrics[f'loss_{loss}']:.3f}" if f"loss_{loss}" in metrics else ""
        table.add_row(label, *(f"{metrics[key + suffix]:.3f}" for key in COLUMNS), cost)
    Console().print(table)
    levels = [f"{level} {metrics[f'AP_{level}']:.3f}" for level in CROWD_LEVELS if f"AP_{level}" in metrics]
    if levels:
        skip = {f"AP_{name}" for name in (*CROWD_LEVELS, *BOUNDS)}
        parts = [f"{k[3:]} {v:.3f}" for k, v in metrics.items() if k.startswith("AP_") and k not in skip]
        Console().print("AP by crowd level: ", ", ".join(levels))
        Console().print("AP by keypoint:    ", ", ".join(parts))
