"""What a folder of synthetic pictures came to, beside what its keys asked for."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def measure(root: Path, split: str = "train") -> dict[str, float]:
    """Figures of a split from its annotation file, named after the keys of ``data.*``; empty without people.

    ``people`` per picture; ``height`` of what is seen of them, mean, as a share of the picture's;
    ``overlap``, the largest share of the smaller box that somebody shares with another, mean over those in
    company; ``hidden``, keypoints with v = 1 among the labelled; ``unlabelled`` people; ``crowd``, pictures
    with one.
    """
    coco = json.loads((Path(root) / "annotations" / f"person_keypoints_{split}2017.json").read_text())
    pictures: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for person in coco["annotations"]:
        pictures[person["image_id"]].append(person)
    people = [a for a in coco["annotations"] if not a["iscrowd"]]
    if not people:
        return {}
    company = [
        share
        for group in pictures.values()
        for share in _shared(np.array([a["bbox"] for a in group if not a["iscrowd"]]).reshape(-1, 4))
    ]
    v = np.array([a["keypoints"][2::3] for a in people])
    count = len(coco["images"])
    return {
        "people": len(people) / count,
        "height": float(np.mean([a["bbox"][3] for a in people])) / coco["images"][0]["height"],
        "overlap": float(np.mean(company)) if company else 0.0,
        "hidden": float((v == 1).sum() / max((v > 0).sum(), 1)),
        "unlabelled": float((v == 0).all(1).mean()),
        "crowd": sum(any(a["iscrowd"] for a in group) for group in pictures.values()) / count,
    }


def _shared(boxes: np.ndarray) -> list[float]:
    """For each box ``(n, 4)`` xywh of several, the largest share with another of the smaller of the two."""
    if len(boxes) < 2:
        return []
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (boxes[:, :2] + boxes[:, 2:])[None])
    area = boxes[:, 2:].prod(1)
    share = np.clip(high - low, 0, None).prod(-1) / np.minimum(area[:, None], area[None])
    np.fill_diagonal(share, 0)
    return share.max(1).tolist()
