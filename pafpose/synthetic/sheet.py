"""Contact sheets of synthetic pictures, bare and with the annotated skeletons."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from pafpose.data.photos.images import load_image
from pafpose.skeleton import Skeleton
from pafpose.viz import draw_people, save_picture

_CROWD, _UNLABELLED = (255, 0, 0), (255, 160, 0)
_FAINT = 0.1  # confidence that draws a hidden keypoint faintly


def contact_sheet(
    root: Path,
    skeleton: Skeleton,
    *,
    split: str = "train",
    count: int = 48,
    columns: int = 8,
    overlay: bool = False,
) -> np.ndarray:
    """Return the first ``count`` pictures of a split side by side, RGB uint8.

    With ``overlay`` people are drawn on them, hidden keypoints faintly, and boxes around crowds (red) and
    unlabelled people (orange).
    """
    coco = json.loads(
        (Path(root) / "annotations" / f"person_keypoints_{split}2017.json").read_text(encoding="utf-8")
    )
    names = coco["categories"][0]["keypoints"]
    annotations = defaultdict(list)
    for annotation in coco["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    tiles = []
    for image in coco["images"][:count]:
        tile = load_image(Path(root) / f"{split}2017" / image["file_name"])
        tiles.append(_draw_annotations(tile, annotations[image["id"]], skeleton, names) if overlay else tile)
    columns = max(1, min(columns, len(tiles)))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)])


def _draw_annotations(
    image: np.ndarray, annotations: list[dict], skeleton: Skeleton, names: list[str]
) -> np.ndarray:
    rows = np.array([a["keypoints"] for a in annotations], float).reshape(-1, len(names), 3)
    people = skeleton.from_dataset(rows, names)
    people[..., 2] = np.where(people[..., 2] == 1, _FAINT, people[..., 2])
    out = draw_people(image, people, skeleton, opacity=1)
    for annotation in annotations:
        if not annotation["num_keypoints"]:
            x, y, w, h = (round(side) for side in annotation["bbox"])
            colour = _CROWD if annotation["iscrowd"] else _UNLABELLED
            cv2.rectangle(out, (x, y), (x + w - 1, y + h - 1), colour, 1)
    return out


def save_sheets(root: Path, skeleton: Skeleton, folder: Path, *, count: int) -> list[Path]:
    """Write ``sheet.png`` and ``sheet_skeletons.png`` and return their paths."""
    return [
        save_picture(contact_sheet(root, skeleton, count=count, overlay=overlay), folder / name)
        for name, overlay in (("sheet.png", False), ("sheet_skeletons.png", True))
    ]
