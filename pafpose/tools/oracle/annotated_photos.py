"""Annotated photos in pixels of the network input, read from annotation files alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pafpose.data.annotations.ground_truth import ground_truth
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.photos.ignored import flag_people
from pafpose.geometry import letterbox, pad_to_multiple, transform_boxes, transform_points

BATCH = 16  # photos whose fields are in memory at once


@dataclass(frozen=True)
class AnnotatedPhoto:
    """The people of one photo for whom targets are drawn; keypoints that are not targets have v = 0."""

    image_id: int
    keypoints: np.ndarray  # (P, K, 3) float32, photo px
    placed: np.ndarray  # (P, K, 3) float32, input px
    boxes: np.ndarray  # (P, 4) float32, x, y, w, h in input px
    matrix: np.ndarray  # (2, 3) affine, photo px -> input px
    valid: tuple[int, int]  # (height, width) of the photo inside the input, px
    size: tuple[int, int]  # (height, width) of the input, px; multiples of the stride


def read_annotated_photos(
    data: PoseDataModule, splits: Sequence[str]
) -> tuple[list[AnnotatedPhoto], dict[str, Any]]:
    """Return the photos with people to draw, and the COCO ground truth of all photos of the splits.

    Image ids are renumbered from 1, so that the splits of one data set cannot clash. Only annotation
    files are read. Raises ``PafposeError`` if one is missing.
    """
    data.prepare_validation() if set(splits) == {"val"} else data.prepare_data()
    photos: list[AnnotatedPhoto] = []
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    for split in splits:
        index = data.read_split(split, need_photos=False)
        offset = len(truth["images"])
        photos += _read_photos(index, data, offset)
        _append(truth, _renumber(ground_truth(index, data.skeleton), index, offset))
    return photos, truth


def batches(photos: Sequence[AnnotatedPhoto]) -> Iterator[list[AnnotatedPhoto]]:
    """Yield batches of up to ``BATCH`` photos with the same input size."""
    by_size: dict[tuple[int, int], list[AnnotatedPhoto]] = defaultdict(list)
    for photo in photos:
        by_size[photo.size].append(photo)
    for group in by_size.values():
        for start in range(0, len(group), BATCH):
            yield group[start : start + BATCH]


def stack(people: Sequence[np.ndarray]) -> Tensor:
    """Stack arrays ``(P_i, ...)`` into ``(B, max P, ...)``, padded with zeros."""
    most = max(len(group) for group in people)
    out = np.zeros((len(people), most, *people[0].shape[1:]), np.float32)
    for row, group in zip(out, people, strict=True):
        row[: len(group)] = group
    return torch.from_numpy(out)


def _read_photos(index: PoseIndex, data: PoseDataModule, offset: int) -> Iterator[AnnotatedPhoto]:
    drawn = flag_people(index, data.skeleton, data.mask).drawn
    least = 1 if data.mask.occluded_keypoints else 2
    for photo in range(len(index)):
        people = index.people(photo)
        if not drawn[people].any():
            continue
        keypoints = index.keypoints[people][drawn[people]].copy()
        keypoints[keypoints[..., 2] < least] = 0
        height, width = index.size(photo)
        matrix, valid = letterbox(width, height, input_size=data.evaluate.input_size, fit=data.evaluate.fit)
        yield AnnotatedPhoto(
            image_id=offset + photo + 1,
            keypoints=keypoints,
            placed=_place(keypoints, matrix),
            boxes=transform_boxes(matrix, index.boxes[people][drawn[people]]).astype(np.float32),
            matrix=matrix,
            valid=valid,
            size=(pad_to_multiple(valid[0], data.stride), pad_to_multiple(valid[1], data.stride)),
        )


def _place(keypoints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    xy = transform_points(matrix, keypoints[..., :2]).astype(np.float32)
    return np.concatenate([xy, keypoints[..., 2:]], -1)


def _renumber(truth: dict[str, Any], index: PoseIndex, offset: int) -> dict[str, Any]:
    number = {int(old): offset + n + 1 for n, old in enumerate(index.ids)}
    for image in truth["images"]:
        image["id"] = number[image["id"]]
    for annotation in truth["annotations"]:
        annotation["image_id"] = number[annotation["image_id"]]
    return truth


def _append(truth: dict[str, Any], more: dict[str, Any]) -> None:
    truth["images"] += more["images"]
    truth["annotations"] += more["annotations"]
    truth["categories"] = more["categories"]
