"""Find people in photos with a checkpoint; write overlays and a COCO json."""

from __future__ import annotations

import glob
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.inference.predictor import Predictor
from pafpose.metrics import people_to_coco
from pafpose.runtime.files import write_json
from pafpose.runtime.follow import follow
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.tools.overrides import load_checkpoint
from pafpose.viz import draw_people, save_picture

log = logging.getLogger(__name__)

WRITE_EVERY = 10.0  # seconds
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def predict(cfg: DictConfig, overrides: Sequence[str] | None = None) -> dict[str, Any]:
    """Find the people in the photos of ``cfg.source``; return them as a COCO dict.

    Overlays are written at once and the json every ten seconds, so that whatever ends the command costs
    little. A photo that cannot be read costs that photo alone: the log and ``left_out`` of the result name
    it.
    """
    quiet_known_warnings()
    photos = find_photos(cfg.source)
    predictor = Predictor(load_checkpoint(cfg, overrides))
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    result = empty_coco(predictor.skeleton)
    names = overlay_names(photos)
    written = time.monotonic()
    try:
        for number, path in enumerate(follow(photos, "predict", total=len(photos)), start=1):
            overlay = folder / "images" / names[number - 1]
            _add_photo(result, number, path, predictor, overlay=overlay, drawn_score=cfg.drawn_score)
            if time.monotonic() - written > WRITE_EVERY:
                write_json(folder / "predictions.json", result)
                written = time.monotonic()
    finally:
        write_json(folder / "predictions.json", result)
    if not result["images"]:
        raise PafposeError(f"source={cfg.source}: none of the {len(photos)} photos can be read; see the log")
    if result["left_out"]:
        log.warning("%d of %d photos could not be read", len(result["left_out"]), len(photos))
    log.info("pictures     %s", folder / "images")
    log.info("COCO json    %s", folder / "predictions.json")
    return result


def _add_photo(
    result: dict[str, Any],
    number: int,
    path: Path,
    predictor: Predictor,
    *,
    overlay: Path,
    drawn_score: float,
) -> None:
    """Add a photo and its people to a COCO dict and draw them, or note why the photo is left out."""
    try:
        photo = load_image(path)
        people = predictor(photo)
    except PafposeError as error:
        reason = str(error).partition(";")[0]  # what follows is advice for training
        log.warning("left out: %s", reason)
        result["left_out"].append({"file_name": str(path), "reason": reason})
        return
    height, width = photo.shape[:2]
    entry = {"id": number, "file_name": str(path), "width": width, "height": height}
    result["images"].append({**entry, "overlay": f"images/{overlay.name}"})
    _add_people(result, people_to_coco(people, number, predictor.skeleton))
    drawn = clear_ones(people, drawn_score)
    save_picture(draw_people(photo, drawn.keypoints, predictor.skeleton, scores=drawn.scores), overlay)
    log.info("%s: %s", path, _count(len(people.scores), len(drawn.scores)))


def clear_ones(people: People, score: float) -> People:
    """Return the people whose score is at least ``score``.

    People with low scores cost little AP but clutter a picture.

    >>> import torch
    >>> clear_ones(People(torch.zeros(3, 18, 3), torch.tensor([0.75, 0.25, 0.125])), 0.25).scores
    tensor([0.7500, 0.2500])
    """
    if not 0 <= score <= 1:
        raise PafposeError(f"drawn_score={score}: give a score from 0 (everybody is drawn) to 1")
    clear = people.scores >= score
    return People(people.keypoints[clear], people.scores[clear])


def _count(found: int, drawn: int) -> str:
    """Say how many people were found, and how many of them are in the picture."""
    return f"{found} people" if drawn == found else f"{drawn} drawn of {found} found"


def find_photos(source: str | None) -> list[Path]:
    """Return the picture files of a file name, of a folder (not of its subfolders) or of a glob."""
    if not source:
        raise PafposeError(
            "source is missing: give a photo, a folder, or a glob in quotes: source='photos/*.jpg'"
        )
    path = Path(str(source))  # a folder called 2024 comes as a number
    if path.is_file():
        return [path]
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(source), recursive=True))  # noqa: PTH207  (takes absolute patterns)
    photos = sorted(p for p in found if p.is_file() and p.suffix.lower() in PICTURES)
    if not photos:
        raise PafposeError(f"source={source}: no pictures found ({' '.join(PICTURES)}); check the path")
    return photos


def overlay_names(photos: Sequence[Path]) -> list[str]:
    """Return a PNG name for every photo: its own, with suffix and folders where that tells photos apart.

    >>> overlay_names([Path("x/a.jpg"), Path("x/a.png"), Path("x/b.jpg"), Path("y/a.jpg")])
    ['x-a.jpg.png', 'a.png.png', 'b.png', 'y-a.jpg.png']
    """
    stems = Counter(photo.stem.lower() for photo in photos)
    files = Counter(photo.name.lower() for photo in photos)
    common = os.path.commonpath([photo.parent for photo in photos])
    names = []
    for photo in photos:
        if stems[photo.stem.lower()] == 1:
            names.append(f"{photo.stem}.png")
        elif files[photo.name.lower()] == 1:
            names.append(f"{photo.name}.png")
        else:
            below = Path(os.path.relpath(photo, common or "."))
            names.append(f"{'-'.join(below.parts)}.png")
    return names


def empty_coco(skeleton: Skeleton) -> dict[str, Any]:
    """Return a COCO dict without photos; its limbs join scored keypoints, counted from 1 as in COCO."""
    place = {k: n for n, k in enumerate(skeleton.scored, start=1)}
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": [skeleton.keypoints[k] for k in skeleton.scored],
        "skeleton": [[place[a], place[b]] for a, b in skeleton.limbs if a in place and b in place],
    }
    return {"images": [], "annotations": [], "categories": [category], "left_out": []}


def _add_people(result: dict[str, Any], people: Sequence[dict[str, Any]]) -> None:
    """Add COCO results as annotations, with an id, and the box and area of the keypoints that were found."""
    for person in people:
        points = [person["keypoints"][i : i + 3] for i in range(0, len(person["keypoints"]), 3)]
        seen = [p for p in points if p[2] > 0] or [(0.0, 0.0, 0.0)]
        (left, right), (top, bottom) = ((min(c), max(c)) for c in list(zip(*seen, strict=True))[:2])
        box = [round(v, 3) for v in (left, top, right - left, bottom - top)]
        result["annotations"].append(
            person
            | {
                "id": len(result["annotations"]) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "num_keypoints": sum(p[2] > 0 for p in points),
            }
        )
