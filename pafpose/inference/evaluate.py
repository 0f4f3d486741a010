"""Evaluating a network on a whole split: fields, people in photo pixels, COCO metrics."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from pafpose.data.base import PoseLoaders
from pafpose.data.batch import Batch
from pafpose.decode import Decoder
from pafpose.fields import Fields, to_photo
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.saved_fields import finish_saving, save_photos
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.views import predict_fields
from pafpose.metrics.coco_ap import Detection, coco_ap, people_to_coco
from pafpose.skeleton import Skeleton


def evaluate_network(
    network: torch.nn.Module,
    dataloader: Any,
    decoder: Decoder,
    *,
    skeleton: Skeleton,
    ground_truth: Mapping[str, Any],
    settings: EvaluateSettings,
    stride: int,
    save_to: Path | None = None,
    precision: str = "32-true",
) -> tuple[dict[str, float], list[Detection], list[int]]:
    """COCO metrics, detections and photo ids of a whole split, on the network's device, in this process.

    The loader's photos are fitted with ``settings.at_largest_scale()``. ``save_to`` is a folder that
    receives the averaged fields of every photo when ``settings.save_fields``. ``precision`` is the network's
    (``predict_fields``). The metrics say how long decoding and COCO's evaluation took (``seconds_decode``,
    ``seconds_metrics``).
    """
    decoder.warm_up()
    detections: list[Detection] = []
    photos: list[int] = []
    seen: set[int] = set()
    decoding = 0.0
    views = _batches_of_fields(network, dataloader, skeleton, settings, stride=stride, precision=precision)
    for batch, fields in views:
        if settings.save_fields and save_to is not None:
            save_photos(save_to, batch, fields, stride=stride)
        assert fields.heatmaps is not None and fields.pafs is not None
        started = _now(fields.heatmaps.device)
        people = decoder.decode_batch(fields.heatmaps, fields.pafs, batch.valid)
        for found, matrix, image_id in zip(people, batch.matrix.cpu(), batch.image_id.tolist(), strict=True):
            if image_id in seen:
                continue  # it stood in for an unreadable one (data.on_error=skip)
            seen.add(image_id)
            photos.append(image_id)
            detections += people_to_coco(to_photo(found, matrix), image_id, skeleton)
        decoding += time.perf_counter() - started
    started = time.perf_counter()
    metrics = coco_ap(detections, photos_of(ground_truth, seen), skeleton)
    metrics |= {"photos": float(len(photos)), "people": float(len(detections))}
    metrics |= {"seconds_decode": decoding, "seconds_metrics": time.perf_counter() - started}
    return metrics, detections, photos


def photos_of(truth: Mapping[str, Any], photos: set[int]) -> Mapping[str, Any]:
    """The ground truth of these photos alone: what could not be read cannot be asked for."""
    if len(photos) == len(truth["images"]):
        return truth
    return {
        **truth,
        "images": [image for image in truth["images"] if image["id"] in photos],
        "annotations": [person for person in truth["annotations"] if person["image_id"] in photos],
    }


def _now(device: torch.device) -> float:
    """The time when the device has done what it was asked for: what follows is not charged for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def evaluate_trained(
    trained: TrainedNetwork, data: PoseLoaders, *, save_to: Path | None = None
) -> tuple[dict[str, float], list[Detection]]:
    """Evaluate a trained network on the validation split, under its own settings (``evaluate_network``)."""
    settings = trained.evaluate_settings
    data.val_dataset.input_size = settings.at_largest_scale().input_size  # other views are made from this one
    truth = data.val_ground_truth()
    metrics, detections, photos = evaluate_network(
        trained.network,
        data.val_dataloader(),
        trained.build_decoder(),
        skeleton=trained.skeleton,
        ground_truth=truth,
        settings=settings,
        stride=trained.stride,
        save_to=save_to,
        precision=trained.precision,
    )
    data.report_skipped("val")
    if settings.save_fields and save_to is not None:
        finish_saving(save_to, photos, trained.config, photos_of(truth, set(photos)))
    return metrics, detections


def _batches_of_fields(
    network: torch.nn.Module,
    loader: Any,
    skeleton: Skeleton,
    settings: EvaluateSettings,
    *,
    stride: int,
    precision: str,
) -> Iterator[tuple[Batch, Fields]]:
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    views = settings.at_largest_scale()
    for batch in track(loader, "evaluate", transient=True, disable=not sys.stderr.isatty()):
        yield (
            batch,
            predict_fields(
                network,
                batch.image.to(device),
                skeleton=skeleton,
                stride=stride,
                flip=views.flip,
                scales=views.scales,
                precision=precision,
            ),
        )
