"""What a folder of synthetic pictures came to, to compare with what was asked for."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.synthetic.arrange import shared_shares


def dataset_statistics(root: Path, split: str = "train") -> dict[str, float]:
    """Return figures of a split by the names of ``data.*`` that ask for them; none without people.

    ``people`` per picture; mean visible ``height`` as a share of the picture's; ``overlap``, the mean of the
    largest share of the smaller box that people in company share with another; ``hidden`` (v = 1) among the
    labelled keypoints; share of ``unlabelled`` people; share of pictures with a ``crowd``.
    """
    coco = json.loads(
        (Path(root) / "annotations" / f"person_keypoints_{split}2017.json").read_text(encoding="utf-8")
    )
    people = [a for a in coco["annotations"] if not a["iscrowd"]]
    if not people:
        return {}
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    for person in people:
        boxes[person["image_id"]].append(person["bbox"])
    overlaps = [share for group in boxes.values() for share in _largest_shares(np.array(group))]
    v = np.array([person["keypoints"][2::3] for person in people])
    count = len(coco["images"])
    return {
        "people": len(people) / count,
        "height": float(np.mean([person["bbox"][3] for person in people])) / coco["images"][0]["height"],
        "overlap": float(np.mean(overlaps)) if overlaps else 0.0,
        "hidden": float((v == 1).sum() / max((v > 0).sum(), 1)),
        "unlabelled": float((v == 0).all(1).mean()),
        "crowd": len({a["image_id"] for a in coco["annotations"] if a["iscrowd"]}) / count,
    }


def _largest_shares(boxes: np.ndarray) -> Any:
    """Return the largest share of each box ``(n, 4)`` with another of them; nothing for a single one."""
    shares = shared_shares(boxes, boxes)
    np.fill_diagonal(shares, 0)
    return shares.max(1) if len(boxes) > 1 else []
