"""An index as a COCO dictionary: the ground truth that predictions are scored against."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np

from pafpose.data.annotations.index import PoseIndex, count_labelled
from pafpose.geometry import box_to_corner_frame
from pafpose.metrics.coco_ap import MAX_DETECTIONS
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]


def ground_truth(index: PoseIndex, skeleton: Skeleton) -> Json:
    """Return the photos and people of an index in COCO's form: scored keypoints only, one category.

    ``num_keypoints`` counts the labelled keypoints. Crowds keep their RLE masks. A log line says when AP will
    mean little.
    """
    _warn_of_ap(index, skeleton)
    photo_of, labelled = index.photo_of(), count_labelled(index, skeleton.scored)
    annotations = []
    for m in range(len(index.keypoints)):
        annotation = {
            "id": int(index.annotation_ids[m]),
            "image_id": int(index.ids[photo_of[m]]),
            "category_id": 1,
            "keypoints": index.keypoints[m, list(skeleton.scored)].astype(float).ravel().tolist(),
            "num_keypoints": int(labelled[m]),
            "bbox": box_to_corner_frame(index.boxes[m]).tolist(),
            "area": float(index.areas[m]),
            "iscrowd": int(index.crowd[m]),
        }
        if index.crowd[m] and (mask := index.mask(m)):
            annotation["segmentation"] = {
                "size": list(index.size(int(photo_of[m]))),
                "counts": mask.decode(),
            }
        annotations.append(annotation)
    return {
        "info": {},
        "images": [
            {"id": int(index.ids[n]), "file_name": str(index.files[n]), "height": height, "width": width}
            for n, (height, width) in enumerate(index.sizes.tolist())
        ],
        "annotations": annotations,
        "categories": [_category(skeleton)],
    }


def _warn_of_ap(index: PoseIndex, skeleton: Skeleton) -> None:
    """Log when COCO's AP of validation photos says little: nobody is annotated, or too many are."""
    counted = ~index.crowd & (count_labelled(index, skeleton.scored) > 0)
    if not counted.any():
        _warn_once(f"{index.folder}: nobody is annotated in the validation photos, so AP is undefined")
    crowded = int((np.bincount(index.photo_of()[counted], minlength=1) > MAX_DETECTIONS).sum())
    if crowded:
        _warn_once(
            f"{index.folder}: {crowded} photos show more than {MAX_DETECTIONS} people; COCO's AP counts the "
            f"best {MAX_DETECTIONS} detections of a photo (evaluate.max_detections), so it stays below 1"
        )


@functools.cache
def _warn_once(message: str) -> None:
    """Log a warning once a process: ground truth is made for every validation."""
    log.warning("%s", message)


def _category(skeleton: Skeleton) -> Json:
    """Return the one category: the scored keypoints, and the limbs between them counted from 1."""
    place = {k: n for n, k in enumerate(skeleton.scored, 1)}
    limbs = [[place[a], place[b]] for a, b in skeleton.limbs if a in place and b in place]
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    return {"id": 1, "name": "person", "keypoints": names, "skeleton": limbs}
