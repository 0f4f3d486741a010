"""From photos to people: how photos are fitted, people put back, and a whole split evaluated.

Frames: *photo* (original pixels), *input* (letterboxed pixels that the network sees), field cells.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from pafpose.averaging import predict_fields
from pafpose.config import settings as read_settings
from pafpose.data.images import evaluation_input, load_image
from pafpose.errors import PafposeError
from pafpose.fields import Fields, People
from pafpose.geometry import invert
from pafpose.metrics.coco_ap import BACKENDS, Detection, coco_ap, people_to_coco
from pafpose.skeleton import Skeleton

if TYPE_CHECKING:
    from pafpose.data.records import Batch
    from pafpose.decode import Decoder
    from pafpose.module import PoseModule


@dataclass(frozen=True)
class EvaluateSettings:
    """How photos meet the network at test time (``conf/evaluate``); checked when made."""

    input_size: int = 368  # px of the long side, or of the height
    fit: str = "long"  # long | height
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    save_fields: bool = False
    fields: str | None = None  # a folder of saved fields, decoded instead of running a network
    detail: str = "total"  # total | full
    errors: bool = False
    backend: str = "fast"  # fast | pycocotools

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_size", int(self.input_size))
        scales = self.scales if isinstance(self.scales, Sequence) else (self.scales,)
        object.__setattr__(self, "scales", tuple(float(scale) for scale in scales))
        if self.input_size < 1:
            raise PafposeError(f"evaluate.input_size={self.input_size}: give a number of pixels above 0")
        if self.fit not in ("long", "height"):
            raise PafposeError(f"evaluate.fit={self.fit!r}: choose 'long' (long side) or 'height'")
        if self.backend not in BACKENDS:
            raise PafposeError(f"evaluate.backend={self.backend!r}: choose one of {', '.join(BACKENDS)}")
        if self.detail not in ("total", "full"):
            raise PafposeError(f"evaluate.detail={self.detail!r}: choose 'total' or 'full'")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise PafposeError(
                f"evaluate.scales={list(self.scales)}: give factors above 0, such as [1] or [0.5,1,2]"
            )

    def at_largest_scale(self) -> EvaluateSettings:
        """The same views, told from the frame of the largest one: its scale becomes 1.

        Photos are read once, at that size, and every other view is made from it, so that no view is
        enlarged from fewer pixels than the photo has.
        """
        largest = max(self.scales)
        return dataclasses.replace(
            self,
            input_size=max(1, round(self.input_size * largest)),
            scales=tuple(scale / largest for scale in self.scales),
        )


def to_photo(people: People, matrix: np.ndarray | Tensor) -> People:
    """Move people from input pixels to photo pixels; ``matrix`` (2, 3) leads from photo to input.

    Keypoints that were not found stay 0, 0, 0.
    """
    back = torch.as_tensor(invert(np.asarray(matrix, np.float64)), device=people.keypoints.device)
    found = people.keypoints[..., 2:] > 0
    xy = people.keypoints[..., :2].to(back) @ back[:, :2].T + back[:, 2]
    xy = torch.where(found, xy, torch.zeros_like(xy)).to(people.keypoints)
    return People(torch.cat([xy, people.keypoints[..., 2:] * found], -1), people.scores)


class Predictor:
    """A trained network with all that stands around it: a photo in, people in photo pixels out."""

    def __init__(
        self,
        network: torch.nn.Module,
        decoder: Decoder,
        *,
        skeleton: Skeleton,
        settings: EvaluateSettings,
        stride: int,
        device: str | torch.device | None = None,
        precision: str = "32-true",
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.to(self.device).eval()
        self.decoder, self.skeleton, self.settings, self.stride = decoder, skeleton, settings, stride
        self.precision = precision
        decoder.warm_up()

    @classmethod
    def from_module(cls, module: PoseModule, *, device: str | torch.device | None = None) -> Predictor:
        """From a loaded checkpoint, with the settings that it was trained with."""
        return cls(
            module.network,
            module.decoder,
            skeleton=module.skeleton,
            settings=read_settings(EvaluateSettings, module.config["evaluate"], "evaluate"),
            stride=int(module.config["head"]["stride"]),
            device=device,
            precision=str(module.config.get("precision", "32-true")),
        )

    def __call__(self, photo: str | Path | np.ndarray) -> People:
        """People in a photo: a file, or RGB uint8 (H, W, 3); pixels of the photo, best first, on the CPU."""
        fields, matrix, valid = self.fields(photo)
        assert fields.heatmaps is not None and fields.pafs is not None
        people = self.decoder.decode_batch(fields.heatmaps, fields.pafs, torch.tensor([valid]))[0]
        return to_photo(People(people.keypoints.cpu(), people.scores.cpu()), matrix)

    def fields(self, photo: str | Path | np.ndarray) -> tuple[Fields, np.ndarray, tuple[int, int]]:
        """Averaged fields (1, ...), the matrix from photo to input, and the photo's (height, width) there."""
        views = self.settings.at_largest_scale()
        image, matrix, valid = evaluation_input(
            as_rgb(photo), input_size=views.input_size, fit=views.fit, stride=self.stride
        )
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.device)
        fields = predict_fields(
            self.network,
            tensor,
            skeleton=self.skeleton,
            stride=self.stride,
            flip=views.flip,
            scales=views.scales,
            precision=self.precision,
        )
        return fields, matrix, valid


def as_rgb(photo: str | Path | np.ndarray) -> np.ndarray:
    """A photo as RGB uint8 (H, W, 3); files are turned upright as their EXIF tag says."""
    if isinstance(photo, str | Path):
        return load_image(photo)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or 0 in photo.shape:
        raise PafposeError(
            f"photo: expected RGB uint8 (height, width, 3), got {photo.dtype} {photo.shape}; convert it first"
        )
    return photo


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
    from pafpose.saved_fields import save_photos

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
    metrics = coco_ap(detections, photos_of(ground_truth, seen), skeleton, backend=settings.backend)
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


def evaluate_module(
    module: PoseModule, data: Any, *, save_to: Path | None = None
) -> tuple[dict[str, float], list[Detection]]:
    """``evaluate_network`` of a trained module on the validation split, under its own settings."""
    from pafpose.saved_fields import finish_saving

    settings = read_settings(EvaluateSettings, module.config["evaluate"], "evaluate")
    data.val_dataset.input_size = settings.at_largest_scale().input_size  # other views are made from this one
    truth = data.val_ground_truth()
    metrics, detections, photos = evaluate_network(
        module.network.eval(),
        data.val_dataloader(),
        module.decoder,
        skeleton=module.skeleton,
        ground_truth=truth,
        settings=settings,
        stride=int(module.config["head"]["stride"]),
        save_to=save_to,
        precision=str(module.config.get("precision", "32-true")),
    )
    data.report_skipped("val")
    if settings.save_fields and save_to is not None:
        finish_saving(save_to, photos, module.config, photos_of(truth, set(photos)))
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
