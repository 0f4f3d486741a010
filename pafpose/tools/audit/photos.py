"""Checks of photo files: present, readable, of the stated size, and each picture only once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from pafpose.data.photo_file import IMAGE_SUFFIXES, Header, PhotoLimits
from pafpose.data.photos.images import DARK_BITS, bits_used, small_grey
from pafpose.errors import PafposeError
from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.split import Json, Split

MAX_DIFFERENCE = 3.0  # grey levels between the 16 x 16 thumbnails of copies, on average
MAX_BITS = 6  # of 64 that may differ between the hashes of copies
MAX_ALIKE = 400  # more photos that share a quarter of their hash are too plain to be compared


class PhotoFile(NamedTuple):
    """What reading a photo file told."""

    path: Path
    fault: str | None  # why it cannot be read
    header: Header = Header((0, 0), 1, False, "")
    digest: bytes = b""  # of the whole file
    hash: int = 0  # 64 comparisons of neighbouring pixels ("difference hash")
    thumbnail: np.ndarray | None = None  # (16, 16) uint8
    bits: int = 8  # that its values take


def audit_photos(splits: Mapping[str, Split], workers: int) -> Iterator[Finding]:
    """Run all checks of photo files, with ``workers`` threads to read them."""
    listed: dict[Path, set[Path]] = defaultdict(set)
    limits: dict[Path, PhotoLimits] = {}
    for split in splits.values():
        paths = [split.folder / photo["file_name"] for photo in split.photos]
        listed[split.folder].update(paths)
        limits |= {path: split.limits for path in paths if path.is_file()}
    with ThreadPoolExecutor(workers) as pool:  # decoding releases Python's lock
        files = {f.path: f for f in pool.map(read_photo_file, limits, limits.values())}
    for split in splits.values():
        yield from _presence(split)
        yield from _contents(split, files)
        if split.folder in listed:
            yield from _unlisted(split, listed.pop(split.folder))
    yield from _copies(splits, files)


def read_photo_file(path: Path, limits: PhotoLimits) -> PhotoFile:
    """Read a photo file once and sum it up."""
    try:
        data, header, grey = small_grey(path, limits)
    except PafposeError as error:
        return PhotoFile(path, str(error).removeprefix(f"{path}: ").split(";")[0])
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = "".join("1" if bit else "0" for bit in (tiny[:, 1:] > tiny[:, :-1]).ravel())
    return PhotoFile(
        path,
        None,
        header,
        digest=hashlib.blake2b(data.tobytes(), digest_size=16).digest(),
        hash=int(bits, 2),
        thumbnail=cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA),
        bits=bits_used(data, path) if header.deep else 8,
    )


def _about(
    split: Split, kind: str, photo: Json, text: str, *, score: float = 1.0, other: Path | None = None
) -> Finding:
    file, number = str(photo["file_name"]), int(photo["id"])
    return Finding(
        kind, split.name, text, score, file=file, image_id=number, other=str(other) if other else None
    )


def _presence(split: Split) -> Iterator[Finding]:
    """Find photos that are missing or listed twice."""
    seen: dict[str, int] = {}
    for photo in split.photos:
        name, number = str(photo["file_name"]), int(photo["id"])
        if name in seen:
            yield _about(split, "duplicate_file", photo, f"ids {seen[name]} and {number} are the same file")
        seen.setdefault(name, number)
        if not (split.folder / name).is_file():
            text = "not a file" if (split.folder / name).exists() else "no such file"
            yield _about(split, "missing_file", photo, text)


def _contents(split: Split, files: Mapping[Path, PhotoFile]) -> Iterator[Finding]:
    """Find photos that are unreadable, of another size or format than stated, or turned by EXIF."""
    suffixes = Image.registered_extensions()
    for photo in split.photos:
        file = files.get(split.folder / str(photo["file_name"]))
        if file is None:
            continue
        if file.fault:
            yield _about(split, "unreadable_file", photo, file.fault)
            continue
        header = file.header
        stored = f"{header.size[1]} x {header.size[0]}"
        stated = (photo.get("height"), photo.get("width"))
        if all(stated) and stated not in (header.size, header.upright_size):
            text = f"stated {stated[1]} x {stated[0]}, found {stored} pixels"
            yield _about(split, "wrong_size", photo, text)
        if header.orientation != 1:
            upright = photo.get("upright") or stated == header.upright_size != header.size
            frame = "turned upright" if upright else "as stored"
            text = f"stored as {stored} with EXIF orientation {header.orientation}; it is read {frame}"
            yield _about(split, "turned", photo, text)
        if header.deep and file.bits <= DARK_BITS:
            yield _about(split, "dark_picture", photo, f"16 bits, but its values take {file.bits}: too dark")
        if suffixes.get(file.path.suffix.lower()) != header.format:
            yield _about(split, "wrong_suffix", photo, f"holds a {header.format} picture")


def _unlisted(split: Split, listed: set[Path]) -> Iterator[Finding]:
    """Find pictures below the folder of a split that no split lists."""
    for path in sorted(split.folder.rglob("*")) if split.folder.is_dir() else ():
        if path.suffix.lower() in IMAGE_SUFFIXES and path not in listed:
            yield Finding(
                "unlisted_file", split.name, "not listed", file=path.relative_to(split.folder).as_posix()
            )


def _copies(splits: Mapping[str, Split], files: Mapping[Path, PhotoFile]) -> Iterator[Finding]:
    """Find pictures that occur twice, in one split or in both."""
    owners: dict[Path, tuple[Split, Json]] = {}
    for split in splits.values():
        for photo in split.photos:
            path = split.folder / str(photo["file_name"])
            first = owners.setdefault(path, (split, photo))[0]
            if first is not split:
                text = f"the same file in {first.name}"
                yield _about(split, "overlap", photo, text, score=2.0, other=path)
    good = [file for path, file in files.items() if path in owners and not file.fault]
    for one, copy, how, score in _pairs(good):
        (split, photo), (other_split, other_photo) = owners[one.path], owners[copy.path]
        kind = "duplicate_picture" if split is other_split else "overlap"
        text = f"{how} as {photo['file_name']} ({split.name})"
        yield _about(other_split, kind, other_photo, text, score=score, other=one.path)


def _pairs(files: Sequence[PhotoFile]) -> Iterator[tuple[PhotoFile, PhotoFile, str, float]]:
    """Yield each copy after the picture it copies: the same bytes, or pictures that look the same."""
    first: dict[bytes, PhotoFile] = {}
    for file in files:
        if file.digest in first:
            yield first[file.digest], file, "the same bytes", 2.0
        first.setdefault(file.digest, file)
    quarters: dict[tuple[int, int], list[PhotoFile]] = defaultdict(list)  # hashes of copies share one of 4
    for file in first.values():
        for n in range(4):
            quarters[n, file.hash >> 16 * n & 0xFFFF].append(file)
    known: set[Path] = set()
    for alike in quarters.values():
        for one, other in combinations(alike, 2) if len(alike) <= MAX_ALIKE else ():
            if other.path not in known and _look_the_same(one, other):
                known.add(other.path)
                yield one, other, "looks the same", 1.0


def _look_the_same(one: PhotoFile, other: PhotoFile) -> bool:
    if one.thumbnail is None or other.thumbnail is None or (one.hash ^ other.hash).bit_count() > MAX_BITS:
        return False
    aspects = [file.header.size[0] / max(file.header.size[1], 1) for file in (one, other)]
    if abs(aspects[0] / aspects[1] - 1) > 0.02:
        return False
    return float(np.abs(one.thumbnail.astype(int) - other.thumbnail).mean()) < MAX_DIFFERENCE
