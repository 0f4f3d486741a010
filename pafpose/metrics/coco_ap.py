"""COCO keypoint AP, computed by pycocotools for any skeleton.

Everything is in pixels of the original photo. An integer coordinate is the centre of a pixel, in COCO's
annotations as everywhere in pafpose, so no half pixel is added or taken away.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pafpose.errors import PafposeError
from pafpose.fields import Poses
from pafpose.skeleton import Skeleton

Detection = dict[
    str, Any
]  # one COCO result: image_id, category_id, keypoints (x, y, score each, flat), score

MAX_DETECTIONS = 20  # people per photo that COCO scores
_SLICES = {
    "": (None, "all"),
    "50": (0.5, "all"),
    "75": (0.75, "all"),
    "M": (None, "medium"),
    "L": (None, "large"),
}
METRICS = tuple(kind + suffix for kind in ("AP", "AR") for suffix in _SLICES)
_AREAS = {"all": (0, 1e10), "medium": (32**2, 96**2), "large": (96**2, 1e10)}  # px of the photo, squared
_ABSENT = [0.0, 0.0, 0.0]


class KeypointAP:
    """Collects the detections of a split, photo by photo, and computes COCO's ten numbers.

    A photo is known by its id and counts once, however often it comes: distributed samplers repeat photos
    to give every rank equally many. ``photos`` and ``compute`` are collective: under ``torch.distributed``
    every rank must call them, unless ``gather=False``, which counts the photos of this process alone. Of the
    people found in a photo the best ``max_detections`` count.
    """

    def __init__(self, *, gather: bool = True, max_detections: int = MAX_DETECTIONS) -> None:
        self._gather = gather
        self.max_detections = max_detections
        self._photos: dict[int, list[Detection]] = {}

    def update(self, detections: Sequence[Detection], image_id: int) -> None:
        """Add all detections of one photo; an empty list says that nobody was found in it."""
        self._photos.setdefault(int(image_id), list(detections))

    def reset(self) -> None:
        """Forget all photos."""
        self._photos.clear()

    def photos(self) -> dict[int, list[Detection]]:
        """Return the detections by photo id, in ascending order of the ids."""
        photos: dict[int, list[Detection]] = {}
        for part in _gather(self._photos) if self._gather else [self._photos]:
            photos = part | photos
        return dict(sorted(photos.items()))

    def compute(self, ground_truth: Mapping[str, Any], skeleton: Skeleton) -> dict[str, float]:
        """Return ``coco_ap`` over the photos that were added; others of the ground truth do not count."""
        photos = self.photos()
        found = [detection for detections in photos.values() for detection in detections]
        truth = only_photos(ground_truth, photos)
        return coco_ap(found, truth, skeleton, max_detections=self.max_detections)


def score_text(value: float) -> str:
    """Return a number of ``METRICS`` with three digits, a dash when it is undefined.

    >>> score_text(0.5), score_text(float("nan"))
    ('0.500', '–')
    """
    return "–" if math.isnan(value) else f"{value:.3f}"


def only_photos(ground_truth: Mapping[str, Any], image_ids: Collection[int]) -> dict[str, Any]:
    """Return a COCO dict reduced to some of its photos and their annotations."""
    return dict(ground_truth) | {
        "images": [image for image in ground_truth["images"] if image["id"] in image_ids],
        "annotations": [a for a in ground_truth["annotations"] if a["image_id"] in image_ids],
    }


def people_to_coco(people: Poses, image_id: int, skeleton: Skeleton) -> list[Detection]:
    """Return people, given in pixels of the original photo, as COCO results.

    Only scored keypoints are listed; one that was not found is 0, 0, 0.
    """
    keypoints = people.keypoints.detach().float().cpu().numpy()[:, list(skeleton.scored)].astype(np.float64)
    keypoints[keypoints[..., 2] <= 0] = 0
    scores = people.scores.detach().float().cpu().tolist()
    return [
        {
            "image_id": int(image_id),
            "category_id": 1,
            "keypoints": np.round(person, 3).ravel().tolist(),
            "score": float(score),
        }
        for person, score in zip(keypoints, scores, strict=True)
    ]


def coco_ap(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    max_detections: int = MAX_DETECTIONS,
    areas: Collection[str] = ("all", "medium", "large"),
) -> dict[str, float]:
    """Compute COCO's ten keypoint numbers, ``METRICS``, each between 0 and 1.

    ``ground_truth`` is a COCO dict (images, annotations, categories) in the data set's own keypoint order.
    A number is 0 when nothing was found, and NaN when nobody is annotated whom it counts. ``areas=("all",)``
    skips the numbers for medium and large people, which saves time. The ``max_detections`` people with the
    best scores count in each photo. Raises ``PafposeError`` for detections
    in photos that the ground truth does not list. 5,000 photos with 20 detections each take about 11 s of
    one core.
    """
    if max_detections < 1:
        raise PafposeError(f"max_detections={max_detections}: give 1 or more; COCO counts {MAX_DETECTIONS}")
    unknown = sorted({d["image_id"] for d in detections} - {image["id"] for image in ground_truth["images"]})
    if unknown:
        raise PafposeError(
            f"{len(unknown)} photos with detections are not in the annotations, the first has id "
            f"{unknown[0]}; evaluate against the annotations of the photos that were predicted"
        )
    if not detections:
        truth = in_skeleton_order(ground_truth, skeleton)["annotations"]
        score = {area: 0.0 if _count_people(truth, area) else math.nan for area in areas}
        return {name: score[_SLICES[name[2:]][1]] for name in METRICS if _SLICES[name[2:]][1] in areas}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth = COCO()
        truth.dataset = in_skeleton_order(ground_truth, skeleton)
        truth.createIndex()
        found = truth.loadRes(
            [d | {"category_id": 1} for d in detections]
        )  # copies: loadRes writes into them
        evaluation = COCOeval(truth, found, "keypoints")
        params = evaluation.params
        params.kpt_oks_sigmas = np.array([skeleton.sigmas[k] for k in skeleton.scored])
        params.maxDets = [max_detections]
        wanted = [n for n, label in enumerate(params.areaRngLbl) if label in areas]
        params.areaRng = [params.areaRng[n] for n in wanted]
        params.areaRngLbl = [params.areaRngLbl[n] for n in wanted]
        evaluation.evaluate()
        evaluation.accumulate()
    return _summary(evaluation)


def count_people(ground_truth: Mapping[str, Any], skeleton: Skeleton) -> dict[str, int]:
    """Return how many people the numbers for all, medium and large people count."""
    annotations = in_skeleton_order(ground_truth, skeleton)["annotations"]
    return {area: _count_people(annotations, area) for area in _AREAS}


def _count_people(annotations: Iterable[Mapping[str, Any]], area: str) -> int:
    low, high = _AREAS[area]
    return sum(
        not person["iscrowd"] and person["num_keypoints"] > 0 and low <= person["area"] <= high
        for person in annotations
    )


def in_skeleton_order(ground_truth: Mapping[str, Any], skeleton: Skeleton) -> dict[str, Any]:
    """Return a COCO dict with one category, whose keypoints are the scored ones in the skeleton's order.

    All categories become that one: the skeleton says what to look for. The order of the annotations stays.
    A keypoint that the data set does not list is unlabelled.
    """
    columns = {c["id"]: _columns(c.get("keypoints"), skeleton) for c in ground_truth["categories"]}
    annotations = [
        _annotation(annotation, number, columns[annotation["category_id"]])
        for number, annotation in enumerate(ground_truth["annotations"], start=1)
    ]
    category = {"id": 1, "name": skeleton.name, "keypoints": [skeleton.keypoints[k] for k in skeleton.scored]}
    return {"images": list(ground_truth["images"]), "categories": [category], "annotations": annotations}


def _gather(part: Any) -> list[Any]:
    """Return ``part`` of every rank, in rank order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


