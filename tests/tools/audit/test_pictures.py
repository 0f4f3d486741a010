"""Pictures of findings show the right place: a white spot in the photo lies under the drawn keypoint."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pafpose.skeleton import Skeleton
from pafpose.tools.audit import pictures
from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.pictures import draw_finding
from pafpose.tools.audit.run import Audit
from pafpose.tools.audit.split import Split

SIZE = (300, 400)  # height, width


def audit_of(folder: Path, skeleton: Skeleton, nose: tuple[float, float], box: tuple[float, ...]) -> Audit:
    """An audit of one photo with one person, who has a nose and a box."""
    keypoints = np.zeros((1, 18, 3))
    keypoints[0, 0] = (*nose, 2)
    split = Split(
        name="train",
        folder=folder,
        skeleton=skeleton,
        photos=[{"id": 1, "file_name": "1.png", "height": SIZE[0], "width": SIZE[1]}],
        people=[{"id": 1}],
        photo_of=np.zeros(1, int),
        keypoints=keypoints,
        boxes=np.array([box]),
        crowd=np.zeros(1, bool),
    )
    return Audit("set", skeleton, (), splits={"train": split})


def draw(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """The picture without its people, and the place of the nose in it."""
    seen: list[np.ndarray] = []
    monkeypatch.setattr(pictures, "draw_people", lambda image, people, _: seen.append(people) or image)
    (picture,) = draw_finding(audit, Finding("swapped_sides", "train", "", file="1.png", person=0))
    return picture, seen[0][0, 0, :2]


@pytest.mark.parametrize("nose", [(200, 150), (6, 9), (391, 293)])
@pytest.mark.parametrize("side", [40, 500])
def test_the_keypoint_lies_on_its_spot(coco18, tmp_path, monkeypatch, nose, side):
    """Small people are enlarged and large ones shrunk; near the border there is room beyond the photo."""
    photo = np.zeros((*SIZE, 3), np.uint8)
    cv2.circle(photo, nose, 3, (255, 255, 255), -1)
    Image.fromarray(photo).save(tmp_path / "1.png")
    box = (nose[0] - side / 2, nose[1] - side / 2, side, side)
    monkeypatch.setattr(cv2, "rectangle", lambda *_: None)
    picture, place = draw(audit_of(tmp_path, coco18, nose, box), monkeypatch)
    spot = (picture > 245).all(-1)
    np.testing.assert_allclose(place, np.argwhere(spot)[:, ::-1].mean(0), atol=0.6)


def test_annotations_of_a_turned_photo_are_drawn_in_their_frame(coco18, tmp_path, monkeypatch):
    """The file holds the photo lying on its side, and its EXIF tag says so."""
    upright = np.zeros((*SIZE, 3), np.uint8)
    cv2.circle(upright, (90, 40), 5, (255, 255, 255), -1)
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "1.png", exif=tags)
    monkeypatch.setattr(cv2, "rectangle", lambda *_: None)
    picture, place = draw(audit_of(tmp_path, coco18, (90, 40), (50, 10, 80, 80)), monkeypatch)
    spot = (picture > 245).all(-1)
    np.testing.assert_allclose(place, np.argwhere(spot)[:, ::-1].mean(0), atol=0.6)
