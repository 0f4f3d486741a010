"""Several annotation files as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pafpose.data.annotations.tidy import mappings, missing_keys, whole_number

Json = dict[str, Any]

_UNLISTED = -1  # stands for categories that a file does not list


def merge(files: Sequence[tuple[Path, Json]]) -> Json:
    """Return the contents of several COCO dictionaries as one; each comes with the file that errors name.

    A photo of one name and id in two files is one photo. Ids of other photos that are taken already get the
    next free numbers. Categories keep apart; people get new ids unless all are unique.
    """
    merged: Json = {"images": [], "annotations": [], "categories": []}
    names: dict[int, Any] = {}
    for path, content in files:
        missing_keys(content, path)
        photo_ids = _add_photos(content, path, merged["images"], names)
        category_ids = _add_categories(content, path, merged["categories"])
        with_keypoints = [
            row["id"] for row in merged["categories"][-len(category_ids) :] if row.get("keypoints")
        ]
        for row in mappings(content["annotations"], path, "annotation"):
            number = whole_number(row, "image_id", path, "annotation")
            person = {**row, "image_id": photo_ids.get(number, number)}
            if row.get("category_id") is not None:
                old = whole_number(row, "category_id", path, "annotation")
                person["category_id"] = category_ids.get(old, _UNLISTED)
            elif len(with_keypoints) == 1:
                person["category_id"] = with_keypoints[0]
            merged["annotations"].append(person)
    return merged


def _add_photos(content: Json, path: Path, photos: list[Json], names: dict[int, Any]) -> dict[int, int]:
    """Add the photos of a file; return their new ids by the old ones."""
    new_ids: dict[int, int] = {}
    before = set(names)
    for row in mappings(content["images"], path, "image"):
        old = new = whole_number(row, "id", path, "image")
        if old in before and names[old] == row.get("file_name"):
            new_ids[old] = old
            continue
        if old in before:
            new = max(names) + 1
        names[new] = row.get("file_name")
        new_ids[old] = new
        photos.append({**row, "id": new})
    return new_ids


def _add_categories(content: Json, path: Path, categories: list[Json]) -> dict[int, int]:
    """Add the categories of a file; return their new ids by the old ones."""
    given = content["categories"]
    new_ids: dict[int, int] = {}
    for row in mappings([given] if isinstance(given, dict) else given, path, "category"):
        new_ids[whole_number(row, "id", path, "category")] = len(categories) + 1
        categories.append({**row, "id": len(categories) + 1})
    return new_ids
