"""AP by keypoint and by how crowded the photos are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pafpose.geometry import box_from_corner_frame
from pafpose.metrics.coco_ap import MAX_DETECTIONS, Detection, coco_ap, in_skeleton_order, only_photos
from pafpose.skeleton import Skeleton

CROWD_LEVELS = {"alone": (0.0, 0.1), "some": (0.1, 0.8), "crowded": (0.8, np.inf)}  # of crowd_index


def ap_by_keypoint(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """Compute ``AP_<keypoint>`` for each scored keypoint, as if it were the only one annotated and found.

    A keypoint that is labelled nowhere has no AP and is not in the result.
    """
    truth = in_skeleton_order(ground_truth, skeleton)
    result = {}
    for n, k in enumerate(skeleton.scored):
        single = truth | {"annotations": [_only_keypoint(a, n) for a in truth["annotations"]]}
        if any(map(_is_labelled, single["annotations"])):
            found = [d for d in detections if d["keypoints"][3 * n + 2] > 0]
            scores = coco_ap(found, single, skeleton, max_detections=max_detections, areas=("all",))
            result[f"AP_{skeleton.keypoints[k]}"] = scores["AP"]
    return result


def ap_by_crowd(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """Compute ``AP_<level>`` over the photos of each of ``CROWD_LEVELS``.

    A level in which nobody is labelled has no AP and is not in the result.
    """
    index = crowd_index(ground_truth)
    result = {}
    for level, (low, high) in CROWD_LEVELS.items():
        photos = {photo for photo, value in index.items() if low <= value < high}
        truth = only_photos(ground_truth, photos)
        if any(map(_is_labelled, truth["annotations"])):
            found = [d for d in detections if d["image_id"] in photos]
            scores = coco_ap(found, truth, skeleton, max_detections=max_detections, areas=("all",))
            result[f"AP_{level}"] = scores["AP"]
    return result


def crowd_index(ground_truth: Mapping[str, Any]) -> dict[int, float]:
    """Return how crowded each photo is: 0 when no keypoint lies in the box of somebody else.

    For each person, count the keypoints of others that lie in the person's box, and divide by the number of
    the person's own labelled keypoints; the index of a photo is the mean over its people (CrowdPose, Li et
    al. 2019, eq. 7).
    """
    people: dict[int, list[Mapping[str, Any]]] = {image["id"]: [] for image in ground_truth["images"]}
    for annotation in ground_truth["annotations"]:
        if _is_labelled(annotation):
            people[annotation["image_id"]].append(annotation)
    return {photo: _crowd_index_of(group) for photo, group in people.items()}


def _is_labelled(annotation: Mapping[str, Any]) -> bool:
    return not annotation.get("iscrowd") and any((annotation.get("keypoints") or [])[2::3])


def _crowd_index_of(people: Sequence[Mapping[str, Any]]) -> float:
    points = [np.asarray(person["keypoints"], float).reshape(-1, 3) for person in people]
    points = [p[p[:, 2] > 0, :2] for p in points]
    ratios = []
    for n, person in enumerate(people):
        x, y, w, h = box_from_corner_frame(np.asarray(person["bbox"], float))
        others = [p for m, p in enumerate(points) if m != n]
        inside = sum(((p >= (x, y)) & (p <= (x + w, y + h))).all(-1).sum() for p in others)
        ratios.append(inside / len(points[n]))
    return float(np.mean(ratios)) if ratios else 0.0


def _only_keypoint(annotation: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return the annotation with all keypoints but the ``n``-th unlabelled."""
    keypoints = [0.0] * len(annotation["keypoints"])
    keypoints[3 * n : 3 * n + 3] = annotation["keypoints"][3 * n : 3 * n + 3]
    return dict(annotation) | {"keypoints": keypoints}