def _columns(names: Sequence[str] | None, skeleton: Skeleton) -> list[int | None]:
    """Return each scored keypoint's index in the data set's list of names, None when it is not listed."""
    if not names:
        return list(range(len(skeleton.scored)))
    known = skeleton.match(names)
    return [known.get(k) for k in skeleton.scored]


def _annotation(annotation: Mapping[str, Any], number: int, columns: Sequence[int | None]) -> dict[str, Any]:
    given = list(annotation.get("keypoints") or [])
    keypoints: list[float] = []
    for column in columns:
        if given and column is not None:
            keypoints += [float(value) for value in given[3 * column : 3 * column + 3]]
        else:
            keypoints += _ABSENT
    box = annotation["bbox"]
    return {
        "id": number,  # not the data set's id: COCOeval reads id 0 as "no match"
        "image_id": annotation["image_id"],
        "category_id": 1,
        "bbox": list(box),
        "area": float(annotation.get("area", box[2] * box[3])),
        "iscrowd": int(annotation.get("iscrowd", 0)),
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
    }


def _summary(evaluation: COCOeval) -> dict[str, float]:
    """Do what COCOeval.summarize does, without printing, for any number of detections."""
    precision = evaluation.eval["precision"]  # (thresholds, recalls, 1, areas, 1)
    recall = evaluation.eval["recall"]  # (thresholds, 1, areas, 1)
    labels, thresholds = evaluation.params.areaRngLbl, evaluation.params.iouThrs
    values = {}
    for name in METRICS:
        threshold, area = _SLICES[name[2:]]
        if area in labels:
            rows = slice(None) if threshold is None else np.isclose(thresholds, threshold)
            table = precision if name.startswith("AP") else recall
            part = table[rows, ..., labels.index(area), :]
            counted = part[part > -1]  # -1: nobody is annotated there
            values[name] = float(counted.mean()) if counted.size else math.nan
    return values
