"""A pose data set in memory: compact arrays that forked workers share, sorted by photo id.

Coordinates are photo pixels as the annotation file has them (keypoints: an integer is a pixel's centre).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Ragged(NamedTuple):
    """Rows of different lengths in one flat array; row ``i`` is ``values[first[i]:first[i + 1]]``."""

    values: np.ndarray
    first: np.ndarray  # (rows + 1,) int64

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        return self.values[self.first[row] : self.first[row + 1]]

    def take(self, first: int, last: int) -> Ragged:
        """Rows ``first`` to ``last - 1``, without a copy."""
        start = int(self.first[first])
        values = self.values[start : int(self.first[last])]
        return Ragged(values, self.first[first : last + 1] - start)

    def select(self, rows: np.ndarray) -> Ragged:
        """The given rows, copied."""
        where = spans(self.first[:-1][rows], np.diff(self.first)[rows])
        lengths = np.diff(self.first)[rows]
        return Ragged(self.values[where], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @staticmethod
    def of(rows: list[np.ndarray], dtype: type) -> Ragged:
        """Pack a list of 1-d arrays."""
        first = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=first[1:])
        values = np.concatenate([np.asarray(row, dtype) for row in rows]) if rows else np.zeros(0, dtype)
        return Ragged(values, first)


@dataclass(frozen=True)
class PoseIndex:
    """N photos with M people; the people of photo ``n`` are the rows ``people(n)``, in file order."""

    folder: Path  # of the photos
    files: np.ndarray  # (N,) str
    ids: np.ndarray  # (N,) int64, ascending
    sizes: np.ndarray  # (N, 2) int64 (height, width)
    first: np.ndarray  # (N + 1,) int64
    keypoints: np.ndarray  # (M, K, 3) float32, skeleton order, derived ones filled
    boxes: np.ndarray  # (M, 4) float64 x, y, w, h
    areas: np.ndarray  # (M,) float64 px^2
    crowd: np.ndarray  # (M,) bool
    annotation_ids: np.ndarray  # (M,) int64
    polygons: Ragged  # float64 x0, y0, x1, ... of all people
    polygon_first: (
        np.ndarray
    )  # (M + 1,): person m has the polygons polygon_first[m] .. polygon_first[m + 1] - 1
    rle: Ragged  # uint8, COCO's compressed run lengths; an empty row where there are none
    sizes_stated: bool = True  # by the annotation file; False: some were read from the photos

    def __len__(self) -> int:
        return len(self.files)

    def path(self, photo: int) -> Path:
        """The picture file of a photo."""
        return Path(self.file(photo))

    def file(self, photo: int) -> str:
        """The same as text, for those who ask often."""
        return f"{self._folder}{self.files[photo]}"

    @cached_property
    def _folder(self) -> str:
        return f"{self.folder}{os.sep}"

    def people(self, photo: int) -> slice:
        """Rows of the people of a photo."""
        return slice(int(self.first[photo]), int(self.first[photo + 1]))

    def size(self, photo: int) -> tuple[int, int]:
        """(height, width) of a photo."""
        height, width = self.sizes[photo].tolist()
        return height, width

    def photo_of(self) -> np.ndarray:
        """(M,) the photo of every person."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def person_polygons(self, person: int) -> list[np.ndarray]:
        """The polygons of a person as x0, y0, x1, ..."""
        return [self.polygons[q] for q in range(self.polygon_first[person], self.polygon_first[person + 1])]

    def select(self, photos: np.ndarray) -> PoseIndex:
        """The given photos, rows in ascending order, and their people, copied."""
        counts = np.diff(self.first)[photos]
        people = spans(self.first[:-1][photos], counts)
        shapes = np.diff(self.polygon_first)[people]
        return replace(
            self,
            **{key: getattr(self, key)[photos] for key in ("files", "ids", "sizes")},
            first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **{key: getattr(self, key)[people] for key in _OF_PEOPLE},
            polygons=self.polygons.select(spans(self.polygon_first[:-1][people], shapes)),
            polygon_first=np.concatenate([[0], np.cumsum(shapes)]).astype(np.int64),
            rle=self.rle.select(people),
        )

    def head(self, photos: int) -> PoseIndex:
        """The first photos by id, without copying what belongs to people."""
        if photos >= len(self):
            return self
        people = int(self.first[photos])
        first = int(self.polygon_first[people])
        return replace(
            self,
            **{key: getattr(self, key)[:photos] for key in ("files", "ids", "sizes")},
            first=self.first[: photos + 1],
            **{key: getattr(self, key)[:people] for key in _OF_PEOPLE},
            polygons=self.polygons.take(0, first),
            polygon_first=self.polygon_first[: people + 1],
            rle=self.rle.take(0, people),
        )


_OF_PEOPLE = ("keypoints", "boxes", "areas", "crowd", "annotation_ids")


def spans(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``first[0], first[0] + 1, ..., first[1], ...``: so many numbers from each start, in one array.

    >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(first - before, lengths) + np.arange(int(np.sum(lengths)))


def pack_masks(index: PoseIndex) -> PoseIndex:
    """The same people with all segmentations as compressed run lengths: smaller, and quicker to look up."""
    from pafpose.data.photos.ignored import segmentation

    photo_of, nothing = index.photo_of(), np.zeros(0, np.uint8)
    masks = [segmentation(index, int(photo), m) for m, photo in enumerate(photo_of)]
    return replace(
        index,
        polygons=Ragged.of([], np.float64),
        polygon_first=np.zeros(len(masks) + 1, np.int64),
        rle=Ragged.of([nothing if mask is None else mask for mask in masks], np.uint8),
    )


def count_labelled(index: PoseIndex, scored: tuple[int, ...], *, occluded: bool = True) -> np.ndarray:
    """(M,) labelled keypoints of each person, derived ones not counted; ``occluded=False``: only v = 2."""
    return (index.keypoints[:, list(scored), 2] >= (1 if occluded else 2)).sum(-1)
