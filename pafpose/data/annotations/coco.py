"""Reading COCO's annotation files into a :class:`PoseIndex`."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations.index import PoseIndex, to_offsets
from pafpose.data.annotations.tidy import tidy
from pafpose.data.image_header import stored_size
from pafpose.data.masks import encode_counts, encode_polygons
from pafpose.errors import PafposeError
from pafpose.geometry import box_from_corner_frame
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]


def load_json(path: Path) -> Json:
    """Return the dictionary in a COCO json; raise ``PafposeError`` when the file holds none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PafposeError(f"{path}: not a readable JSON file ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise PafposeError(
            f"{path}: not a COCO annotation file, it holds a {type(content).__name__}; fetch it again, or "
            "name its format: data.format (docs/formats.md)"
        )
    return content


def build_index(
    content: Json,
    source: Path,
    folder: Path,
    skeleton: Skeleton,
    *,
    box_area: float = 1.0,
    on_error: str = "raise",
) -> PoseIndex:
    """Index annotations in COCO's form; ``source`` is the file that errors name, ``folder`` holds the photos.

    People of every category that names its keypoints are read, and the names are matched to the skeleton's.
    Segmentations may be polygons, compressed or plain RLE, or missing. A person without an area gets
    ``box_area`` times the area of the box. A photo whose size is not stated is opened to find it.

    Raises ``PafposeError``. With ``on_error="skip"``, photos that cannot be opened are left out, and
    keypoints and boxes with coordinates that are not finite count as not given.
    """
    content = tidy(content, source)
    names = _keypoint_names(content, source)
    _report_missing_keypoints(names, skeleton, source)
    photos, sizes = _with_sizes(_photos(content, source), folder, source, on_error)
    rows = {int(photo["id"]): n for n, photo in enumerate(photos)}
    people = _people(content, rows, names, source)
    photo_of = np.array([rows[person["image_id"]] for person in people], np.int64)
    keypoints = _keypoints(people, names, skeleton, source, on_error)
    boxes = _boxes(people, keypoints, sizes[photo_of], source, on_error)
    masks = [_mask(person, sizes[n].tolist(), source) for person, n in zip(people, photo_of, strict=True)]
    return PoseIndex(
        folder=folder,
        files=np.array([str(photo["file_name"]) for photo in photos]),
        ids=np.array([int(photo["id"]) for photo in photos], np.int64),
        sizes=sizes,
        offsets=to_offsets(np.bincount(photo_of, minlength=len(photos))),
        keypoints=keypoints,
        boxes=boxes,
        areas=_areas(people, boxes, box_area),
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
        annotation_ids=np.array([int(person["id"]) for person in people], np.int64),
        mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
        mask_offsets=to_offsets(np.array([len(mask) for mask in masks], np.int64)),
        sizes_stated=all(photo.get("height") and photo.get("width") for photo in photos),
    )


def _keypoint_names(content: Json, path: Path) -> dict[int, list[str]]:
    """Return the keypoint names of every category that has any, by category id."""
    names = {int(c["id"]): list(c["keypoints"]) for c in content["categories"] if c.get("keypoints")}
    if not names:
        raise PafposeError(
            f"{path}: no category lists its keypoints; use COCO's person_keypoints_*.json, or add the names "
            "as categories[].keypoints"
        )
    return names


def _report_missing_keypoints(names: dict[int, list[str]], skeleton: Skeleton, path: Path) -> None:
    """Log which keypoints of the skeleton no category has: the network cannot learn them."""
    found = {k for order in names.values() for k in skeleton.match(order)}
    missing = [skeleton.keypoints[k] for k in skeleton.scored if k not in found]
    if found and missing:
        log.warning(
            "%s: %d of the %d keypoints of skeleton %s are not in it and stay unlabelled: %s",
            path, len(missing), len(skeleton.scored), skeleton.name, ", ".join(missing),
        )  # fmt: skip


def _photos(content: Json, path: Path) -> list[Json]:
    """Return the photos in ascending order of id."""
    photos = sorted(content["images"], key=lambda photo: int(photo["id"]))
    if not photos:
        raise PafposeError(f"{path}: lists no images, so there is nothing to train or validate on")
    for one, other in itertools.pairwise(photos):
        if one["id"] == other["id"]:
            raise PafposeError(f"{path}: image id {one['id']} occurs twice; ids must be unique")
    return photos


def _with_sizes(photos: list[Json], folder: Path, path: Path, on_error: str) -> tuple[list[Json], np.ndarray]:
    """Return the photos and their (N, 2) height and width; ``on_error="skip"`` leaves out unreadable ones."""
    kept, sizes = [], []
    for photo in photos:
        try:
            sizes.append(_size(photo, folder))
            kept.append(photo)
        except PafposeError as error:
            if on_error == "raise":
                raise
            log.warning("left out: %s", error)
    if not kept:
        raise PafposeError(f"{path}: none of its {len(photos)} photos in {folder} can be read")
    return kept, np.array(sizes, np.int64).reshape(-1, 2)


def _size(photo: Json, folder: Path) -> tuple[int, int]:
    if photo.get("height") and photo.get("width"):
        return int(photo["height"]), int(photo["width"])
    return stored_size(folder / str(photo["file_name"]))


