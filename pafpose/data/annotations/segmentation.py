"""Segmentations of annotation files as compressed run lengths, checked before pycocotools sees them.

pycocotools trusts its input: coordinates that are not finite or far away crash it or fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pafpose.data.masks import encode_counts, encode_polygons
from pafpose.errors import shown

_MAX_DEPTH = 3  # of lists: polygons, points
_MAX_LENGTH = (
    100  # of all outlines, in borders of the photo; pycocotools needs memory for every pixel of them
)


def encode_segmentation(value: Any, size: tuple[int, int]) -> bytes:
    """Return the mask of a person in a photo of (height, width); empty if none is given.

    Polygons may be ``[x, y, x, y, ...]`` or ``[[x, y], ...]``, one or several, nested once too often. Run
    lengths may be plain or compressed. Raises ``ValueError`` that says what is wrong.
    """
    if not value:
        return b""
    if isinstance(value, Mapping):
        return _encode_run_lengths(value, size)
    polygons = [polygon for polygon in _polygons(value) if len(polygon) >= 6]
    _check_polygons(polygons, size)
    return encode_polygons(polygons, size) if polygons else b""


def _polygons(value: Any, depth: int = 0) -> list[np.ndarray]:
    """Return the polygons in a list that is one itself, or holds some, at any of a few levels."""
    if not isinstance(value, list | tuple) or depth > _MAX_DEPTH:
        raise ValueError(f"segmentation {shown(value)} is neither polygons nor run lengths")
    if _are_numbers(value):
        return [_polygon(value)]
    if len(value) >= 3 and all(
        isinstance(p, list | tuple) and len(p) == 2 and _are_numbers(p) for p in value
    ):
        return [_polygon([number for point in value for number in point])]
    return [polygon for row in value for polygon in _polygons(row, depth + 1)]


def _are_numbers(row: Sequence[Any]) -> bool:
    return set(map(type, row)) <= {int, float, bool, type(None)}


def _polygon(row: Sequence[float | None]) -> np.ndarray:
    if len(row) % 2:
        raise ValueError(f"segmentation has a polygon of {len(row)} numbers, so some point lacks its y")
    try:
        return np.array(row, float)
    except OverflowError as error:
        raise ValueError("segmentation has numbers that are too large") from error


def _check_polygons(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> None:
    """Raise ``ValueError`` for points more than one photo away from the photo, and for endless outlines."""
    sides, reach = np.array(size[::-1]), max(size)
    length = 0.0
    for polygon in polygons:
        points = polygon.reshape(-1, 2)
        far = ~((points >= -reach) & (points <= sides + reach)).all(-1)  # NaN is far too
        if far.any():
            raise ValueError(
                f"segmentation has the point {points[far][0].tolist()}, far outside the photo of "
                f"{size[1]} x {size[0]} pixels"
            )
        length += float(np.abs(np.diff(points, axis=0, append=points[:1])).sum())
    if length > _MAX_LENGTH * 2 * sum(size):
        raise ValueError(f"segmentation has outlines of {length:.0f} px, too long for a photo of {size}")


def _encode_run_lengths(value: Mapping[str, Any], size: tuple[int, int]) -> bytes:
    stated, counts = value.get("size", list(size)), value.get("counts")
    if not isinstance(stated, list | tuple) or list(stated) != list(size):
        raise ValueError(f"its RLE mask is {shown(stated)} (height, width), the photo {list(size)}")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if isinstance(counts, str):
        _check_counts(_decompress(counts), size)
        return counts.encode()
    if not isinstance(counts, list | tuple) or not all(isinstance(n, int) for n in counts):
        raise ValueError(f"the counts of its RLE mask are {shown(counts)}, no whole numbers")
    if any(not 0 <= n <= size[0] * size[1] for n in counts):
        raise ValueError("the counts of its RLE mask are negative, or larger than the photo")
    _check_counts(np.array(counts, np.int64), size)
    return encode_counts(counts, size)


def _check_counts(counts: np.ndarray, size: tuple[int, int]) -> None:
    total, pixels = int(counts.sum()), size[0] * size[1]
    if (counts < 0).any() or total != pixels:
        raise ValueError(f"its RLE mask covers {total} pixels, but the photo has {pixels}")


def _decompress(text: str) -> np.ndarray:
    """Return the run lengths in COCO's compressed form (pycocotools, ``rleFrString``).

    A character holds five bits, the lowest first, and whether more follow. From the fourth on, a number is
    the difference from the last but one.

    >>> _decompress("052203").tolist()
    [0, 5, 2, 7, 2, 10]
    """
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        raise ValueError("its compressed RLE mask is damaged")
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:  # 35 bits; no photo has such runs
        raise ValueError("its compressed RLE mask is damaged")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
