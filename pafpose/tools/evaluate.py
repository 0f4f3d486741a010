"""Evaluate a checkpoint, or fields saved from one: COCO's table on the terminal and two json files."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from pafpose import factory
from pafpose.config import settings as read_settings
from pafpose.errors import PafposeError
from pafpose.inference.evaluate import Evaluation, evaluate_saved, evaluate_trained
from pafpose.inference.saved_fields import SavedFields
from pafpose.inference.score_table import print_table
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.trust import forget_paths, refuse_code
from pafpose.metrics.breakdown import ap_by_crowd, ap_by_keypoint
from pafpose.metrics.errors import error_report
from pafpose.runtime.files import write_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.tools.overrides import apply_overrides, command_line, load_checkpoint, typed_keys
from pafpose.viz.errors import draw_errors

log = logging.getLogger(__name__)

# keys that may be typed beside evaluate.fields; saved fields determine the rest
_FREE = (
    "decode", "evaluate.fields", "evaluate.errors", "evaluate.detail", "evaluate.max_detections", "paths",
    "device", "task_name", "tags", "optimized_metric", "ckpt_path", "trust", "overwrite",
)  # fmt: skip


def evaluate(cfg: DictConfig, overrides: Sequence[str] | None = None) -> dict[str, float]:
    """Evaluate ``cfg.ckpt_path``, or the saved ``cfg.evaluate.fields``, and return the flat metrics.

    Writes config.yaml, metrics.json and detections.json. ``overrides``: see ``load_checkpoint``.
    """
    quiet_known_warnings()
    typed = command_line() if overrides is None else list(overrides)
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    run = _decode_saved_fields if cfg.evaluate.fields else _run_network
    name, skeleton, (metrics, detections, truth, limit) = run(cfg, typed, folder)
    if cfg.evaluate.detail == "full":
        metrics |= ap_by_crowd(detections, truth, skeleton, max_detections=limit)
        metrics |= ap_by_keypoint(detections, truth, skeleton, max_detections=limit)
    if cfg.evaluate.errors:
        report = error_report(detections, truth, skeleton, max_detections=limit)
        metrics |= report.metrics()
        for suffix in ("png", "pdf"):
            draw_errors(report, folder / f"errors.{suffix}")
        log.info("errors       %s", folder / "errors.png")
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "detections.json", detections)
    print_table(metrics, f"{name}: {metrics['photos']:.0f} photos, {metrics['people']:.0f} people found")
    _log_time(metrics)
    log.info("run folder   %s", folder)
    return metrics


def _run_network(cfg: DictConfig, overrides: Sequence[str], folder: Path) -> tuple[str, Skeleton, Evaluation]:
    """Evaluate the checkpoint on the validation split of its data."""
    trained = load_checkpoint(cfg, overrides)
    OmegaConf.save(OmegaConf.create(trained.config), folder / "config.yaml")
    data = factory.build_datamodule(trained.config)
    data.prepare_validation()
    data.setup("validate")
    started = time.perf_counter()
    save_to = folder / "fields" if trained.settings.save_fields else None
    result = evaluate_trained(trained, data, save_to=save_to)
    result.metrics["seconds"] = time.perf_counter() - started
    return str(data.name), trained.skeleton, result


def _decode_saved_fields(
    cfg: DictConfig, overrides: Sequence[str], folder: Path
) -> tuple[str, Skeleton, Evaluation]:
    """Decode the fields of ``evaluate.fields`` with the decoder of the command line."""
    if cfg.ckpt_path:
        raise PafposeError(
            f"ckpt_path={cfg.ckpt_path} and evaluate.fields={cfg.evaluate.fields}: give one of the two; "
            "saved fields need no checkpoint"
        )
    saved = SavedFields(cfg.evaluate.fields)
    keys = [key for key, _ in typed_keys(overrides)]
    for key in keys:
        _refuse_unless_free(key)
    if not cfg.trust:
        refuse_code(saved.config, saved.folder)
        forget_paths(saved.config)
    config = apply_overrides(saved.config, cfg, overrides)
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    try:
        decoder = factory.build_decoder(config)
        limit = read_settings(EvaluateSettings, config["evaluate"], "evaluate").max_detections
    except PafposeError as error:
        if any(key.startswith("decode") for key in keys):  # then the command line is as likely to be wrong
            raise
        raise PafposeError(f"{saved.folder}: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PafposeError(f"{saved.folder}: its config is incomplete or damaged ({error!r})") from error
    started = time.perf_counter()
    result = evaluate_saved(saved, decoder, max_detections=limit)
    result.metrics["seconds"] = time.perf_counter() - started
    return str(saved.folder), decoder.skeleton, result


def _refuse_unless_free(key: str) -> None:
    if not any(key == free or key.startswith(free + ".") for free in _FREE):
        raise PafposeError(
            f"{key}: saved fields keep the {key.partition('.')[0]} that they were made with; only decode.* "
            "can be changed. For other choices evaluate a checkpoint: ckpt_path=RUN, no evaluate.fields"
        )


def _log_time(metrics: Mapping[str, float]) -> None:
    """Log the speed, and the shares of decoding and scoring."""
    seconds = metrics["seconds"]
    decoding, scoring = (metrics[f"seconds_{part}"] / seconds for part in ("decode", "metrics"))
    log.info(
        "AP %.3f, %.1f photos/s; %.1f s in all, %.1f %% decoding, %.1f %% computing COCO's metrics",
        metrics["AP"], metrics["photos"] / seconds, seconds, 100 * decoding, 100 * scoring,
    )  # fmt: skip
