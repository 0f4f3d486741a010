"""Folders of synthetic pictures in COCO's layout: whole or not at all, the same bytes for the same seed."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.synthetic.backgrounds import textures
from pafpose.synthetic.picture import SPLITS, Cast, make_cast, make_picture
from pafpose.synthetic.settings import SyntheticSettings

log = logging.getLogger(__name__)

MARKER = "synthetic.json"  # last file written: a folder without it is not ours, or not whole
JPEG_QUALITY = 90
_VAL_IDS = 1_000_000  # ids of the two splits never meet
_Drawn = tuple[str, dict[str, Any], list[str]]  # split, image record, annotations as JSON without ids
_STALE = 3600.0  # seconds after which a temporary folder belongs to nobody


def dataset_fingerprint(settings: SyntheticSettings, skeleton: Skeleton) -> str:
    """What the pictures depend on, as ten hex digits; for human bodies the chosen limbs do not matter."""
    cast = make_cast(skeleton)
    limbs = None if cast.layout is None else (skeleton.keypoints, skeleton.limbs, skeleton.pairs)
    sigmas = cast.sigmas if settings.noise else None
    return settings.fingerprint(cast.names, limbs, sigmas)


def write_dataset(
    root: Path, settings: SyntheticSettings, *, skeleton: Skeleton, workers: int | None = None
) -> Path:
    """Fill ``root`` with ``train2017/ val2017/ annotations/``, unless it holds just these pictures already.

    Everything is made in a temporary folder beside ``root`` and renamed at the end. Raises ``PafposeError``
    when ``root`` holds anything else.
    """
    root = Path(root)
    fingerprint = dataset_fingerprint(settings, skeleton)
    if _is_whole(root, fingerprint):
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise PafposeError(
            f"{root} holds something else than these synthetic pictures ({MARKER} is missing or tells of "
            "other settings); remove it or choose another folder"
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".part", dir=root.parent))
    try:
        folder.chmod(0o755)
        _fill(folder, settings, skeleton, workers or _default_workers())
        (folder / MARKER).write_text(
            json.dumps({"fingerprint": fingerprint, "settings": asdict(settings), "skeleton": skeleton.name})
        )
        _move(folder, root, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return root


def _is_whole(root: Path, fingerprint: str) -> bool:
    try:
        marker = json.loads((root / MARKER).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("fingerprint") == fingerprint


def _move(folder: Path, root: Path, fingerprint: str) -> None:
    """Put the folder in place; when another process was faster, its folder is as good."""
    try:
        os.replace(folder, root)  # noqa: PTH105  (atomic, and onto an empty folder too)
    except OSError:
        if not _is_whole(root, fingerprint):
            raise


def _sweep(root: Path) -> None:
    """Remove what killed processes left behind."""
    for old in root.parent.glob(f".{root.name}.*.part"):
        if time.time() - old.stat().st_mtime > _STALE:
            shutil.rmtree(old, ignore_errors=True)


def _default_workers() -> int:
    return max(
        1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    )


def _fill(folder: Path, settings: SyntheticSettings, skeleton: Skeleton, workers: int) -> None:
    start = time.perf_counter()
    cast = make_cast(skeleton)
    for split in SPLITS:
        (folder / f"{split}2017").mkdir()
    textures(settings.picture_size)  # made once, before the children start
    gc.freeze()  # else what the program has loaded is searched for garbage again and again
    try:
        records = _draw_all(folder, settings, cast, workers)
    finally:
        gc.unfreeze()
    (folder / "annotations").mkdir()
    for split in SPLITS:
        own = sorted((r for r in records if r[0] == split), key=lambda r: r[1]["id"])
        path = folder / "annotations" / f"person_keypoints_{split}2017.json"
        path.write_text(_coco(own, skeleton, cast))
    seconds = time.perf_counter() - start
    total = settings.train_count + settings.val_count
    log.info(
        "drew %d pictures in %.1f s (%.0f per second, %d processes)", total, seconds, total / seconds, workers
    )


def _draw_all(folder: Path, settings: SyntheticSettings, cast: Cast, workers: int) -> list[_Drawn]:
    """Every picture, in processes of its own unless one is enough."""
    shares = [(folder, settings, cast, n, workers) for n in range(workers)]
    if workers == 1:
        return _write_share(*shares[0])
    cv2.setNumThreads(
        0
    )  # children only draw: they touch neither torch's threads nor OpenCV's, which end here
    context = get_context("fork" if sys.platform.startswith("linux") else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(_write_share, *share) for share in shares]
        return [record for future in futures for record in future.result()]


def _write_share(
    folder: Path, settings: SyntheticSettings, cast: Cast, first: int, step: int
) -> list[_Drawn]:
    """Draw and write every ``step``-th picture; (split, image record, annotations) of each."""
    records: list[_Drawn] = []
    for split in SPLITS:
        for index in range(first, settings.count(split), step):
            picture = make_picture(settings, cast, split, index)
            number = index + 1 + (_VAL_IDS if split == "val" else 0)
            name = f"{number:012d}.jpg"
            (folder / f"{split}2017" / name).write_bytes(encode(picture.image))
            height, width = picture.image.shape[:2]
            image = {"id": number, "file_name": name, "width": width, "height": height}
            # as text: to pass on and write down thousands of outlines in one process takes seconds
            records.append((split, image, [json.dumps(annotation) for annotation in picture.annotations]))
    return records


def encode(image: Any) -> bytes:
    """JPEG bytes of an RGB picture."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise PafposeError("OpenCV could not encode a JPEG; install opencv-python-headless again")
    return bytes(data)


def _coco(records: list[_Drawn], skeleton: Skeleton, cast: Cast) -> str:
    """The annotation file: COCO's dictionary, with ids, as JSON."""
    annotations: list[str] = []
    for _, image, own in records:
        for annotation in own:
            annotations.append(f'{{"id": {len(annotations) + 1}, "image_id": {image["id"]}, {annotation[1:]}')
    column = {name: n + 1 for n, name in enumerate(cast.names)}
    limbs = [[skeleton.keypoints[k] for k in limb] for limb in skeleton.limbs]
    category = {
        "id": 1,
        "name": "person" if cast.layout is None else skeleton.name,
        "supercategory": "person" if cast.layout is None else "creature",
        "keypoints": list(cast.names),
        "skeleton": [[column[a], column[b]] for a, b in limbs if a in column and b in column],
    }
    info = {"description": "synthetic people drawn by pafpose", "version": "1.0"}
    head = json.dumps({"info": info, "images": [image for _, image, _ in records]})
    tail = json.dumps({"categories": [category]})
    return f'{head[:-1]}, "annotations": [{", ".join(annotations)}], {tail[1:]}'
