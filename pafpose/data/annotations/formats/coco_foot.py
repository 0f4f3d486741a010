"""COCO's people with the six foot keypoints that OpenPose's authors annotated, for ``skeleton=body25``.

``person_keypoints_train2017_foot_v1.json`` has body and feet (23 keypoints), the file of val2017 only the
feet (6). Both list only the people whose feet were annotated, and their categories name 17 keypoints or none.
So the photos of the foot file are kept, the bodies are read from COCO's own file beside it, and the feet are
added to people by annotation id.
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
    """Return everybody in the photos of a foot file: bodies from COCO's file, and the annotated feet."""
    feet = tidy(load_json(annotations), annotations)
    path = body_file(annotations)
    if path.is_file():
        return merge(tidy(load_json(path), path), feet, annotations)
    if any(len(person["keypoints"]) != 3 * len(NAMES) for person in feet["annotations"]):
        raise PafposeError(
            f"{annotations}: has feet but no bodies, and {path} does not exist; put COCO's own file of that "
            "name beside it"
        )
    log.warning(
        "%s does not exist, so people without annotated feet count as background; better put it there", path
    )
    return _content(feet["images"], [dict(person) for person in feet["annotations"]])


def body_file(annotations: Path) -> Path:
    """Return the path of COCO's own file for a foot file.

    >>> body_file(Path("person_keypoints_val2017_foot_v1.json")).name
    'person_keypoints_val2017.json'
    """
    return annotations.with_name(annotations.stem.split("_foot")[0] + annotations.suffix)


def merge(body: Json, feet: Json, path: Path) -> Json:
    """Return the body annotations in the photos of the foot file, with each person's feet appended."""
    photo_ids = {photo["id"] for photo in feet["images"]}
    known = {person["id"]: person["keypoints"][-3 * len(FEET) :] for person in feet["annotations"]}
    no_feet, no_body = [0] * (3 * len(FEET)), [0] * (3 * len(BODY))
    people = [
        {**person, "keypoints": [*(person.get("keypoints") or no_body), *known.get(person["id"], no_feet)]}
        for person in body["annotations"]
        if person["image_id"] in photo_ids
    ]
    lost = len(known.keys() - {person["id"] for person in people})
    if lost:
        log.warning("%s: left out the feet of %d people who are not in COCO's file", path, lost)
    photos = [photo for photo in body["images"] if photo["id"] in photo_ids]
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
