"""Evaluate a trained network, or fields saved from one, on a whole validation split."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pafpose.data.datamodule import PoseDataModule
from pafpose.decode import Decoder
from pafpose.fields import Fields
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.people import record_people
from pafpose.inference.saved_fields import SavedFields, finish_saving, save_photos
from pafpose.metrics import KeypointAP, count_people, only_photos
from pafpose.metrics.coco_ap import MAX_DETECTIONS, Detection
from pafpose.runtime.follow import follow
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """COCO's numbers with counts and times, and what they were computed from, in order of photo ids."""

    metrics: dict[str, float]
    detections: list[Detection]
    ground_truth: dict[str, Any]  # a COCO dict of the photos that could be read
    max_detections: int  # people found in a photo that the metrics count


def evaluate_trained(
    trained: TrainedNetwork, data: PoseDataModule, *, save_to: Path | None = None
) -> Evaluation:
    """Evaluate a network on the validation split, in this process alone, on the network's device.

    Photos are fitted and views averaged as ``trained.settings`` say, whatever ``data`` was built with. With
    ``save_to``, the averaged fields of every photo are written to that folder (``SavedFields``). Photos that
    could not be read (``data.on_error=skip``) are left out of the ground truth.
    """
    data.val_dataset.input_size = trained.settings.input_size
    trained.decoder.warm_up()
    metric, seconds = KeypointAP(gather=False, max_detections=trained.settings.max_detections), 0.0
    loader = data.val_dataloader()
    for batch in follow(loader, "evaluate, batches", total=len(loader)):
        fields = trained.predict_fields(batch.image)
        if save_to is not None:
            save_photos(save_to, batch, fields, stride=trained.stride)
        started = _time_after(trained.device)
        record_people(
            metric,
            trained.decoder,
            fields,
            image_ids=batch.image_id,
            matrices=batch.matrix,
            valid=batch.valid,
        )
        seconds += time.perf_counter() - started
    data.report_skipped("val")
    result = _score(metric, data.val_ground_truth(), trained.skeleton, seconds_decode=seconds)
    if save_to is not None:
        finish_saving(save_to, trained.config, result.ground_truth)
    return result


def evaluate_saved(
    saved: SavedFields, decoder: Decoder, *, max_detections: int = MAX_DETECTIONS
) -> Evaluation:
    """Decode saved fields anew and score them; needs neither the network nor the photos.

    ``seconds_decode`` includes reading the files.
    """
    truth = saved.checked_truth()
    decoder.warm_up()
    metric, started = KeypointAP(gather=False, max_detections=max_detections), time.perf_counter()

    def decode(image_id: int) -> None:
        photo = saved.read(image_id)
        record_people(
            metric,
            decoder,
            Fields(photo.heatmaps[None], photo.pafs[None]),
            image_ids=torch.tensor([image_id]),
            matrices=photo.matrix[None],
            valid=photo.valid[None],
        )

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(decode, [image["id"] for image in truth["images"]]))
    seconds = time.perf_counter() - started
    return _score(metric, truth, decoder.skeleton, seconds_decode=seconds)


def _score(
    metric: KeypointAP, truth: Mapping[str, Any], skeleton: Skeleton, *, seconds_decode: float
) -> Evaluation:
    photos, started = metric.photos(), time.perf_counter()
    detections = [detection for found in photos.values() for detection in found]
    metrics = metric.compute(truth, skeleton)
    _log_cut(photos, metric.max_detections)
    annotated = count_people(only_photos(truth, photos), skeleton)
    if not annotated["all"]:
        log.warning("nobody is annotated in these %d photos, so AP is undefined", len(photos))
    metrics |= {f"annotated_{area}": float(count) for area, count in annotated.items()}
    metrics |= {"photos": float(len(photos)), "people": float(len(detections))}
    metrics |= {"seconds_decode": seconds_decode, "seconds_metrics": time.perf_counter() - started}
    return Evaluation(metrics, detections, only_photos(truth, photos), metric.max_detections)


def _log_cut(photos: Mapping[int, Sequence[Detection]], limit: int) -> None:
    """Say that more people were found in some photos than count."""
    cut = sum(len(found) > limit for found in photos.values())
    if cut:
        log.info(
            "evaluate.max_detections=%d: more people were found in %d of %d photos; only the best %d count",
            limit, cut, len(photos), limit,
        )  # fmt: skip


def _time_after(device: torch.device) -> float:
    """Return the time once ``device`` has finished its work, so that the work is not counted as decoding."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
