"""COCO's annotation files: read into a :class:`PoseIndex`, and written back as ground truth for AP."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data import images as pictures
from pafpose.data.index import PoseIndex, Ragged, count_labelled
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]

EXPECTED = """expected (COCO's own layout):
  {root}/
    train2017/                                  photos
    val2017/                                    photos
    annotations/person_keypoints_train2017.json
    annotations/person_keypoints_val2017.json
Point data.root at such a folder. Without any download: python scripts/train.py"""


def read_coco(
    annotations: Path, folder: Path, skeleton: Skeleton, *, limit: int | None = None, root: Path | None = None
) -> PoseIndex:
    """Read one split; ``limit`` keeps the first photos by id, ``root`` is named in complaints.

    Categories with keypoint names are read, each matched to the skeleton by those names. Segmentations may
    be polygons, compressed or uncompressed RLE, or missing (the box stands in). Raises ``PafposeError``.
    """
    _require(annotations, folder, root or folder.parent)
    content = _load(annotations)
    names = _keypoint_names(content, annotations)
    photos = _photos(content, annotations)[:limit]
    rows = {int(photo["id"]): n for n, photo in enumerate(photos)}
    people = _people(content, rows, names, annotations)
    sizes = np.array([_size(photo, folder) for photo in photos], np.int64).reshape(-1, 2)
    counts = np.bincount([rows[person["image_id"]] for person in people], minlength=len(photos))
    keypoints = _keypoints(people, names, skeleton, annotations)
    boxes = _boxes(people, keypoints)
    polygons, polygon_first, rle = _segmentations(people, rows, sizes, annotations)
    return PoseIndex(
        folder=folder,
        files=np.array([str(photo["file_name"]) for photo in photos]),
        ids=np.array([int(photo["id"]) for photo in photos], np.int64),
        sizes=sizes,
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        keypoints=keypoints,
        boxes=boxes,
        areas=_areas(people, boxes),
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
        annotation_ids=np.array([int(person.get("id", n + 1)) for n, person in enumerate(people)], np.int64),
        polygons=polygons,
        polygon_first=polygon_first,
        rle=rle,
        sizes_stated=all(photo.get("height") and photo.get("width") for photo in photos),
    )


def ground_truth(index: PoseIndex, skeleton: Skeleton) -> Json:
    """The photos and people of an index as a COCO dictionary: the skeleton's scored keypoints, one category.

    ``num_keypoints`` counts the labelled ones; crowds are kept with their RLE.
    """
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    place = {k: n for n, k in enumerate(skeleton.scored)}
    limbs = [[place[a] + 1, place[b] + 1] for a, b in skeleton.limbs if a in place and b in place]
    photo_of, labelled = index.photo_of(), count_labelled(index, skeleton.scored)
    annotations: list[Json] = []
    for m in range(len(index.keypoints)):
        photo = int(photo_of[m])
        annotation = {
            "id": int(index.annotation_ids[m]),
            "image_id": int(index.ids[photo]),
            "category_id": 1,
            "keypoints": index.keypoints[m, list(skeleton.scored)].astype(float).ravel().tolist(),
            "num_keypoints": int(labelled[m]),
            "bbox": index.boxes[m].tolist(),
            "area": float(index.areas[m]),
            "iscrowd": int(index.crowd[m]),
        }
        if index.crowd[m] and len(index.rle[m]):
            annotation["segmentation"] = {
                "size": list(index.size(photo)),
                "counts": index.rle[m].tobytes().decode(),
            }
        annotations.append(annotation)
    return {
        "info": {},
        "images": [
            {"id": int(index.ids[n]), "file_name": str(index.files[n]), "height": h, "width": w}
            for n, (h, w) in enumerate(index.sizes.tolist())
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": limbs}],
    }


def _require(annotations: Path, folder: Path, root: Path) -> None:
    for path, found, kind in (
        (annotations, annotations.is_file(), "annotation file"),
        (folder, folder.is_dir(), "folder of photos"),
    ):
        if not found:
            raise PafposeError(
                f"{kind} not found: looked for {path.absolute()}\n{EXPECTED.format(root=root.absolute())}"
            )


def _load(path: Path) -> Json:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PafposeError(f"{path}: not a readable JSON file ({error}); fetch it again") from error
    keys = content if isinstance(content, dict) else {}
    missing = [key for key in ("images", "annotations", "categories") if key not in keys]
    if missing:
        raise PafposeError(f"{path}: not a COCO annotation file, it lacks {missing}")
    return content


def _keypoint_names(content: Json, path: Path) -> dict[int, list[str]]:
    names = {int(c["id"]): list(c["keypoints"]) for c in content["categories"] if c.get("keypoints")}
    if not names:
        raise PafposeError(
            f"{path}: no category lists its keypoints; use COCO's person_keypoints_*.json, or add the names "
            "as categories[].keypoints"
        )
    return names


def _photos(content: Json, path: Path) -> list[Json]:
    photos = sorted(content["images"], key=lambda photo: int(photo["id"]))
    if not photos:
        raise PafposeError(f"{path}: lists no images; there is nothing to train or validate on")
    for one, other in itertools.pairwise(photos):
        if one["id"] == other["id"]:
            raise PafposeError(f"{path}: image id {one['id']} stands twice; ids must be unique")
    return photos


def _people(content: Json, rows: dict[int, int], names: dict[int, list[str]], path: Path) -> list[Json]:
    known = {int(photo["id"]) for photo in content["images"]}
    lost = sum(a["image_id"] not in known for a in content["annotations"])
    if lost:
        log.warning("%s: %d annotations belong to images it does not list; left out", path, lost)
    people = [a for a in content["annotations"] if a["image_id"] in rows and a.get("category_id") in names]
    return sorted(people, key=lambda person: rows[person["image_id"]])


def _size(photo: Json, folder: Path) -> tuple[int, int]:
    if photo.get("height") and photo.get("width"):
        return int(photo["height"]), int(photo["width"])
    return pictures.stored_size(folder / str(photo["file_name"]))


def _keypoints(people: list[Json], names: dict[int, list[str]], skeleton: Skeleton, path: Path) -> np.ndarray:
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
        out[members] = skeleton.from_dataset(_clean(values), order)
    return out


def _clean(keypoints: np.ndarray) -> np.ndarray:
    """Unlabelled or non-finite points become 0, 0, 0; v is 0, 1 or 2."""
    labelled = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    out = np.where(labelled[..., None], keypoints, np.float32(0))
    out[..., 2] = np.clip(np.ceil(out[..., 2]), 0, 2)
    return out


def _boxes(people: list[Json], keypoints: np.ndarray) -> np.ndarray:
    """Boxes of the file; a person without one gets that of the labelled keypoints."""
    boxes = np.array([person.get("bbox") or [0, 0, 0, 0] for person in people], float).reshape(-1, 4)
    boxes = np.nan_to_num(boxes, posinf=0, neginf=0)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    for m in np.flatnonzero((boxes[:, 2:] <= 0).all(-1) & (keypoints[..., 2] > 0).any(-1)):
        xy = keypoints[m, keypoints[m, :, 2] > 0, :2]
        boxes[m] = *xy.min(0), *np.ptp(xy, axis=0)
    return boxes


def _areas(people: list[Json], boxes: np.ndarray) -> np.ndarray:
    given = np.array([person.get("area", np.nan) for person in people], float)
    return np.where(np.isfinite(given), given, boxes[:, 2] * boxes[:, 3])


def _segmentations(
    people: list[Json], rows: dict[int, int], sizes: np.ndarray, path: Path
) -> tuple[Ragged, np.ndarray, Ragged]:
    polygons: list[np.ndarray] = []
    counts = np.zeros(len(people) + 1, np.int64)
    rle: list[np.ndarray] = []
    for m, person in enumerate(people):
        shape = person.get("segmentation") or []
        own = [] if isinstance(shape, dict) else [np.asarray(p, float) for p in shape if len(p) >= 6]
        polygons += own
        counts[m + 1] = len(own)
        size = sizes[rows[person["image_id"]]]
        rle.append(
            _run_lengths(shape, size, person, path) if isinstance(shape, dict) else np.zeros(0, np.uint8)
        )
    return Ragged.of(polygons, np.float64), np.cumsum(counts), Ragged.of(rle, np.uint8)


def _run_lengths(shape: Json, size: np.ndarray, person: Json, path: Path) -> np.ndarray:
    """Compressed counts as bytes."""
    from pycocotools import mask

    height, width = (int(side) for side in size)
    if list(shape.get("size", (height, width))) != [height, width]:
        raise PafposeError(
            f"{path}: annotation {person.get('id')}: its RLE mask is {shape['size']} (height, width), "
            f"the photo {[height, width]}"
        )
    counts = shape["counts"]
    if isinstance(counts, list):
        counts = mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    return np.frombuffer(counts.encode() if isinstance(counts, str) else counts, np.uint8)
