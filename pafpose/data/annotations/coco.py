"""COCO's annotation files: read into a :class:`PoseIndex`, and written back as ground truth for AP."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations.index import PoseIndex, Ragged, count_labelled
from pafpose.data.annotations.tidy import tidy
from pafpose.data.photos import images as pictures
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]


def index_content(
    content: Json,
    source: Path,
    folder: Path,
    skeleton: Skeleton,
    *,
    limit: int | None = None,
    box_area: float = 1.0,
    on_error: str = "raise",
) -> PoseIndex:
    """Annotations in COCO's form as an index; ``source`` is named in complaints.

    Categories with keypoint names are read, each matched to the skeleton by those names. Segmentations may
    be polygons, compressed or uncompressed RLE, or missing (the box stands in). The area of a person
    without one is ``box_area`` of the box. Photos whose size is not stated are opened. Raises
    ``PafposeError``; with ``on_error="skip"`` photos that cannot be opened are left out, and coordinates that
    are no numbers count as not given.
    """
    content = tidy(content, source)
    names = _keypoint_names(content, source)
    _tell_missing(names, skeleton, source)
    photos, sizes = _with_sizes(_photos(content, source)[:limit], folder, source, on_error)
    rows = {int(photo["id"]): n for n, photo in enumerate(photos)}
    people = _people(content, rows, names, source)
    counts = np.bincount([rows[person["image_id"]] for person in people], minlength=len(photos))
    keypoints = _keypoints(people, names, skeleton, source, on_error)
    boxes = _boxes(people, keypoints, sizes.repeat(counts, 0), source, on_error)
    polygons, polygon_first, rle = _segmentations(people, rows, sizes, source)
    return PoseIndex(
        folder=folder,
        files=np.array([str(photo["file_name"]) for photo in photos]),
        ids=np.array([int(photo["id"]) for photo in photos], np.int64),
        sizes=sizes,
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        keypoints=keypoints,
        boxes=boxes,
        areas=_areas(people, boxes, box_area),
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
        annotation_ids=np.array([int(person["id"]) for person in people], np.int64),
        polygons=polygons,
        polygon_first=polygon_first,
        rle=rle,
        sizes_stated=all(photo.get("height") and photo.get("width") for photo in photos),
    )


def layout(
    root: Path,
    splits: Sequence[tuple[str, str]] = (
        ("train2017", "annotations/person_keypoints_train2017.json"),
        ("val2017", "annotations/person_keypoints_val2017.json"),
    ),
) -> str:
    """The tree that ``data.root`` should hold, for complaints; ``splits``: photos and annotations of each."""
    kind = "COCO's own layout" if splits[0][0] == "train2017" else "data.train_images and so on"
    lines = [f"    {photos + '/':<43} photos" for photos in dict.fromkeys(photos for photos, _ in splits)]
    lines += [f"    {annotations}" for annotations in dict.fromkeys(file for _, file in splits)]
    return (
        f"expected ({kind}):\n  {root}/\n"
        + "\n".join(lines)
        + "\nPoint data.root at such a folder. Without any "
        "download: python scripts/train.py"
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


def require(annotations: Path, folder: Path, expected: str) -> None:
    """Raise, telling the ``expected`` tree, when annotations or photos are not there."""
    for path, found, kind in (
        (annotations, annotations.exists(), "annotation file"),
        (folder, folder.is_dir() or (folder.suffix == ".txt" and folder.is_file()), "folder of photos"),
    ):
        if not found:
            raise PafposeError(f"{kind} not found: looked for {path.absolute()}\n{expected}")


def load_json(path: Path) -> Json:
    """The dictionary of a COCO json; raises ``PafposeError`` when the file is none."""
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


def _keypoint_names(content: Json, path: Path) -> dict[int, list[str]]:
    names = {int(c["id"]): list(c["keypoints"]) for c in content["categories"] if c.get("keypoints")}
    if not names:
        raise PafposeError(
            f"{path}: no category lists its keypoints; use COCO's person_keypoints_*.json, or add the names "
            "as categories[].keypoints"
        )
    return names


def _tell_missing(names: dict[int, list[str]], skeleton: Skeleton, path: Path) -> None:
    """Keypoints that no category has cannot be learnt; say so once, at reading."""
    there = {k for order in names.values() for k in skeleton.match(order)}
    missing = [skeleton.keypoints[k] for k in skeleton.scored if k not in there]
    if there and missing:
        log.warning(
            "%s: %d of the %d keypoints of skeleton %s are not in it and stay unlabelled: %s",
            path, len(missing), len(skeleton.scored), skeleton.name, ", ".join(missing),
        )  # fmt: skip


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
    categories = {category["id"] for category in content["categories"]}
    lost = sum(a["image_id"] not in known for a in content["annotations"])
    strange = sum(a.get("category_id") not in categories for a in content["annotations"])
    if lost:
        log.warning("%s: %d annotations belong to images it does not list; left out", path, lost)
    if strange:
        log.warning("%s: %d annotations are of a category that it does not list; left out", path, strange)
    people = [a for a in content["annotations"] if a["image_id"] in rows and a.get("category_id") in names]
    return sorted(people, key=lambda person: rows[person["image_id"]])


def _with_sizes(photos: list[Json], folder: Path, path: Path, on_error: str) -> tuple[list[Json], np.ndarray]:
    """The photos and their (N, 2) height and width; those that must be opened and cannot be are skipped."""
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
    return pictures.stored_size(folder / str(photo["file_name"]))


def _keypoints(
    people: list[Json], names: dict[int, list[str]], skeleton: Skeleton, path: Path, on_error: str
) -> np.ndarray:
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
            _no_numbers(people[members[row]], what, int(wrong.sum()), path, on_error)
        out[members] = skeleton.from_dataset(_clean(values), order)
    return out


def _clean(keypoints: np.ndarray) -> np.ndarray:
    """Unlabelled or non-finite points become 0, 0, 0; v is 0, 1 or 2."""
    labelled = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    out = np.where(labelled[..., None], keypoints, np.float32(0))
    out[..., 2] = np.clip(np.ceil(out[..., 2]), 0, 2)
    return out


def _no_numbers(person: Json, what: str, count: int, path: Path, on_error: str) -> None:
    """Of the first of ``count`` places where a file has NaN or infinity: stop, or say so and go on."""
    message = f"{path}: annotation {person.get('id')} of image {person['image_id']}: {what}"
    if on_error == "raise":
        raise PafposeError(
            f"{message}; numbers are needed. scripts/check_data.py lists all such places; with "
            "data.on_error=skip they count as not given"
        )
    log.warning("%s; such places (%d) count as not given (data.on_error=skip)", message, count)


def _boxes(
    people: list[Json], keypoints: np.ndarray, sizes: np.ndarray, path: Path, on_error: str
) -> np.ndarray:
    """Boxes of the file; a person without one in the photo gets that of the labelled keypoints.

    ``sizes`` (M, 2) are height and width of each person's photo.
    """
    boxes = np.array([person.get("bbox") or [0, 0, 0, 0] for person in people], float).reshape(-1, 4)
    wrong = ~np.isfinite(boxes).all(-1)
    for m in np.flatnonzero(wrong)[:1].tolist():
        _no_numbers(people[m], f"bbox is {boxes[m].tolist()}", int(wrong.sum()), path, on_error)
    boxes[wrong] = 0
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    labelled, sides = (keypoints[..., 2] > 0).any(-1), boxes[:, 2:]
    beyond = (boxes[:, :2] + sides <= 0).any(-1) | (boxes[:, :2] >= sizes[:, ::-1]).any(-1)
    lost = labelled & (sides > 0).any(-1) & beyond
    if lost.any():
        log.warning(
            "%s: boxes beyond their photos (%d, the first is that of annotation %s) give way to those of the "
            "keypoints", path, lost.sum(), people[int(lost.argmax())].get("id"),
        )  # fmt: skip
    for m in np.flatnonzero(labelled & ((sides <= 0).all(-1) | beyond)):
        xy = keypoints[m, keypoints[m, :, 2] > 0, :2]
        boxes[m] = *xy.min(0), *np.ptp(xy, axis=0)
    return boxes


def _areas(people: list[Json], boxes: np.ndarray, box_area: float) -> np.ndarray:
    given = np.array([person.get("area", np.nan) for person in people], float)
    return np.where(np.isfinite(given), given, box_area * boxes[:, 2] * boxes[:, 3])


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
