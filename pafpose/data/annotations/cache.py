"""A cache of indexed annotations: one ``.npz`` file per annotation file and skeleton.

The name of a cache file carries digests of all that the index depends on: the bytes of the annotation file,
the skeleton's keypoints, the settings of the reader and its version. A cache that is stale is therefore never
opened. Files are written beside their place and then renamed, so they are complete or absent; a damaged one
fails its checksum and is made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np

from pafpose.data.annotations.index import PoseIndex
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

READER_VERSION = 4  # raise it when the same annotations give another index
MIN_BYTES = 1 << 20  # annotation files below this size are indexed faster than a cache is worth
_ABANDONED = 3600.0  # seconds after which an unfinished file has no writer any more
_ARRAYS = (
    "files", "ids", "sizes", "upright", "groups", "offsets", "keypoints", "boxes", "areas", "crowd",
    "annotation_ids", "mask_bytes", "mask_offsets", "notes",
)  # fmt: skip


def open_index(
    annotations: Path,
    folder: Path,
    skeleton: Skeleton,
    *,
    read: Callable[[], PoseIndex],
    cache: str | None,
    reader_settings: object = None,
) -> PoseIndex:
    """Return the index that ``read()`` makes, from the cache where possible.

    ``cache`` is a folder; ``auto`` for ``.pafpose/`` beside the annotations or, where that cannot be written,
    the user's cache folder; or None to read every time. ``reader_settings`` is what else ``read`` depends on.
    """
    size = annotations.stat().st_size if annotations.is_file() and folder.is_dir() else 0
    if cache is None or size < MIN_BYTES:
        return read()
    name = f"{annotations.stem}.{_key(annotations, skeleton, reader_settings)}.npz"
    folders = cache_folders(annotations) if cache == "auto" else [Path(cache)]
    for place in folders:
        if (index := load(place / name, folder)) is not None:
            for _, text in index.notes.tolist():
                log.warning("%s: %s", annotations, text)
            return index
    start = time.perf_counter()
    index = read()
    log.info("%s: indexed in %.1f s", annotations.name, time.perf_counter() - start)
    if index.sizes_stated:
        _save_in_first(index, [place / name for place in folders])
    else:
        log.info("%s: not cached, because it does not state the sizes of its photos", annotations)
    return index


def cache_folders(annotations: Path) -> list[Path]:
    """Return where ``auto`` looks: beside the annotations, then in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [annotations.parent / ".pafpose", user / "pafpose" / "index"]


def save(index: PoseIndex, path: Path) -> None:
    """Write a cache file, completely or not at all; raise ``OSError`` when the folder cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_outdated(path)
    unfinished = path.with_name(f"{path.name}.{uuid4().hex[:8]}.unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **{key: getattr(index, key) for key in _ARRAYS})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: Path, folder: Path) -> PoseIndex | None:
    """Return the index in a cache file; None when there is none, or (logged) when it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return PoseIndex(folder=folder, **{key: arrays[key] for key in _ARRAYS})
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy and zipfile raise errors of a dozen kinds on damaged files
        log.warning("%s: not a usable cache (%s); the annotations are read again", path, error)
        return None


def _save_in_first(index: PoseIndex, paths: list[Path]) -> None:
    """Save to the first of the paths that can be written; log why when none can."""
    reasons = []
    for path in paths:
        try:
            save(index, path)
            return
        except OSError as error:
            reasons.append(f"{path.parent}: {error.strerror or error}")
    log.warning("no cache can be written (%s), so annotations are indexed at every start", "; ".join(reasons))


def _key(annotations: Path, skeleton: Skeleton, reader_settings: object) -> str:
    """Return two short digests: of the annotation file, and of all else that the index depends on."""
    with annotations.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    names = (skeleton.name, skeleton.keypoints, skeleton.derived, skeleton.aliases)
    reader = repr((READER_VERSION, names, reader_settings))
    return f"{content}.{hashlib.sha256(reader.encode()).hexdigest()[:8]}"


def _remove_outdated(path: Path) -> None:
    """Remove caches of earlier versions of the annotation file, and what killed writers left behind."""
    stem, content, *_ = path.name.rsplit(".", 3)
    for other in path.parent.glob("*.npz"):
        parts = other.name.rsplit(".", 3)
        if len(parts) == 4 and parts[0] == stem and parts[1] != content:
            other.unlink(missing_ok=True)
    for other in path.parent.glob("*.unfinished"):
        if time.time() - other.stat().st_mtime > _ABANDONED:
            other.unlink(missing_ok=True)
