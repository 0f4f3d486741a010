"""Draw, perturb and decode targets: the detections of a perfect network and of every bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pafpose.decode import Decoder
from pafpose.fields import Poses, to_photo
from pafpose.metrics.coco_ap import Detection, people_to_coco
from pafpose.skeleton import Skeleton
from pafpose.targets import TargetBuilder
from pafpose.tools.oracle.annotated_photos import AnnotatedPhoto, batches, stack
from pafpose.tools.oracle.bounds import BOUNDS, bounded_people, match_peaks
from pafpose.tools.oracle.perturb import add_noise, blur, drop_keypoints
from pafpose.tools.oracle.settings import OracleSettings

MATCH_CELLS = 2  # cells; a peak farther than this from a keypoint is not matched to it


@dataclass
class OracleResult:
    """COCO detections in photo pixels: of the decoded fields and, if requested, of each bound."""

    decoded: list[Detection] = field(default_factory=list)
    bounds: dict[str, list[Detection]] = field(default_factory=lambda: {bound: [] for bound in BOUNDS})


def run_oracle(
    photos: Sequence[AnnotatedPhoto],
    targets: TargetBuilder,
    decoder: Decoder,
    *,
    peaks: Decoder | None,
    settings: OracleSettings,
    seed: int,
) -> OracleResult:
    """Draw and decode the targets of every photo; with ``peaks`` (``peak_decoder``), find the bounds too."""
    result = OracleResult()
    for batch in batches(photos):
        heatmaps, pafs = perturbed_fields(batch, targets, settings=settings, seed=seed)
        valid = torch.tensor([photo.valid for photo in batch])
        decoded = decoder.decode_batch(heatmaps, pafs, valid)
        for photo, people in zip(batch, decoded, strict=True):
            result.decoded += _detections(people, photo, decoder.skeleton)
        if peaks is None:
            continue
        singles = peaks.decode_batch(heatmaps, torch.zeros_like(pafs), valid)
        for photo, single in zip(batch, singles, strict=True):
            for bound, bounded in _bounds(photo, single, decoder).items():
                result.bounds[bound] += people_to_coco(bounded, photo.image_id, decoder.skeleton)
    return result


def perturbed_fields(
    batch: Sequence[AnnotatedPhoto], targets: TargetBuilder, *, settings: OracleSettings, seed: int
) -> tuple[Tensor, Tensor]:
    """Return heatmaps and PAFs of photos of one input size, with drop, blur and noise applied."""
    keypoints = [
        drop_keypoints(photo.placed, settings.drop, seed=seed, image_id=photo.image_id) for photo in batch
    ]
    fields = targets(stack(keypoints), size=batch[0].size, boxes=stack([photo.boxes for photo in batch]))
    if not (settings.blur or settings.noise):
        return fields.heatmaps, fields.pafs
    both = blur(torch.cat([fields.heatmaps, fields.pafs], 1), settings.blur / targets.stride)
    for row, photo in zip(both, batch, strict=True):
        row.copy_(add_noise(row, settings.noise, seed=seed, image_id=photo.image_id))
    heatmaps, pafs = both.split([fields.heatmaps.shape[1], fields.pafs.shape[1]], 1)
    return heatmaps.contiguous(), pafs.contiguous()


def peak_decoder(decoder: Decoder, *, heatmap_sigma: float, background: bool) -> Decoder:
    """Return a decoder that turns every peak into a person of one keypoint, if given PAFs of zeros."""
    alone = dataclasses.replace(
        decoder.settings, min_keypoints=1, min_sum_per_keypoint=0.0, min_score=0.0, near=0.0
    )
    return Decoder(
        decoder.skeleton, alone, stride=decoder.stride, heatmap_sigma=heatmap_sigma, background=background
    )


def _detections(people: Poses, photo: AnnotatedPhoto, skeleton: Skeleton) -> list[Detection]:
    return people_to_coco(to_photo(people, photo.matrix), photo.image_id, skeleton)


def _bounds(photo: AnnotatedPhoto, singles: Poses, decoder: Decoder) -> dict[str, Poses]:
    """Return the bounds in photo pixels; peaks are matched in input pixels, where all cells have one size."""
    points = singles.keypoints.numpy()
    peaks = [points[points[:, k, 2] > 0, k, :2] for k in range(points.shape[1])]
    matched = match_peaks(photo.placed, peaks, radius=MATCH_CELLS * decoder.stride)
    found = np.concatenate([np.nan_to_num(matched), ~np.isnan(matched[..., :1])], -1).astype(np.float32)
    moved = to_photo(Poses(torch.from_numpy(found), torch.zeros(len(found))), photo.matrix)
    matched = np.where(np.isnan(matched), np.nan, moved.keypoints[..., :2].numpy())
    return bounded_people(
        photo.keypoints, matched, decoder.skeleton, min_keypoints=decoder.settings.min_keypoints
    )
