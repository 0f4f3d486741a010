"""Bringing COCO files, published and home-made, to one form."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pafpose.errors import PafposeError

log = logging.getLogger(__name__)

Json = dict[str, Any]

_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BODY = ("nose", *(f"{side}_{part}" for part in _SIDED for side in ("left", "right")))  # COCO's 17
FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
_FOOT_FILES = {23: (*BODY, *FEET), 6: FEET}  # COCO's foot annotations do not name their keypoints


def tidy(content: Json, path: Path) -> Json:
    """Return a dictionary with complete ``images``, ``annotations`` and ``categories``.

    Accepted variations: ``categories`` as a single mapping, ids as digits in quotes, keypoints as rows of
    three, and no ``category_id`` where only one category has keypoints. Missing and repeated annotation ids
    are replaced by new numbers. Raises ``PafposeError`` for what cannot be understood.
    """
    missing = [key for key in ("images", "annotations", "categories") if key not in content]
    if missing:
        raise PafposeError(
            f"{path}: not a COCO annotation file, it lacks {missing}; fetch it again, or name its format: "
            "data.format (docs/formats.md)"
        )
    categories = content["categories"]
    categories = [categories] if isinstance(categories, dict) else categories
    people = [_person(person, path) for person in _mappings(content["annotations"], path, "annotation")]
    categories = [_category(c, people, path) for c in _mappings(categories, path, "category")]
    with_keypoints = [c["id"] for c in categories if c.get("keypoints")]
    if len(with_keypoints) == 1:
        for person in people:
            person.setdefault("category_id", with_keypoints[0])
    return {
        "images": [_photo(photo, path) for photo in _mappings(content["images"], path, "image")],
        "annotations": _with_unique_ids(people, path),
        "categories": categories,
    }


def _mappings(rows: Any, path: Path, kind: str) -> list[Json]:
    if not isinstance(rows, list):
        raise PafposeError(f"{path}: its {kind} list is a {type(rows).__name__}, not a list")
    for n, row in enumerate(rows):
        if not isinstance(row, dict):
            raise PafposeError(f"{path}: {kind} number {n} is a {type(row).__name__}, not a mapping")
    return rows


def _integer(row: Json, key: str, path: Path, kind: str) -> int:
    try:
        return int(row[key])
    except (KeyError, TypeError, ValueError):
        raise PafposeError(
            f"{path}: {kind} {row.get('id', '')!r} has {key}={row.get(key)!r}; a whole number is needed"
        ) from None


def _photo(photo: Json, path: Path) -> Json:
    if not photo.get("file_name"):
        raise PafposeError(f"{path}: image {photo.get('id')!r} has no file_name; name its file")
    return {**photo, "id": _integer(photo, "id", path, "image")}


def _person(person: Json, path: Path) -> Json:
    out = dict(person)
    out["image_id"] = _integer(person, "image_id", path, "annotation")
    keypoints = person.get("keypoints")
    if keypoints and isinstance(keypoints[0], list):
        out["keypoints"] = [number for row in keypoints for number in row]
    if person.get("category_id") is None:
        out.pop("category_id", None)
    box = person.get("bbox")
    if box and len(box) != 4:
        raise PafposeError(f"{path}: annotation {person.get('id')!r}: bbox {box} is not x, y, width, height")
    return out


def _category(category: Json, people: list[Json], path: Path) -> Json:
    """Return a category with an integer id; COCO's foot annotations get the names they lack."""
    out = {**category, "id": _integer(category, "id", path, "category")}
    names = list(category.get("keypoints") or [])
    members = (p for p in people if p.get("category_id", out["id"]) == out["id"] and p.get("keypoints"))
    first = next(members, None)
    if first is not None and names in ([], list(BODY)):
        length = len(first["keypoints"]) // 3
        if length != len(names) and length in _FOOT_FILES:
            out["keypoints"] = list(_FOOT_FILES[length])
            log.info("%s: %d keypoints, named as in COCO's foot annotations", path, length)
    return out


def _with_unique_ids(people: list[Json], path: Path) -> list[Json]:
    """Return people with new ids unless theirs are unique integers: COCO's tools score each id only once."""
    ids = [person.get("id") for person in people]
    if all(isinstance(i, int) for i in ids) and len(set(ids)) == len(ids):
        return people
    if any(i is not None for i in ids):
        log.warning(
            "%s: annotation ids are not unique whole numbers; they are replaced by 1, 2, 3, ...", path
        )
    return [{**person, "id": n} for n, person in enumerate(people, 1)]
