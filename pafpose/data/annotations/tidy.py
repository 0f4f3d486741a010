"""Bringing COCO files, published and home-made, to one form."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pafpose.data.annotations.faults import MAX_PX, Faults
from pafpose.errors import PafposeError, shown

log = logging.getLogger(__name__)

Json = dict[str, Any]

_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BODY = ("nose", *(f"{side}_{part}" for part in _SIDED for side in ("left", "right")))  # COCO's 17
FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
_FOOT_FILES = {23: (*BODY, *FEET), 6: FEET}  # COCO's foot annotations do not name their keypoints
_MAX_NAME = 1000  # characters of a file name
_BOX_KEYS = (("x", "y", "w", "h"), ("x", "y", "width", "height"))
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "": False, "none": False, "null": False}


def tidy(content: Json, path: Path, faults: Faults | None = None) -> Json:
    """Return a dictionary with complete ``images``, ``annotations`` and ``categories``.

    Accepted variations: ``categories`` as a single mapping, numbers in quotes, keypoints as rows of three or
    by name, boxes by name, and no ``category_id`` where only one category has keypoints. Missing and
    repeated annotation ids are replaced by new numbers. What comes back holds plain numbers: keypoints as one
    list, ``bbox`` and ``area`` only if they are given and finite.

    Raises ``PafposeError`` for what cannot be understood; values of single people go to ``faults`` instead.
    """
    faults = Faults(path) if faults is None else faults
    missing_keys(content, path)
    categories = content["categories"]
    categories = [categories] if isinstance(categories, dict) else categories
    people = [_person(person, path) for person in mappings(content["annotations"], path, "annotation")]
    categories = [_category(c, people, path) for c in mappings(categories, path, "category")]
    with_keypoints = [c["id"] for c in categories if c.get("keypoints")]
    if len(with_keypoints) == 1:
        for person in people:
            person.setdefault("category_id", with_keypoints[0])
    people = _with_unique_ids(people, path)
    names = {category["id"]: category.get("keypoints") or [] for category in categories}
    for person in people:
        _tidy_keypoints(person, names.get(person.get("category_id"), []), faults)
        _tidy_box(person, faults)
        _tidy_numbers(person, faults)
    return {
        "images": [_photo(photo, path) for photo in mappings(content["images"], path, "image")],
        "annotations": people,
        "categories": categories,
    }


def missing_keys(content: Json, path: Path) -> None:
    """Raise ``PafposeError`` unless a dictionary has what a COCO file must have."""
    missing = [key for key in ("images", "annotations", "categories") if key not in content]
    if missing:
        raise PafposeError(
            f"{path}: not a COCO annotation file, it lacks {missing}; fetch it again, or name its format: "
            "data.format (docs/formats.md)"
        )


def mappings(rows: Any, path: Path, kind: str) -> list[Json]:
    """Return a list of mappings; raise ``PafposeError`` for anything else."""
    if not isinstance(rows, list):
        raise PafposeError(f"{path}: its {kind} list is a {type(rows).__name__}, not a list")
    for n, row in enumerate(rows):
        if not isinstance(row, dict):
            raise PafposeError(f"{path}: {kind} number {n} is a {type(row).__name__}, not a mapping")
    return rows


def _to_integer(value: Any) -> int:
    """Return a whole number of at most 64 bits, also one in quotes; raise ``ValueError`` for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no whole number")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("no whole number")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("more than 64 bits")
    return number


def whole_number(row: Json, key: str, path: Path, kind: str) -> int:
    """Return a whole number of a row, also one in quotes; raise ``PafposeError`` for anything else."""
    try:
        return _to_integer(row.get(key))
    except (ValueError, OverflowError):
        raise PafposeError(
            f"{path}: {kind} {shown(row.get('id', ''))} has {key}={shown(row.get(key))}; a whole number of "
            "at most 64 bits is needed"
        ) from None


def _photo(photo: Json, path: Path) -> Json:
    number = whole_number(photo, "id", path, "image")
    out = {**photo, "id": number, "file_name": _file_name(photo, path)}
    for key in ("height", "width"):
        if not photo.get(key):
            out.pop(key, None)
            continue
        out[key] = whole_number(photo, key, path, "image")
        if out[key] < 1:
            raise PafposeError(f"{path}: image {number} has {key}={out[key]}; give a size in pixels, or none")
    return out


def _file_name(photo: Json, path: Path) -> str:
    name = photo.get("file_name")
    if name is None or name == "":
        raise PafposeError(f"{path}: image {shown(photo.get('id'))} has no file_name; name its file")
    text = str(name) if isinstance(name, str | int) and not isinstance(name, bool) else "\0"
    try:
        good = "\0" not in text and all(len(os.fsencode(part)) <= 255 for part in text.split("/"))
        good = good and len(text) <= _MAX_NAME
    except UnicodeEncodeError:  # half a character
        good = False
    if not good:
        raise PafposeError(
            f"{path}: image {shown(photo.get('id'))} has file_name={shown(name)}, which no file can have"
        )
    return text


def _person(person: Json, path: Path) -> Json:
    out = dict(person)
    out["image_id"] = whole_number(person, "image_id", path, "annotation")
    if person.get("category_id") is None:
        out.pop("category_id", None)
    else:
        out["category_id"] = whole_number(person, "category_id", path, "annotation")
    keypoints = person.get("keypoints")
    if isinstance(keypoints, list) and keypoints and all(isinstance(row, list) for row in keypoints):
        out["keypoints"] = [number for row in keypoints for number in row]
    return out


