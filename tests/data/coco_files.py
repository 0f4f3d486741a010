"""Writes tiny data sets in COCO's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pafpose.data.annotations import formats
from pafpose.data.annotations.index import PoseIndex
from pafpose.skeleton import Skeleton

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_NAMES = ["nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right"))]

STILL = {"scale": (1, 1), "rotation": 0, "shift": 0, "flip": 0}


def person(
    points: dict[str, tuple[float, float]], *, box: tuple[float, float, float, float], v: int = 2, **more: Any
) -> dict:
    """An annotation with the named keypoints; ``id`` and ``image_id`` come later."""
    keypoints: list[float] = []
    for name in COCO_NAMES:
        keypoints += [*points[name], v] if name in points else [0, 0, 0]
    return {
        "keypoints": keypoints,
        "num_keypoints": len(points),
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
        "category_id": 1,
    } | more


def six_points(x: float, y: float, size: float = 60) -> dict[str, tuple[float, float]]:
    """Six labelled keypoints around (x, y)."""
    names = ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee"]
    return {name: (x + size * (i % 2) / 4, y + size * i / 8) for i, name in enumerate(names)}


def write_split(
    root: Path,
    photos: list[tuple[np.ndarray, list[dict]]],
    *,
    split: str = "train",
    first_id: int = 1,
    suffix: str = "jpg",
    categories: list[dict] | None = None,
) -> Path:
    """Write one split; returns its annotation file."""
    folder = root / f"{split}2017"
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, list] = {
        "images": [],
        "annotations": [],
        "categories": categories or [{"id": 1, "name": "person", "keypoints": COCO_NAMES}],
    }
    for n, (image, people) in enumerate(photos):
        image_id = first_id + n
        name = f"{image_id:012d}.{suffix}"
        options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
        ok, data = cv2.imencode(f".{suffix}", image, options if suffix == "jpg" else [])
        assert ok
        (folder / name).write_bytes(data.tobytes())
        content["images"].append(
            {"id": image_id, "file_name": name, "height": image.shape[0], "width": image.shape[1]}
        )
        for p in people:
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": image_id} | p)
    file = root / "annotations" / f"person_keypoints_{split}2017.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def read_split(annotations: Path, folder: Path, skeleton: Skeleton, **keys: Any) -> PoseIndex:
    """One split in COCO's layout, uncached and as it stands in the file."""
    return formats.read_index("coco", annotations, folder, skeleton, **keys)


def write_noise_people(root: Path, *, background: bool = False) -> None:
    """Write three grey photos of one person each: a rectangle of noise, which is also the mask."""
    photos, rng = [], np.random.default_rng(0)
    for n in range(3):
        image = np.full((240, 240, 3), 60, np.uint8)
        x, y, w, h = 60 + 10 * n, 40, 80, 160
        image[y : y + h, x : x + w, ::2] = rng.integers(0, 256, (h, w, 2))
        points = {
            name: (x + 10 + 12 * (k % 6), y + 20 + 24 * (k % 5)) for k, name in enumerate(COCO_NAMES[:8])
        }
        outline = [x, y, x + w, y, x + w, y + h, x, y + h]
        photos.append((image, [person(points, box=(x, y, w, h), segmentation=[outline])]))
    if background:
        photos.append((np.full((240, 240, 3), (10, 250, 10), np.uint8), []))
    write_split(root, photos, suffix="png")
