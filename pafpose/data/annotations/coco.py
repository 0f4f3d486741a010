"""Reading COCO's annotation files into a :class:`PoseIndex`."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pafpose.data.annotations.boxes import read_areas, read_boxes
from pafpose.data.annotations.faults import Faults, Note
from pafpose.data.annotations.index import PoseIndex, to_offsets
from pafpose.data.annotations.paths import local_name
from pafpose.data.annotations.segmentation import encode_segmentation
from pafpose.data.annotations.tidy import tidy
from pafpose.data.annotations.turned import find_turned
from pafpose.data.photo_file import DEFAULT_LIMITS, PhotoLimits, read_header
from pafpose.errors import PafposeError, shown
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]


def load_json(path: Path) -> Json:
    """Return the dictionary in a COCO json; raise ``PafposeError`` when the file holds none."""
    if path.exists() and not path.is_file():
        raise PafposeError(f"{path}: not a regular file; give the json file of the annotations")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else error
        raise PafposeError(f"{path}: not a readable JSON file ({reason}); fetch it again") from error
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
    faults: Faults | None = None,
    limits: PhotoLimits = DEFAULT_LIMITS,
) -> PoseIndex:
    """Index annotations in COCO's form; ``source`` is the file that errors name, ``folder`` holds the photos.

    People of every category whose keypoints fit the skeleton by their names are read. Segmentations may be
    polygons, compressed or plain RLE, or missing. A person without an area, or with an impossible one, gets
    ``box_area`` times the area of the box. A photo whose size is not stated is opened to find it.

    Raises ``PafposeError``, also for values of single people unless ``faults`` collects those. Collecting,
    photos that cannot be opened are left out too. Warnings become ``notes`` of the index.
    """
    faults = Faults(source) if faults is None else faults
    notes: list[Note] = []
    content = tidy(content, source, faults)
    for photo in content["images"]:
        photo["file_name"] = local_name(photo["file_name"], folder, limits)
    names = _keypoint_names(content, skeleton, source, notes)
    photos, sizes = _with_sizes(_photos(content, source), folder, faults, limits, notes)
    rows = {photo["id"]: n for n, photo in enumerate(photos)}
    people = _people(content, rows, names, notes)
    photo_of = np.array([rows[person["image_id"]] for person in people], np.int64)
    keypoints = _keypoints(people, names, skeleton)
    upright = np.array([photo.get("upright") is True for photo in photos], bool)
    files = [photo["file_name"] for photo in photos]
    if not upright.all():
        turned = find_turned(files, sizes, keypoints, photo_of, folder=folder, limits=limits, notes=notes)
        sizes[turned], upright = sizes[turned, ::-1], upright | turned
    boxes = read_boxes(people, keypoints, sizes[photo_of], notes)
    masks = [_mask(person, sizes[n].tolist(), faults) for person, n in zip(people, photo_of, strict=True)]
    areas = read_areas(people, boxes, np.any(keypoints[..., 2] > 0, axis=-1), box_area, notes)
    notes += faults.notes()
    for note in notes:
        log.warning("%s: %s", source, note.text)
    return PoseIndex(
        folder=folder,
        files=np.array(files),
        ids=np.array([photo["id"] for photo in photos], np.int64),
        sizes=sizes,
        upright=upright,
        groups=_groups(photos),
        offsets=to_offsets(np.bincount(photo_of, minlength=len(photos))),
        keypoints=keypoints,
        boxes=boxes,
        areas=areas,
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
        annotation_ids=np.array([person["id"] for person in people], np.int64),
        mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
        mask_offsets=to_offsets(np.array([len(mask) for mask in masks], np.int64)),
        notes=np.array([tuple(note) for note in notes], str).reshape(-1, 2),
        sizes_stated=all(photo.get("height") and photo.get("width") for photo in photos),
        limits=limits,
    )


def _keypoint_names(content: Json, skeleton: Skeleton, path: Path, notes: list[Note]) -> dict[int, list[str]]:
    """Return the keypoint names of every category that fits the skeleton, by category id."""
    given = {c["id"]: c["keypoints"] for c in content["categories"] if c["keypoints"]}
    if not given:
        raise PafposeError(
            f"{path}: no category lists its keypoints; use COCO's person_keypoints_*.json, or add the names "
            "as categories[].keypoints"
        )
    names = {category: order for category, order in given.items() if skeleton.fits(order)}
    if not names:
        raise PafposeError(f"{path}: {skeleton.misfit(next(iter(given.values())))}")
    for category in content["categories"]:
        if category["keypoints"] and category["id"] not in names:
            count = sum(a.get("category_id") == category["id"] for a in content["annotations"])
            kind = shown(category.get("name", category["id"]))
            text = f"left out {count} annotations of category {kind}, whose keypoints are not the skeleton's"
            notes.append(Note("other_category", text))
    found = {k for order in names.values() for k in skeleton.match(order)}
    missing = [skeleton.keypoints[k] for k in skeleton.scored if k not in found]
    if missing:
        notes.append(
            Note(
                "never_labelled",
                f"{len(missing)} of the {len(skeleton.scored)} keypoints of skeleton {skeleton.name} are not "
                f"in it and stay unlabelled: {', '.join(missing)}",
            )
        )
    return names


def _photos(content: Json, path: Path) -> list[Json]:
    """Return the photos in ascending order of id."""
    photos = sorted(content["images"], key=lambda photo: photo["id"])
    if not photos:
        raise PafposeError(f"{path}: lists no images, so there is nothing to train or validate on")
    for one, other in itertools.pairwise(photos):
        if one["id"] == other["id"]:
            raise PafposeError(f"{path}: image id {one['id']} occurs twice; ids must be unique")
    return photos


def _with_sizes(
    photos: list[Json], folder: Path, faults: Faults, limits: PhotoLimits, notes: list[Note]
) -> tuple[list[Json], np.ndarray]:
    """Return the photos and their (N, 2) height and width; collecting faults leaves out unreadable ones."""
    kept, sizes = [], []
    for photo in photos:
        try:
            sizes.append(_size(photo, folder, faults.source, limits))
            kept.append(photo)
        except PafposeError as error:
            if faults.on_error == "raise":
                raise
            notes.append(Note("unreadable_file", f"left out: {error}"))
    if not kept:
        raise PafposeError(f"{faults.source}: none of its {len(photos)} photos in {folder} can be read")
    return kept, np.array(sizes, np.int64).reshape(-1, 2)


def _size(photo: Json, folder: Path, source: Path, limits: PhotoLimits) -> tuple[int, int]:
    if not (photo.get("height") and photo.get("width")):
        return read_header(folder / photo["file_name"], limits).size
    height, width = photo["height"], photo["width"]
    if height * width > limits.max_pixels:
        raise PafposeError(
            f"{source}: image {photo['id']} states {width} x {height} pixels, more than "
            f"data.max_pixels={limits.max_pixels}; correct its size, or raise data.max_pixels"
        )
    return height, width


def _groups(photos: Sequence[Json]) -> np.ndarray:
    """Return (N,) a number for each video or folder: photos that may be nearly alike share one.

    Photos are grouped by ``video_id``; without it by folder and by the name before the number of the frame.
    """
    keys = []
    for photo in photos:
        name = PurePosixPath(photo["file_name"])
        video = photo.get("video_id")
        stem = re.sub(r"[\W_]*(frame|img)?[\W_]*\d*$", "", name.stem.lower())
        keys.append(f"video {shown(video)}" if video is not None else f"{name.parent}/{stem}")
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _people(
    content: Json, rows: Mapping[int, int], names: Mapping[int, Sequence[str]], notes: list[Note]
) -> list[Json]:
    """Return annotations of listed photos and of categories with keypoints, in the order of the photos."""
    known = {photo["id"] for photo in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    lost = [a["image_id"] for a in content["annotations"] if a["image_id"] not in known]
    if lost:
        text = f"left out {len(lost)} annotations of images that it does not list (the first: {lost[0]})"
        notes.append(Note("unknown_image", text))
    odd = [a.get("category_id") for a in content["annotations"] if a.get("category_id") not in categories]
    if odd:
        text = (
            f"left out {len(odd)} annotations of categories that it does not list (the first: {odd[0]}; "
            f"listed: {', '.join(map(str, sorted(categories)))})"
        )
        notes.append(Note("unknown_category", text))
    people = [a for a in content["annotations"] if a["image_id"] in rows and a.get("category_id") in names]
    return sorted(people, key=lambda person: rows[person["image_id"]])


def _keypoints(people: list[Json], names: Mapping[int, list[str]], skeleton: Skeleton) -> np.ndarray:
    """Return (M, K, 3) keypoints in the skeleton's order: v is 0, 1 or 2, and 0, 0, 0 means unlabelled."""
    out = np.zeros((len(people), skeleton.num_keypoints, 3), np.float32)
    for category, order in names.items():
        members = [m for m, person in enumerate(people) if person["category_id"] == category]
        blank = [0.0] * (3 * len(order))
        rows = [people[m].get("keypoints") or blank for m in members]
        values = np.array(rows, np.float32).reshape(len(rows), len(order), 3)
        values = np.where(values[..., 2:] > 0, values, np.float32(0))
        values[..., 2] = np.clip(np.ceil(values[..., 2]), 0, 2)
        out[members] = skeleton.from_dataset(values, order)
    return out


def _mask(person: Json, size: Sequence[int], faults: Faults) -> bytes:
    """Return a person's mask in a photo of (height, width) as compressed run lengths; empty without any."""
    try:
        return encode_segmentation(person.get("segmentation"), (size[0], size[1]))
    except ValueError as error:
        faults.report("bad_mask", person, str(error))
        return b""