def _category(category: Json, people: list[Json], path: Path) -> Json:
    """Return a category with an integer id; COCO's foot annotations get the names they lack."""
    out = {**category, "id": whole_number(category, "id", path, "category")}
    names = category.get("keypoints") or []
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise PafposeError(
            f"{path}: category {out['id']} has keypoints {shown(names)}; a list of names is needed"
        )
    out["keypoints"] = [str(name) for name in names]
    members = (p for p in people if p.get("category_id", out["id"]) == out["id"] and p.get("keypoints"))
    first = next(members, None)
    if first is not None and out["keypoints"] in ([], list(BODY)):
        length = len(first["keypoints"]) // 3 if isinstance(first["keypoints"], list) else 0
        if length != len(names) and length in _FOOT_FILES:
            out["keypoints"] = list(_FOOT_FILES[length])
            log.info("%s: %d keypoints, named as in COCO's foot annotations", path, length)
    return out


def _with_unique_ids(people: list[Json], path: Path) -> list[Json]:
    """Return people with new ids unless theirs are unique integers: COCO's tools score each id only once."""
    ids = [person.get("id") for person in people]
    good = all(isinstance(i, int) and not isinstance(i, bool) and abs(i) < 2**63 for i in ids)
    if good and len(set(ids)) == len(ids):
        return people
    if any(i is not None for i in ids):
        log.warning(
            "%s: annotation ids are not unique whole numbers; they are replaced by 1, 2, 3, ...", path
        )
    return [{**person, "id": n} for n, person in enumerate(people, 1)]


def _tidy_keypoints(person: Json, names: Sequence[str], faults: Faults) -> None:
    """Replace keypoints by one list of floats, three for each of ``names``; drop unusable ones."""
    given = person.pop("keypoints", None)
    if not given or not names:
        return
    try:
        values = _keypoint_numbers(given, names)
    except (TypeError, ValueError, OverflowError):
        _reject(person, "bad_value", f"keypoints {shown(given)} are no numbers x, y, v", faults)
        return
    if len(values) != 3 * len(names):
        what = f"{len(values)} numbers in keypoints, but its category names {len(names)} (3 numbers each)"
        _reject(person, "wrong_length", what, faults)
        return
    for k, name in enumerate(names):
        x, y, v = values[3 * k : 3 * k + 3]
        if v and not (_in_reach(x) and _in_reach(y) and _in_reach(v)):
            _reject(person, "not_finite", f"keypoint {name} is {[x, y, v]}", faults)
            values[3 * k : 3 * k + 3] = [0.0, 0.0, 0.0]
    person["keypoints"] = values


def _keypoint_numbers(given: Any, names: Sequence[str]) -> list[float]:
    if isinstance(given, Mapping):
        if not set(given) & set(names):
            raise ValueError("no known name")
        given = [number for name in names for number in _point(given.get(name))]
    if not isinstance(given, list | tuple):
        raise TypeError("no list")
    if set(map(type, given)) <= {int, float}:
        return list(map(float, given))
    return [_number(number) for number in given]


def _point(value: Any) -> Sequence[Any]:
    """Return x, y, v of a keypoint given as two or three numbers, as a mapping, or not at all."""
    if isinstance(value, Mapping):
        value = [value["x"], value["y"], value.get("v", value.get("visibility", 2))]
    if value is None:
        return (0, 0, 0)
    return value if len(value) == 3 else (*value, 2)


def _tidy_box(person: Json, faults: Faults) -> None:
    given = person.pop("bbox", None)
    if not given:
        return
    if isinstance(given, Mapping):
        keys = next((keys for keys in _BOX_KEYS if set(keys) <= set(given)), ())
        given = [given[key] for key in keys] or given
    try:
        box = [_number(value) for value in given] if isinstance(given, list | tuple) else []
    except (TypeError, ValueError, OverflowError):
        box = []
    if len(box) != 4:
        _reject(person, "bad_value", f"bbox {shown(given)} is not x, y, width, height", faults)
    elif not all(map(_in_reach, box)):
        _reject(person, "not_finite", f"bbox is {box}", faults)
    else:
        person["bbox"] = box


def _tidy_numbers(person: Json, faults: Faults) -> None:
    area = person.pop("area", None)
    try:
        person["area"] = math.nan if area is None else _number(area)
    except (TypeError, ValueError, OverflowError):
        _reject(person, "bad_value", f"area is {shown(area)}, no number", faults)
        person["area"] = math.nan
    if not isinstance(person.get("num_keypoints", 0), int):
        person.pop("num_keypoints")  # only the audit looks at it
    flag = person.get("iscrowd")
    if flag is not None and not isinstance(flag, bool):
        known = _FLAGS.get(str(flag).lower()) if isinstance(flag, str | int | float) else None
        if known is None:
            _reject(person, "bad_value", f"iscrowd is {shown(flag)}; 0 or 1 is needed", faults)
        person["iscrowd"] = bool(known)


def _reject(person: Json, kind: str, what: str, faults: Faults) -> None:
    faults.report(kind, person, what)
    person.pop("num_keypoints", None)  # it counts what is left out now


def _number(value: Any) -> float:
    """Return a number, also one in quotes; None is NaN. Raises for all else."""
    if value is None:
        return math.nan
    if isinstance(value, int | float | str):
        return float(value)
    raise TypeError("no number")


def _in_reach(value: float) -> bool:
    return -MAX_PX <= value <= MAX_PX
