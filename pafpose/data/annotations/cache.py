"""Indexed annotations on disk: opened in a moment, mapped into memory that all workers and ranks share.

A cache file is named after what it was made from: the bytes of the annotation file, the skeleton's keypoints,
the version of the reader. It appears whole or not at all, and one that is damaged is made again.

The file: ``MAGIC``, the length and the CRC-32 of the rest (8 bytes each), the length of the header (8 bytes),
the header in JSON (name to dtype, shape and offset), and the arrays, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations.index import PoseIndex, Ragged, pack_masks
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

READER_VERSION = 2  # raise it when the same annotations give another index
MAGIC = b"pafpose index 1\n"
WORTH_IT = 1 << 20  # bytes; smaller annotation files are read faster than a cache is worth
_FIXED = len(MAGIC) + 24
_ALIGN = 64
_ABANDONED = 3600.0  # seconds after which an unfinished file belongs to nobody
_ARRAYS = ("files", "ids", "sizes", "first", "keypoints", "boxes", "areas", "crowd", "annotation_ids")


def open_index(
    annotations: Path,
    folder: Path,
    skeleton: Skeleton,
    *,
    read: Callable[[], PoseIndex],
    cache: str | None,
    reading: object = None,
) -> PoseIndex:
    """The index that ``read()`` gives, masks packed; from a cache file when there is a good one.

    ``cache``: a folder; ``auto``: ``.pafpose/`` beside the annotations or, where nothing can be written, the
    user's cache folder; None: read every time. A cache that cannot be written is logged, and not needed.
    ``reading`` is whatever else ``read`` depends on.
    """
    size = annotations.stat().st_size if annotations.is_file() and folder.is_dir() else 0
    if cache is None or size < WORTH_IT:
        return pack_masks(read())
    name = f"{annotations.stem}.{_key(annotations, skeleton, reading)}.index"
    homes = cache_folders(annotations) if cache == "auto" else [Path(cache)]
    for home in homes:
        if (index := load(home / name, folder)) is not None:
            return index
    start = time.perf_counter()
    index = pack_masks(read())
    log.info("%s: indexed in %.1f s", annotations.name, time.perf_counter() - start)
    if not index.sizes_stated:
        log.info("%s: not cached: it does not state the sizes of its photos", annotations)
        return index
    return _store(index, folder, homes, name) or index


def cache_folders(annotations: Path) -> list[Path]:
    """Where ``auto`` looks: beside the annotations, then in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [annotations.parent / ".pafpose", user / "pafpose" / "index"]


def save(index: PoseIndex, path: Path) -> None:
    """Write a cache file: beside its place, to the disk, and then renamed. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    body = _pack(index)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".unfinished", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC)
            file.write(np.array([len(body), zlib.crc32(body)], "<u8").tobytes())
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path, folder: Path) -> PoseIndex | None:
    """The index of a cache file, mapped into memory; None when it is missing or damaged (then logged)."""
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _unpack(content, folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        log.warning("%s: not a usable cache (%s); the annotations are read again", path, error)
        return None


def _store(index: PoseIndex, folder: Path, homes: list[Path], name: str) -> PoseIndex | None:
    """Save into the first folder that lets us, and give the mapped copy; None after one line to the log."""
    reasons = []
    for home in homes:
        try:
            save(index, home / name)
            return load(home / name, folder)
        except OSError as error:
            reasons.append(f"{home}: {error.strerror or error}")
    log.warning("annotations are indexed anew each time, no cache can be kept (%s)", "; ".join(reasons))
    return None


def _key(annotations: Path, skeleton: Skeleton, reading: object) -> str:
    """Two short digests: of the content, and of all else that the index depends on."""
    with annotations.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    names = (skeleton.name, skeleton.keypoints, skeleton.derived, skeleton.aliases)
    how = repr((READER_VERSION, names, reading))
    return f"{content}.{hashlib.sha256(how.encode()).hexdigest()[:8]}"


def _sweep(path: Path) -> None:
    """Remove caches of earlier contents of this annotation file, and what a killed process left behind."""
    stem, content, *_ = path.name.rsplit(".", 3)
    for other in path.parent.glob("*.index"):
        parts = other.name.rsplit(".", 3)
        if len(parts) == 4 and parts[0] == stem and parts[1] != content:
            other.unlink(missing_ok=True)
    for other in path.parent.glob("*.unfinished"):
        if time.time() - other.stat().st_mtime > _ABANDONED:
            other.unlink(missing_ok=True)


def _items(index: PoseIndex) -> Iterator[tuple[str, np.ndarray]]:
    for key in _ARRAYS:
        yield key, np.ascontiguousarray(getattr(index, key))
    yield "rle.values", index.rle.values
    yield "rle.first", index.rle.first


def _pack(index: PoseIndex) -> bytes:
    header, parts, offset = {}, [], 0
    for key, array in _items(index):
        header[key] = [array.dtype.str, array.shape, offset]
        room = -(-array.nbytes // _ALIGN) * _ALIGN
        parts.append(array.tobytes() + bytes(room - array.nbytes))
        offset += room
    text = json.dumps(header).encode()
    text += b" " * (-(_FIXED + len(text)) % _ALIGN)
    return b"".join([np.array([len(text)], "<u8").tobytes(), text, *parts])


def _unpack(content: memoryview, folder: Path) -> PoseIndex:
    if bytes(content[: len(MAGIC)]) != MAGIC:
        raise ValueError("another kind of file, or another version")
    length, check, text = np.frombuffer(content[len(MAGIC) : _FIXED], "<u8").tolist()
    body = content[len(MAGIC) + 16 :]
    if len(body) != length or zlib.crc32(body) != check:
        raise ValueError("incomplete or changed")
    start = _FIXED + text
    arrays = {
        key: np.frombuffer(content, dtype, int(np.prod(shape)), start + offset).reshape(shape)
        for key, (dtype, shape, offset) in json.loads(bytes(content[_FIXED:start])).items()
    }
    plain: dict[str, Any] = {key: arrays[key] for key in _ARRAYS}
    return PoseIndex(
        folder=folder,
        **plain,
        polygons=Ragged.of([], np.float64),
        polygon_first=np.zeros(len(arrays["areas"]) + 1, np.int64),
        rle=Ragged(arrays["rle.values"], arrays["rle.first"]),
    )