def _people(content: Json, rows: dict[int, int], names: dict[int, list[str]], path: Path) -> list[Json]:
    """Return annotations of listed photos and of categories with keypoints, in the order of the photos."""
    known = {int(photo["id"]) for photo in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    no_photo = sum(a["image_id"] not in known for a in content["annotations"])
    no_category = sum(a.get("category_id") not in categories for a in content["annotations"])
    if no_photo:
        log.warning("%s: left out %d annotations of images that it does not list", path, no_photo)
    if no_category:
        log.warning("%s: left out %d annotations of categories that it does not list", path, no_category)
    people = [a for a in content["annotations"] if a["image_id"] in rows and a.get("category_id") in names]
    return sorted(people, key=lambda person: rows[person["image_id"]])


def _keypoints(
    people: list[Json], names: dict[int, list[str]], skeleton: Skeleton, path: Path, on_error: str
) -> np.ndarray:
    """Return (M, K, 3) keypoints in the skeleton's order."""
    out = np.zeros((len(people), skeleton.num_keypoints, 3), np.float32)
    for category, order in names.items():
        members = [m for m, person in enumerate(people) if person["category_id"] == category]
        blank = [0.0] * (3 * len(order))
        rows = [people[m].get("keypoints") or blank for m in members]
        for m, row in zip(members, rows, strict=True):
            if len(row) != len(blank):
                raise PafposeError(
                    f"{path}: annotation {people[m].get('id')}: {len(row)} numbers in keypoints, but its "
                    f"category names {len(order)} keypoints (3 numbers each)"
                )
        values = np.array(rows, np.float32).reshape(len(rows), len(order), 3)
        wrong = ~np.isfinite(values).all(-1) & (values[..., 2] != 0)
        for row, k in np.argwhere(wrong)[:1].tolist():
            what = f"keypoint {order[k]} is {values[row, k].tolist()}"
            _not_finite(people[members[row]], what, int(wrong.sum()), path, on_error)
        out[members] = skeleton.from_dataset(_clean(values), order)
    return out


def _clean(keypoints: np.ndarray) -> np.ndarray:
    """Set points that are unlabelled or not finite to 0, 0, 0, and v to 0, 1 or 2."""
    labelled = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    out = np.where(labelled[..., None], keypoints, np.float32(0))
    out[..., 2] = np.clip(np.ceil(out[..., 2]), 0, 2)
    return out


def _not_finite(person: Json, what: str, count: int, path: Path, on_error: str) -> None:
    """Raise for the first of ``count`` values that are not finite; log it with ``on_error="skip"``."""
    message = f"{path}: annotation {person.get('id')} of image {person['image_id']}: {what}"
    if on_error == "raise":
        raise PafposeError(
            f"{message}; coordinates must be finite. scripts/check_data.py lists all such values; "
            "data.on_error=skip treats them as not given"
        )
    log.warning("%s; %d such values count as not given (data.on_error=skip)", message, count)


def _boxes(
    people: list[Json], keypoints: np.ndarray, sizes: np.ndarray, path: Path, on_error: str
) -> np.ndarray:
    """Return the boxes (M, 4) of the file in our frame; those of the labelled keypoints replace missing ones.

    ``sizes`` (M, 2) are the height and width of each person's photo.
    """
    boxes = np.array([person.get("bbox") or [0, 0, 0, 0] for person in people], float).reshape(-1, 4)
    wrong = ~np.isfinite(boxes).all(-1)
    for m in np.flatnonzero(wrong)[:1].tolist():
        _not_finite(people[m], f"bbox is {boxes[m].tolist()}", int(wrong.sum()), path, on_error)
    boxes[wrong] = 0
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    # still in the file's frame, in which a photo reaches from 0 to its size
    labelled, sides = (keypoints[..., 2] > 0).any(-1), boxes[:, 2:]
    beyond = (boxes[:, :2] + sides <= 0).any(-1) | (boxes[:, :2] >= sizes[:, ::-1]).any(-1)
    replaced = labelled & (sides > 0).any(-1) & beyond
    if replaced.any():
        log.warning(
            "%s: %d boxes lie outside their photos (the first is that of annotation %s); the boxes of the "
            "keypoints replace them", path, replaced.sum(), people[int(replaced.argmax())].get("id"),
        )  # fmt: skip
    missing = (sides <= 0).all(-1) | beyond
    boxes = box_from_corner_frame(boxes)
    for m in np.flatnonzero(labelled & missing):
        xy = keypoints[m, keypoints[m, :, 2] > 0, :2]
        boxes[m] = *xy.min(0), *np.ptp(xy, axis=0)
    return boxes


def _areas(people: list[Json], boxes: np.ndarray, box_area: float) -> np.ndarray:
    """Return the areas (M,) of the file; without one, a share of the box."""
    given = np.array([person.get("area", np.nan) for person in people], float)
    return np.where(np.isfinite(given), given, box_area * boxes[:, 2] * boxes[:, 3])


def _mask(person: Json, size: Sequence[int], path: Path) -> bytes:
    """Return a person's mask in a photo of (height, width) as compressed run lengths; empty without any."""
    height, width = size
    segmentation = person.get("segmentation") or []
    if not isinstance(segmentation, dict):
        polygons = [np.asarray(polygon, float) for polygon in segmentation if len(polygon) >= 6]
        return encode_polygons(polygons, (height, width)) if polygons else b""
    if list(segmentation.get("size", size)) != [height, width]:
        raise PafposeError(
            f"{path}: annotation {person.get('id')}: its RLE mask is {segmentation['size']} (height, width), "
            f"the photo {[height, width]}"
        )
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return encode_counts(counts, (height, width))
    return counts.encode() if isinstance(counts, str) else bytes(counts)
