"""Edges of photos and boxes to the half pixel, and single checks on people made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pafpose.geometry import box_from_corner_frame
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.people import audit_people
from pafpose.tools.audit.split import Split

WIDTH, HEIGHT = 200, 160
PLACES = np.stack([40.0 + 5 * np.arange(18), 50.0 + 4 * np.arange(18)], -1)
BOX = (40, 50, 86, 69)  # COCO's: from the outer corner of pixel (40, 50) to that of (125, 118)


def split_of(skeleton: Skeleton, *people: dict) -> Split:
    """A split with a photo for each person; ``moved`` gives some keypoints other places."""
    keypoints = np.tile(np.c_[PLACES, np.full(18, 2.0)], (len(people), 1, 1))
    for m, person in enumerate(people):
        for k, place in person.get("moved", {}).items():
            keypoints[m, k, : len(place)] = place
    boxes = np.array([person.get("bbox", BOX) for person in people], float)
    photos = [
        {"id": m, "file_name": f"{m}.jpg", "height": HEIGHT, "width": WIDTH} for m in range(len(people))
    ]
    return Split(
        name="train",
        folder=Path("photos"),
        skeleton=skeleton,
        photos=photos,
        people=[{"id": 10 + m} | person for m, person in enumerate(people)],
        photo_of=np.arange(len(people)),
        keypoints=keypoints,
        boxes=box_from_corner_frame(boxes),
        crowd=np.array([bool(person.get("iscrowd")) for person in people]),
    )


def kinds(split: Split, margin: float = 0.0) -> list[str]:
    return [finding.kind for finding in audit_people(split, margin)]


@pytest.mark.parametrize("place", [(-0.5, 50), (40, -0.5), (WIDTH - 0.5, 50), (40, HEIGHT - 0.5)])
def test_a_photo_ends_half_a_pixel_beyond_the_centre_of_its_last_one(coco18, place):
    box = (0, 0, WIDTH, HEIGHT)
    assert kinds(split_of(coco18, {"moved": {0: place}, "bbox": box})) == []
    beyond = tuple(v - 0.1 if v < 0 else v + 0.1 if v % 1 else v for v in place)
    split = split_of(coco18, {"moved": {0: beyond}, "bbox": box})
    assert kinds(split) == ["outside_photo"]
    assert kinds(split, margin=0.2) == []


@pytest.mark.parametrize(
    ("box", "beyond"),
    [
        ((0, 0, WIDTH, HEIGHT), 0),
        ((-0.3, 0, WIDTH, HEIGHT), 0.3),
        ((0, -0.3, WIDTH, HEIGHT), 0.3),
        ((0, 0, WIDTH + 0.3, HEIGHT), 0.3),
        ((0, 0, WIDTH, HEIGHT + 0.3), 0.3),
    ],
)
def test_the_box_of_a_whole_photo_is_inside(coco18, box, beyond):
    found = list(audit_people(split_of(coco18, {"bbox": box}), 0.0))
    assert [finding.score for finding in found] == pytest.approx([beyond] if beyond else [])


def test_the_distance_from_a_box_is_in_longer_sides(coco18):
    """The box ends at x = 125.5, so a keypoint 0.26 longer sides of 86 px beyond lies at 147.86."""
    near, far = ({"moved": {3: (125.5 + share * 86, 60)}} for share in (0.24, 0.26))
    (finding,) = audit_people(split_of(coco18, near, far), 0.0)
    assert (finding.kind, finding.person, finding.annotation_id) == ("far_from_box", 1, 11)
    assert finding.score == pytest.approx(0.26)


def test_unlabelled_keypoints_and_crowds_may_lie_anywhere(coco18):
    away = {0: (-90, 900, 0)}
    crowd = {"iscrowd": 1, "moved": {0: (-90, 900, 2)}, "bbox": (-5, 0, 900, 0)}
    assert kinds(split_of(coco18, {"moved": away}, crowd)) == []


def test_the_same_keypoints_in_another_photo_are_another_person(coco18):
    assert kinds(split_of(coco18, {}, {})) == []
    split = split_of(coco18, {}, {})
    split.photo_of[1] = 0
    (finding,) = audit_people(split, 0.0)
    assert (finding.kind, finding.text) == ("same_person", "nearly the same keypoints as annotation 10")
