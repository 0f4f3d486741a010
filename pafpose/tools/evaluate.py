"""A checkpoint, or fields saved from one, on a validation split: COCO's table and two json files."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from pafpose import factory
from pafpose.errors import PafposeError
from pafpose.inference.evaluate import evaluate_trained
from pafpose.inference.saved_fields import SavedFields, evaluate_saved
from pafpose.metrics.breakdown import ap_by_crowd, ap_by_keypoint
from pafpose.metrics.coco_ap import Detection
from pafpose.metrics.errors import error_report
from pafpose.runtime.files import write_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.tools.overrides import apply_overrides, choose_device, command_line, load_checkpoint, typed_keys
from pafpose.viz.errors import draw_errors

log = logging.getLogger(__name__)

_TABLE = (
    ("", "all", "OKS 0.50", "OKS 0.75", "medium", "large"),
    ("precision", "AP", "AP50", "AP75", "APM", "APL"),
    ("recall", "AR", "AR50", "AR75", "ARM", "ARL"),
)
# what may be typed beside evaluate.fields; the rest was decided when the fields were made
_FREE = (
    "decode", "evaluate.fields", "evaluate.errors", "evaluate.detail", "paths", "device", "task_name", "tags",
    "optimized_metric", "ckpt_path", "trust",
)  # fmt: skip


class Evaluated(NamedTuple):
    """What one evaluation gave."""

    name: str
    metrics: dict[str, float]
    detections: list[Detection]
    ground_truth: Mapping[str, Any]
    skeleton: Skeleton


def evaluate(cfg: DictConfig, overrides: Sequence[str] | None = None) -> dict[str, float]:
    """What ``scripts/evaluate.py`` does; the flat metrics. ``overrides``: see ``load_checkpoint``."""
    quiet_known_warnings()
    typed = command_line() if overrides is None else list(overrides)
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    how = _decode_again if cfg.evaluate.fields else _run_network
    found = how(cfg, typed, folder)
    metrics = found.metrics
    if cfg.evaluate.detail == "full":
        metrics |= ap_by_crowd(found.detections, found.ground_truth, found.skeleton)
        metrics |= ap_by_keypoint(found.detections, found.ground_truth, found.skeleton)
    if cfg.evaluate.errors:
        report = error_report(found.detections, found.ground_truth, found.skeleton)
        metrics |= report.metrics()
        for suffix in ("png", "pdf"):
            draw_errors(report, folder / f"errors.{suffix}")
        log.info("errors       %s", folder / "errors.png")
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "detections.json", found.detections)
    print_table(
        metrics, f"{found.name}: {metrics['photos']:.0f} photos, {metrics['people']:.0f} people found"
    )
    _say_time(metrics)
    log.info("run folder   %s", folder)
    return metrics


def _run_network(cfg: DictConfig, overrides: Sequence[str], folder: Path) -> Evaluated:
    """The checkpoint of ``ckpt_path`` on the validation split of its data."""
    trained = load_checkpoint(cfg, overrides)
    OmegaConf.save(OmegaConf.create(trained.config), folder / "config.yaml")
    data = factory.build_datamodule(trained.config)
    data.prepare_data()
    data.setup("validate")
    started = time.perf_counter()
    metrics, detections = evaluate_trained(trained, data, save_to=folder / "fields")
    metrics["seconds"] = time.perf_counter() - started
    return Evaluated(str(data.name), metrics, detections, data.val_ground_truth(), trained.skeleton)


def _decode_again(cfg: DictConfig, overrides: Sequence[str], folder: Path) -> Evaluated:
    """The fields of ``evaluate.fields`` with the decoder that is typed; neither weights nor photos."""
    if cfg.ckpt_path:
        raise PafposeError(
            f"ckpt_path={cfg.ckpt_path} and evaluate.fields={cfg.evaluate.fields}: give one of the two; "
            "saved fields need no checkpoint"
        )
    saved = SavedFields(cfg.evaluate.fields)
    for key, _ in typed_keys(overrides):
        _refuse_unless_free(key)
    config = apply_overrides(saved.config, cfg, overrides)
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    skeleton, decoder = factory.build_skeleton(config), factory.build_decoder(config)
    started = time.perf_counter()
    metrics, detections = evaluate_saved(saved, decoder, skeleton=skeleton, device=choose_device(cfg.device))
    metrics["seconds"] = time.perf_counter() - started
    return Evaluated(str(saved.folder), metrics, detections, saved.ground_truth, skeleton)


def _refuse_unless_free(key: str) -> None:
    if not any(key == free or key.startswith(free + ".") for free in _FREE):
        raise PafposeError(
            f"{key}: saved fields keep the {key.partition('.')[0]} that they were made with; decode.* can "
            "change, the rest with ckpt_path=RUN instead of evaluate.fields"
        )


def _say_time(metrics: Mapping[str, float]) -> None:
    """How fast, and what part of the time is ours and not the network's."""
    seconds = metrics["seconds"]
    decoding, scoring = (metrics[f"seconds_{part}"] / seconds for part in ("decode", "metrics"))
    log.info(
        "AP %.3f, %.1f photos/s; of %.1f s decoding took %.1f %%, COCO's metrics %.1f %%",
        metrics["AP"], metrics["photos"] / seconds, seconds, 100 * decoding, 100 * scoring,
    )  # fmt: skip


def print_table(metrics: Mapping[str, float], title: str) -> None:
    """COCO's ten numbers on the terminal."""
    head, *rows = _TABLE
    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(name, justify="right" if name else "left")
    for label, *keys in rows:
        table.add_row(label, *(f"{metrics[key]:.3f}" for key in keys))
    Console().print(table)
