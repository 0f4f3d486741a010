"""Auditing photos: there, readable, of the stated size, and each picture once over both splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from pafpose.data.image_header import IMAGE_SUFFIXES, stored_size, upright_size
from pafpose.data.photos.images import small_grey
from pafpose.errors import PafposeError
from pafpose.tools.audit.annotations import Table
from pafpose.tools.audit.findings import Finding

Json = dict[str, Any]
ALIKE = 3.0  # grey levels of mean difference between 16 x 16 thumbnails
BITS = 6  # of 64 that may differ between copies
CROWDED = 400  # pictures with one hash band: too plain to compare
KINDS = {b"\xff\xd8": "jpg", b"\x89P": "png", b"BM": "bmp", b"RI": "webp", b"II": "tif", b"MM": "tif"}
SAME = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif"}


class Facts(NamedTuple):
    """What a look at one photo file tells."""

    path: Path
    fault: str | None  # why it cannot be read
    stored: tuple[int, int] = (0, 0)  # height, width
    upright: tuple[int, int] = (0, 0)
    digest: bytes = b""
    hash: int = 0  # 64 brightness comparisons
    thumb: np.ndarray | None = None  # (16, 16) uint8
    kind: str = ""


def inspect(path: Path) -> Facts:
    """Read a photo once and sum it up."""
    try:
        data, grey = small_grey(path)
        stored, upright = stored_size(path), upright_size(path)
    except PafposeError as error:
        return Facts(path, str(error).removeprefix(f"{path}: ").split(";")[0])
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    bits = (tiny[:, 1:] > tiny[:, :-1]).ravel()
    thumb = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    number = int("".join("1" if bit else "0" for bit in bits), 2)
    digest = hashlib.blake2b(data.tobytes(), digest_size=16).digest()
    return Facts(path, None, stored, upright, digest, number, thumb, KINDS.get(data[:2].tobytes(), ""))


def inspect_all(paths: Sequence[Path], workers: int) -> dict[Path, Facts]:
    """``inspect`` of every file, side by side: decoding releases Python's lock."""
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(paths, pool.map(inspect, paths), strict=True))


def audit_presence(table: Table, folder: Path) -> Iterator[Finding]:
    """Files that are missing, listed twice, or listed nowhere."""
    seen: dict[str, int] = {}
    for photo in table.photos:
        name, number = str(photo["file_name"]), int(photo["id"])
        if name in seen:
            text = f"ids {seen[name]} and {number} are the same file"
            yield Finding("same_file", table.split, text, 1.0, file=name, image_id=number)
        seen.setdefault(name, number)
        if not (folder / name).is_file():
            text = "no such file" if not (folder / name).exists() else "not a file"
            yield Finding("missing_file", table.split, text, 1.0, file=name, image_id=number)


def unlisted(folder: Path, listed: set[str], split: str) -> Iterator[Finding]:
    """Pictures below a folder that none of the splits that use it lists."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in IMAGE_SUFFIXES and name not in listed:
            yield Finding("unlisted_file", split, "not listed", file=name)


def audit_files(table: Table, folder: Path, facts: dict[Path, Facts]) -> Iterator[Finding]:
    """What is wrong with single files of a split."""
    for photo in table.photos:
        name, number = str(photo["file_name"]), int(photo["id"])
        fact = facts.get(folder / name)
        if fact is None:
            continue

        def about(kind: str, text: str, name: str = name, number: int = number) -> Finding:
            return Finding(kind, table.split, text, 1.0, file=name, image_id=number)

        if fact.fault:
            yield about("unreadable_file", fact.fault)
            continue
        stated = (photo.get("height"), photo.get("width"))
        if all(stated) and stated not in (fact.stored, fact.upright):
            text = f"stated {stated[1]} x {stated[0]}, found {fact.stored[1]} x {fact.stored[0]} pixels"
            yield about("wrong_size", text)
        if fact.stored != fact.upright:
            yield about("turned", f"stored {fact.stored[1]} x {fact.stored[0]}, its EXIF tag turns it")
        suffix = Path(name).suffix[1:].lower()
        if fact.kind and SAME.get(suffix, suffix) != fact.kind:
            yield about("misnamed", f"holds a {fact.kind} picture")


def audit_copies(splits: dict[str, tuple[Table, Path]], facts: dict[Path, Facts]) -> Iterator[Finding]:
    """Pictures that are there twice: an overlap when in both splits."""
    owners: dict[Path, tuple[str, Json]] = {}
    for split, (table, folder) in splits.items():
        for photo in table.photos:
            path = folder / str(photo["file_name"])
            if path in owners and owners[path][0] != split:
                yield _pair(owners[path], (split, photo), path, "the same file")
            owners.setdefault(path, (split, photo))
    good = [fact for path, fact in facts.items() if path in owners and not fact.fault]
    for one, other, how in _copies(good):
        yield _pair(owners[one.path], owners[other.path], one.path, how)


def _pair(first: tuple[str, Json], second: tuple[str, Json], path: Path, how: str) -> Finding:
    (split, photo), (other_split, other) = first, second
    kind = "same_picture" if split == other_split else "overlap"
    text = f"{how} as {photo['file_name']} ({split})" if how != "the same file" else f"{how} in {split}"
    return Finding(
        kind,
        other_split,
        text,
        2.0 if how != "looks the same" else 1.0,
        file=str(other["file_name"]),
        image_id=int(other["id"]),
        other=str(path),
    )


def _copies(facts: Sequence[Facts]) -> Iterator[tuple[Facts, Facts, str]]:
    """Later copies with the first of their kind: the same bytes, or pictures that look the same."""
    first: dict[bytes, Facts] = {}
    for fact in facts:
        if fact.digest in first:
            yield first[fact.digest], fact, "the same bytes"
        first.setdefault(fact.digest, fact)
    bands: dict[tuple[int, int], list[Facts]] = defaultdict(list)
    for fact in first.values():
        for band in range(4):
            bands[band, fact.hash >> 16 * band & 0xFFFF].append(fact)
    known: set[Path] = set()
    for members in bands.values():
        for one, other in combinations(members, 2) if len(members) <= CROWDED else ():
            if other.path not in known and _alike(one, other):
                known.add(other.path)
                yield one, other, "looks the same"


def _alike(one: Facts, other: Facts) -> bool:
    if (one.hash ^ other.hash).bit_count() > BITS or one.thumb is None or other.thumb is None:
        return False
    if abs(one.stored[0] * other.stored[1] / max(one.stored[1] * other.stored[0], 1) - 1) > 0.02:
        return False
    return float(np.abs(one.thumb.astype(int) - other.thumb).mean()) < ALIKE
