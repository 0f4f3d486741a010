"""COCO's people with the six foot keypoints of OpenPose's foot annotations, for ``skeleton=body25``.

``person_keypoints_train2017_foot_v1.json`` lists body and feet (23 keypoints), the file of val2017 the feet
alone (6); both only those people whose feet were annotated, and both say 17 names or none at all. So COCO's
own file beside it is read, the photos of the foot file are kept, and people get their feet by annotation id.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pafpose.data.annotations.coco import load_json
from pafpose.data.annotations.tidy import BODY, FEET, tidy
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]
NAMES = (*BODY, *FEET)


def read_coco_foot(annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
    """Everybody in the photos of a foot file: the body from COCO's file, feet where they were annotated."""
    feet = tidy(load_json(annotations), annotations)
    path = body_file(annotations)
    if path.is_file():
        return merge(tidy(load_json(path), path), feet, annotations)
    if any(len(person["keypoints"]) != 3 * len(NAMES) for person in feet["annotations"]):
        raise PafposeError(
            f"{annotations}: holds the feet alone, without bodies, and {path} is not there; put COCO's own "
            "file of that name beside it"
        )
    log.warning(
        "%s is not there, so people without foot annotations count as background; better put it there", path
    )
    return _content(feet["images"], [dict(person) for person in feet["annotations"]])


def body_file(annotations: Path) -> Path:
    """COCO's file for a foot file.

    >>> body_file(Path("person_keypoints_val2017_foot_v1.json")).name
    'person_keypoints_val2017.json'
    """
    return annotations.with_name(annotations.stem.split("_foot")[0] + annotations.suffix)


def merge(body: Json, feet: Json, path: Path) -> Json:
    """Body annotations of the photos in the foot file; the same person's feet added at the end."""
    shown = {photo["id"] for photo in feet["images"]}
    known = {person["id"]: person["keypoints"][-3 * len(FEET) :] for person in feet["annotations"]}
    nothing = [0] * (3 * len(FEET))
    people = [
        {**person, "keypoints": [*(person.get("keypoints") or [0] * 51), *known.get(person["id"], nothing)]}
        for person in body["annotations"]
        if person["image_id"] in shown
    ]
    lost = len(known.keys() - {person["id"] for person in people})
    if lost:
        log.warning("%s: %d people are not in COCO's file; their feet are left out", path, lost)
    photos = [photo for photo in body["images"] if photo["id"] in shown]
    if not photos:
        raise PafposeError(
            f"{path}: none of its photos is in {body_file(path).name}; both must be of the same split"
        )
    return _content(photos, people)


def _content(photos: list[Json], people: list[Json]) -> Json:
    for person in people:
        person["category_id"] = 1
    return {
        "images": photos,
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES)}],
    }
