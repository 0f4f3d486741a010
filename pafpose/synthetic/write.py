"""Folders of synthetic pictures in COCO's layout: complete or absent, with the same bytes for a seed."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from pafpose.errors import PafposeError
from pafpose.runtime.cores import usable_cores
from pafpose.runtime.files import read_json
from pafpose.runtime.follow import follow
from pafpose.runtime.signals import end_with_parent
from pafpose.skeleton import Skeleton
from pafpose.synthetic.canvas import MAX_OWNERS
from pafpose.synthetic.picture import SPLITS, FigureSampler, draw_picture
from pafpose.synthetic.settings import SyntheticSettings

log = logging.getLogger(__name__)

MARKER = "synthetic.json"  # the last file written: a folder without it is not ours, or not complete
JPEG_QUALITY = 90
_VAL_IDS = 1_000_000  # added to the ids of validation pictures, so that the two splits share none
_ABANDONED = 3600.0  # seconds after which a temporary folder belongs to nobody


class _Written(NamedTuple):
    """A picture that was written: its record, and its annotations as JSON without the brackets."""

    record: dict[str, Any]
    annotations: str


def dataset_fingerprint(settings: SyntheticSettings, skeleton: Skeleton) -> str:
    """Return ten hex digits of all that the pictures depend on; human bodies do not depend on the limbs."""
    sampler = FigureSampler.of(skeleton)
    limbs = None if sampler.rest_pose is None else (skeleton.keypoints, skeleton.limbs, skeleton.pairs)
    sigmas = sampler.sigmas if settings.noise else None
    return settings.fingerprint(sampler.names, limbs, sigmas)


def write_dataset(
    root: Path, settings: SyntheticSettings, *, skeleton: Skeleton, workers: int | None = None
) -> Path:
    """Fill ``root`` with ``train2017/ val2017/ annotations/``, unless these pictures are there already.

    The pictures are drawn into a temporary folder beside ``root``, which is renamed at the end. ``workers``
    are processes, by default one per core and at most 8. Raises ``PafposeError`` when ``root`` holds anything
    else.
    """
    root = Path(root)
    fingerprint = dataset_fingerprint(settings, skeleton)
    if _is_complete(root, fingerprint):
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise PafposeError(
            f"{root} is not empty and does not hold these synthetic pictures ({MARKER} is missing or names "
            "other settings); remove it or choose another folder"
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".part", dir=root.parent))
    try:
        folder.chmod(0o755)
        _fill(folder, settings, skeleton, workers or min(8, usable_cores()))
        marker = {"fingerprint": fingerprint, "settings": asdict(settings), "skeleton": skeleton.name}
        (folder / MARKER).write_text(json.dumps(marker), encoding="utf-8")
        _rename(folder, root, fingerprint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return root


def _is_complete(root: Path, fingerprint: str) -> bool:
    marker = read_json(root / MARKER)
    return marker is not None and marker.get("fingerprint") == fingerprint


def _rename(folder: Path, root: Path, fingerprint: str) -> None:
    """Rename the folder to ``root``; where another process came first, its folder is as good."""
    try:
        folder.replace(root)
    except OSError:
        if not _is_complete(root, fingerprint):
            raise


def _remove_abandoned(root: Path) -> None:
    """Remove the temporary folders of processes that were killed: nothing was added for an hour."""
    for folder in root.parent.glob(f".{root.name}.*.part"):
        latest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        if time.time() - latest > _ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, settings: SyntheticSettings, skeleton: Skeleton, workers: int) -> None:
    start = time.perf_counter()
    sampler = FigureSampler.of(skeleton)
    for name in ("annotations", *(f"{split}2017" for split in SPLITS)):
        (folder / name).mkdir()
    pictures = [(split, n) for split in SPLITS for n in range(settings.count(split))]
    log.info("drawing %s pictures below %s", f"{len(pictures):,}", folder.parent.absolute())
    drawn = _map(partial(_write_picture, folder, settings, sampler), pictures, workers)
    written = list(follow(drawn, "draw", total=len(pictures)))
    for split in SPLITS:
        own = [done for done, (of, _) in zip(written, pictures, strict=True) if of == split]
        path = folder / "annotations" / f"person_keypoints_{split}2017.json"
        path.write_text(_coco_json(own, skeleton, sampler), encoding="utf-8")
    seconds = time.perf_counter() - start
    log.info(
        "drew %d pictures in %.1f s (%.0f per second, %d processes)",
        len(pictures), seconds, len(pictures) / seconds, workers,
    )  # fmt: skip


def _map(write: partial[_Written], pictures: Sequence[tuple[str, int]], workers: int) -> Iterator[_Written]:
    """Write the pictures in order, in processes of their own unless one is enough."""
    if workers == 1:
        yield from map(write, pictures)
        return
    cv2.setNumThreads(0)  # OpenCV's pool, once started, would hang the processes forked after it
    with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
        yield from pool.map(write, pictures, chunksize=32)


def _write_picture(
    folder: Path, settings: SyntheticSettings, sampler: FigureSampler, picture: tuple[str, int]
) -> _Written:
    """Draw and write picture (split, index)."""
    split, index = picture
    drawn = draw_picture(settings, sampler, split, index)
    number = index + 1 + (_VAL_IDS if split == "val" else 0)
    name = f"{number:012d}.jpg"
    write_jpeg(folder / f"{split}2017" / name, drawn.image)
    height, width = drawn.image.shape[:2]
    ids = ({"id": number * (MAX_OWNERS + 1) + n, "image_id": number} for n in range(len(drawn.annotations)))
    annotations = [{**own, **annotation} for own, annotation in zip(ids, drawn.annotations, strict=True)]
    record = {"id": number, "file_name": name, "width": width, "height": height}
    return _Written(record, json.dumps(annotations)[1:-1])


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an RGB picture."""
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise PafposeError(f"OpenCV could not write {path}; is the disk full?")


def _coco_json(written: Sequence[_Written], skeleton: Skeleton, sampler: FigureSampler) -> str:
    """Return the annotation file's content."""
    column = {name: n + 1 for n, name in enumerate(sampler.names)}
    limbs = [[skeleton.keypoints[k] for k in limb] for limb in skeleton.limbs]
    human = sampler.rest_pose is None
    category = {
        "id": 1,
        "name": "person" if human else skeleton.name,
        "supercategory": "person" if human else "creature",
        "keypoints": list(sampler.names),
        "skeleton": [[column[a], column[b]] for a, b in limbs if a in column and b in column],
    }
    info = {"description": "synthetic people drawn by pafpose", "version": "1.0"}
    rest = {"info": info, "images": [done.record for done in written], "categories": [category]}
    annotations = ", ".join(done.annotations for done in written if done.annotations)
    return f'{json.dumps(rest)[:-1]}, "annotations": [{annotations}]}}'
