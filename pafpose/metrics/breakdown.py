"""Where AP comes from: by keypoint and by how crowded the photos are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pafpose.metrics.coco_ap import Detection, coco_ap, only_photos
from pafpose.skeleton import Skeleton

CROWD_LEVELS = {"alone": (0.0, 0.1), "some": (0.1, 0.8), "crowded": (0.8, np.inf)}


def ap_by_keypoint(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
) -> dict[str, float]:
    """AP when one keypoint alone is annotated and asked for; people without it are left out.

    Keypoints that nobody is annotated with have no AP and are not in the result.
    """
    names = ground_truth["categories"][0].get("keypoints") or [skeleton.keypoints[k] for k in skeleton.scored]
    result = {}
    for place, k in enumerate(skeleton.scored):
        name = skeleton.keypoints[k]
        if name not in names:
            continue
        truth = _keep_keypoint(ground_truth, list(names).index(name))
        if _anybody(truth):
            found = [d for d in detections if d["keypoints"][3 * place + 2] > 0]
            result[f"AP_{name}"] = coco_ap(found, truth, skeleton, areas=("all",))["AP"]
    return result


def ap_by_crowd(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
) -> dict[str, float]:
    """AP over the photos of each level of ``crowd_index``; levels where nobody is annotated are left out."""
    index = crowd_index(ground_truth)
    result = {}
    for level, (low, high) in CROWD_LEVELS.items():
        photos = {photo for photo, value in index.items() if low <= value < high}
        truth = only_photos(ground_truth, photos)
        if _anybody(truth):
            found = [d for d in detections if d["image_id"] in photos]
            result[f"AP_{level}"] = coco_ap(found, truth, skeleton, areas=("all",))["AP"]
    return result


def crowd_index(ground_truth: Mapping[str, Any]) -> dict[int, float]:
    """For every photo: others' keypoints in a person's box over their own, the mean over people.

    The measure of the CrowdPose data set (Li et al. 2019, eq. 7); 0 for photos of at most one person.
    """
    people: dict[int, list[Mapping[str, Any]]] = {image["id"]: [] for image in ground_truth["images"]}
    for annotation in ground_truth["annotations"]:
        if _is_labelled(annotation):
            people[annotation["image_id"]].append(annotation)
    return {photo: _mean_intrusion(group) for photo, group in people.items()}


def _is_labelled(annotation: Mapping[str, Any]) -> bool:
    return not annotation.get("iscrowd") and any((annotation.get("keypoints") or [])[2::3])


def _anybody(ground_truth: Mapping[str, Any]) -> bool:
    """Whether there is somebody to find: without, AP is not defined."""
    return any(_is_labelled(annotation) for annotation in ground_truth["annotations"])


def _mean_intrusion(group: Sequence[Mapping[str, Any]]) -> float:
    points = [np.asarray(a["keypoints"], float).reshape(-1, 3) for a in group]
    points = [p[p[:, 2] > 0, :2] for p in points]
    ratios = []
    for n, annotation in enumerate(group):
        x, y, w, h = annotation["bbox"]
        others = [p for m, p in enumerate(points) if m != n]
        inside = sum(((p >= (x, y)) & (p <= (x + w, y + h))).all(-1).sum() for p in others)
        ratios.append(inside / len(points[n]))
    return float(np.mean(ratios)) if ratios else 0.0


def _keep_keypoint(ground_truth: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The same annotations with one labelled keypoint."""

    def reduce(annotation: Mapping[str, Any]) -> dict[str, Any]:
        given = list(annotation.get("keypoints") or [])
        kept = [0] * len(given)
        kept[3 * place : 3 * place + 3] = given[3 * place : 3 * place + 3]
        return dict(annotation) | {"keypoints": kept, "num_keypoints": int(any(kept[2::3]))}

    return dict(ground_truth) | {"annotations": [reduce(a) for a in ground_truth["annotations"]]}
