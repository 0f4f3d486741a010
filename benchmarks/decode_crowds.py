"""How many people may share a photo before the decoder confuses them.

``python -m benchmarks.decode_crowds data=coco_mini data.root=DIR``

Prints the AP of every preset for real people that are scaled down, spread over square photos and drawn as
perfect fields, with 100 detections per photo. Overrides such as ``paf.caps=none`` apply to all rows.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from pafpose import factory
from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.metrics.coco_ap import Detection, coco_ap, people_to_coco
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.tools.oracle.annotated_photos import AnnotatedPhoto, read_annotated_photos

log = logging.getLogger(__name__)

ROWS = (
    "decode=default",
    "decode=coco",
    "decode=coco paf.limbs=dense",
    "decode=paper",
    "decode=openpose",
)
CROWDS = (10, 50, 100)
PHOTOS = 12  # per number of people
DETECTIONS = 100  # that count per photo; COCO's own 20 would leave most people out
WHOLE = 13  # scored keypoints that people of the pool have at least
PLACES = 12  # tried for each person; the one farthest from the others is taken
AREA = 0.53  # share of its box that a person's outline fills in COCO
SMALLEST = 1025.0  # square px, just above small in COCO, where people do not count


def crowd_ap(cfg: DictConfig, people: int, photos: int = PHOTOS) -> dict[str, float]:
    """Return COCO's numbers for ``photos`` crowds, with a config's skeleton, targets and decoder."""
    targets, decoder = factory.build_targets(cfg), factory.build_decoder(cfg)
    scenes, _ = read_annotated_photos(factory.build_datamodule(cfg), ("train",))
    pool = _pool(scenes, decoder.skeleton)
    side = int(cfg.evaluate.input_size)
    found: list[Detection] = []
    crowds = []
    for photo in range(photos):
        crowd = spread(pool, people, side, np.random.default_rng([people, photo]))
        crowds.append(crowd)
        drawn = torch.from_numpy(decoder.skeleton.derive(crowd)[None].astype(np.float32))
        fields = targets(drawn, size=(side, side), boxes=torch.from_numpy(_boxes(crowd)[None]))
        found += people_to_coco(decoder(fields.heatmaps[0], fields.pafs[0]), photo, decoder.skeleton)
    truth = _truth(crowds, decoder.skeleton, side)
    return coco_ap(found, truth, decoder.skeleton, max_detections=DETECTIONS, areas=("all",))


def spread(pool: np.ndarray, people: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Spread people of a pool over ``side`` px, far from each other ``(P, K, 3)``: the more, the smaller."""
    tall = min(0.68 * side, 1.6 * side / np.sqrt(people))
    out = pool[rng.integers(len(pool), size=people)].copy()
    centres: list[np.ndarray] = []
    for person in out:
        seen = person[:, 2] > 0
        low, high = person[seen, :2].min(0), person[seen, :2].max(0)
        scale = tall * rng.uniform(0.8, 1.1) / max((high - low).max(), 1.0)
        half = (high - low) * scale / 2
        options = rng.uniform(np.minimum(half, side / 2), np.maximum(side - half, side / 2), (PLACES, 2))
        apart = [min((np.hypot(*(o - c)) for c in centres), default=0.0) for o in options]
        centres.append(options[int(np.argmax(apart))])
        person[:, :2] = (person[:, :2] - (low + high) / 2) * scale + centres[-1]
        person[~seen | (person[:, :2] < 0).any(1) | (person[:, :2] > side - 1).any(1)] = 0
    return out


def _pool(scenes: Sequence[AnnotatedPhoto], skeleton: Skeleton) -> np.ndarray:
    """Everybody who shows enough keypoints, without the derived ones."""
    people = np.concatenate([scene.keypoints for scene in scenes]).astype(np.float64)
    derived = np.setdiff1d(np.arange(skeleton.num_keypoints), skeleton.scored)
    people[:, derived] = 0
    pool = people[(people[..., 2] > 0).sum(1) >= min(WHOLE, len(skeleton.scored))]
    if not len(pool):
        raise PafposeError(
            f"nobody in the training annotations shows {WHOLE} keypoints, so there is no crowd to make; "
            "choose another data set"
        )
    return pool


def _boxes(people: np.ndarray) -> np.ndarray:
    """Boxes ``(P, 4)`` = x, y, w, h around the labelled keypoints."""
    seen = people[..., 2:] > 0
    low = np.where(seen, people[..., :2], np.inf).min(1)
    high = np.where(seen, people[..., :2], -np.inf).max(1)
    return np.concatenate([low, high - low], 1).astype(np.float32)


def _truth(crowds: Sequence[np.ndarray], skeleton: Skeleton, side: int) -> Mapping[str, Any]:
    """COCO ground truth of the crowds; people are large enough to count."""
    scored = list(skeleton.scored)
    annotations: list[dict[str, Any]] = []
    for photo, crowd in enumerate(crowds):
        for person, box in zip(crowd, _boxes(crowd).tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": photo, "category_id": 1, "iscrowd": 0,
                    "keypoints": person[scored].ravel().tolist(), "bbox": box,
                    "num_keypoints": int((person[scored, 2] > 0).sum()),
                    "area": max(AREA * box[2] * box[3], SMALLEST),
                }
            )  # fmt: skip
    names = [skeleton.keypoints[k] for k in scored]
    return {
        "images": [{"id": photo, "width": side, "height": side} for photo in range(len(crowds))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    common = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    lines = [f"| preset | {' | '.join(f'{n} people' for n in CROWDS)} |", f"|{'---|' * (len(CROWDS) + 1)}"]
    for row in ROWS:
        cfg = load_config([*common, *row.split()], name="oracle")
        cells = [f"{crowd_ap(cfg, people)['AP']:.3f}" for people in CROWDS]
        lines.append(f"| `{row}` | {' | '.join(cells)} |")
    log.info("%s", "\n".join(lines))


if __name__ == "__main__":
    main()
