"""An index as a COCO dictionary: the ground truth that predictions are scored against."""

from __future__ import annotations

from typing import Any

from pafpose.data.annotations.index import PoseIndex, count_labelled
from pafpose.geometry import box_to_corner_frame
from pafpose.skeleton import Skeleton

Json = dict[str, Any]


def ground_truth(index: PoseIndex, skeleton: Skeleton) -> Json:
    """Return the photos and people of an index in COCO's form: scored keypoints only, one category.

    ``num_keypoints`` counts the labelled keypoints. Crowds keep their RLE masks.
    """
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


def _category(skeleton: Skeleton) -> Json:
    """Return the one category: the scored keypoints, and the limbs between them counted from 1."""
    place = {k: n for n, k in enumerate(skeleton.scored, 1)}
    limbs = [[place[a], place[b]] for a, b in skeleton.limbs if a in place and b in place]
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    return {"id": 1, "name": "person", "keypoints": names, "skeleton": limbs}
