"""Pictures of findings: the photo, the person in it with box and keypoints, or both photos of a pair."""

from __future__ import annotations

import cv2
import numpy as np

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.geometry import compose, transform_keypoints, transform_points, translation
from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.run import Audit
from pafpose.tools.audit.split import Json, Split
from pafpose.viz.draw import draw_people, enlarge

HEIGHT, MAX_WIDTH = 300, 420  # px
BEYOND = (200, 200, 200)  # colour of what lies outside the photo


def draw_finding(audit: Audit, finding: Finding) -> list[np.ndarray]:
    """Return the RGB pictures that show a finding; none when there is nothing to see."""
    if finding.file is None or finding.split not in audit.splits:
        return []
    split = audit.splits[finding.split]
    try:
        if finding.person is not None:
            return [_draw_person(split, finding.person)]
        others = [load_image(finding.other, limits=split.limits)] if finding.other else []
        own = load_image(split.folder / finding.file, exif=False, limits=split.limits)
        return [_fitted(image) for image in (*others, own)]
    except PafposeError:  # a photo that cannot be read
        return []


def _draw_person(split: Split, person: int) -> np.ndarray:
    """Draw a person with box and keypoints, with room for what lies outside the photo."""
    image = _load(split.photos[split.photo_of[person]], split)
    labelled, box = split.labelled[person], split.boxes[person]
    points = np.where(labelled[:, None], np.nan_to_num(split.keypoints[person], posinf=0, neginf=0), 0)
    corners = np.array([box[:2], box[:2] + box[2:]])
    around = [points[labelled, :2], corners[np.isfinite(corners).all(-1)]]
    part, low = _cut_out(image, np.concatenate(around))
    out, enlarged = enlarge(part, _factor(part))
    matrix = compose(enlarged, translation(*-low))
    if np.isfinite(box).all():
        start, stop = transform_points(matrix, corners).round().astype(int).tolist()
        cv2.rectangle(out, start, stop, (255, 255, 255), 1, cv2.LINE_AA)
    return draw_people(out, transform_keypoints(matrix, points)[None], split.skeleton)


def _load(photo: Json, split: Split) -> np.ndarray:
    """Return a photo in the frame of its annotations: turned upright if they say so, or fit only then."""
    path, stated = split.folder / str(photo["file_name"]), (photo.get("height"), photo.get("width"))
    image = load_image(path, exif=bool(photo.get("upright")), limits=split.limits)
    return load_image(path, limits=split.limits) if all(stated) and image.shape[:2] != stated else image


def _cut_out(image: np.ndarray, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a photo around some points, and its top left pixel (x, y).

    The part reaches at most one photo beyond the photo. Without points it is the whole photo.
    """
    size = np.array(image.shape[1::-1])
    if not len(around):
        return image, np.zeros(2, int)
    pad = 0.12 * float(np.ptp(around, axis=0).max()) + 8
    low = np.floor(np.clip(around.min(0) - pad, -size, 2 * size - 8)).astype(int)
    high = np.ceil(np.clip(around.max(0) + pad, low + 8, 2 * size)).astype(int)
    (left, top), (right, bottom) = np.maximum(-low, 0), np.maximum(high - size, 0)
    wide = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=BEYOND)
    rows, columns = slice(low[1] + top, high[1] + top), slice(low[0] + left, high[0] + left)
    return wide[rows, columns], low


def _fitted(image: np.ndarray) -> np.ndarray:
    return enlarge(image, _factor(image))[0]


def _factor(image: np.ndarray) -> float:
    return min(HEIGHT / image.shape[0], MAX_WIDTH / image.shape[1])
