"""Sheets of pictures to look at, bare and with the annotated skeletons."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from pafpose.data.photos.images import load_image
from pafpose.skeleton import Skeleton


def contact_sheet(
    root: Path,
    skeleton: Skeleton,
    *,
    split: str = "train",
    count: int = 48,
    columns: int = 8,
    overlay: bool = False,
) -> np.ndarray:
    """The first ``count`` pictures of a split side by side, RGB uint8; hidden keypoints are hollow."""
    coco = json.loads((Path(root) / "annotations" / f"person_keypoints_{split}2017.json").read_text())
    names = coco["categories"][0]["keypoints"]
    people = defaultdict(list)
    for annotation in coco["annotations"]:
        people[annotation["image_id"]].append(annotation)
    tiles = []
    for image in coco["images"][:count]:
        tile = load_image(Path(root) / f"{split}2017" / image["file_name"]).copy()
        if overlay:
            for annotation in people[image["id"]]:
                _draw_annotation(tile, annotation, skeleton, names)
        tiles.append(tile)
    columns = max(1, min(columns, len(tiles)))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)])


def _draw_annotation(tile: np.ndarray, annotation: dict, skeleton: Skeleton, names: list[str]) -> None:
    x, y, w, h = (round(v) for v in annotation["bbox"])
    if annotation["iscrowd"] or not annotation["num_keypoints"]:
        colour = (255, 0, 0) if annotation["iscrowd"] else (255, 160, 0)
        cv2.rectangle(tile, (x, y), (x + w - 1, y + h - 1), colour, 1)
        return
    points = skeleton.from_dataset(np.array(annotation["keypoints"], float).reshape(1, -1, 3), names)[0]
    for (a, b), colour in zip(skeleton.limbs, skeleton.limb_colours, strict=True):
        if points[a, 2] and points[b, 2]:
            ends = np.rint(points[[a, b], :2] * 16).astype(int).tolist()
            cv2.line(tile, ends[0], ends[1], colour, 1, cv2.LINE_AA, 4)
    for (px, py, v), colour in zip(points.tolist(), skeleton.colours, strict=True):
        if v:
            cv2.circle(
                tile, (round(px * 16), round(py * 16)), 28, colour, -1 if v == 2 else 1, cv2.LINE_AA, 4
            )


def save_sheets(root: Path, skeleton: Skeleton, folder: Path, *, count: int) -> list[Path]:
    """Write ``sheet.png`` and ``sheet_skeletons.png``; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, overlay in (("sheet.png", False), ("sheet_skeletons.png", True)):
        sheet = contact_sheet(root, skeleton, count=count, overlay=overlay)
        cv2.imwrite(str(folder / name), np.ascontiguousarray(sheet[..., ::-1]))
        paths.append(folder / name)
    return paths
