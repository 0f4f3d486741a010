"""The annotations of one split in memory: flat arrays, which forked loader processes share without copying.

Keypoints and boxes are in photo pixels, in the one frame that :mod:`pafpose.geometry` states. Readers have
moved boxes there from the frame of their file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pafpose.data.photo_file import DEFAULT_LIMITS, PhotoFile, PhotoLimits


@dataclass(frozen=True)
class PoseIndex:
    """N photos in ascending order of id, with M people in all.

    The people of photo ``n`` are the rows ``people(n)``, in the order of the annotation file.
    """

    folder: Path  # of the photos
    files: np.ndarray  # (N,) str, relative to the folder
    ids: np.ndarray  # (N,) int64, ascending
    sizes: np.ndarray  # (N, 2) int64 (height, width)
    upright: np.ndarray  # (N,) bool: the labels are those of the photo after its EXIF rotation
    groups: np.ndarray  # (N,) int64: photos of one video or folder have the same number
    offsets: np.ndarray  # (N + 1,) int64: photo n has the people offsets[n] .. offsets[n + 1] - 1
    keypoints: np.ndarray  # (M, K, 3) float32 x, y, v in skeleton order, derived keypoints filled in
    boxes: np.ndarray  # (M, 4) float64 x, y, w, h; (x, y) is a point in the frame of the keypoints
    areas: np.ndarray  # (M,) float64 px^2
    crowd: np.ndarray  # (M,) bool
    annotation_ids: np.ndarray  # (M,) int64
    mask_bytes: np.ndarray  # uint8, the compressed run lengths of all people, one after the other
    mask_offsets: np.ndarray  # (M + 1,) int64: person m has mask_bytes[mask_offsets[m]:mask_offsets[m + 1]]
    notes: np.ndarray  # (W, 2) str: kinds and texts of the warnings that the file gave rise to
    limits: PhotoLimits = DEFAULT_LIMITS  # which photos may be opened
    sizes_stated: bool = True  # False: the annotation file lacks sizes, so some were read from the photos

    def __len__(self) -> int:
        return len(self.files)

    def path(self, photo: int) -> Path:
        """Return the picture file of a photo."""
        return self.folder / str(self.files[photo])

    def photo(self, photo: int) -> PhotoFile:
        """Return the picture file of a photo with the frame of its labels."""
        return PhotoFile(self.path(photo), self.size(photo), bool(self.upright[photo]), self.limits)

    def people(self, photo: int) -> slice:
        """Return the rows of the people in a photo."""
        return slice(int(self.offsets[photo]), int(self.offsets[photo + 1]))

    def size(self, photo: int) -> tuple[int, int]:
        """Return the (height, width) of a photo."""
        height, width = self.sizes[photo].tolist()
        return height, width

    def photo_of(self) -> np.ndarray:
        """Return (M,): the photo of every person."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def without_people(self) -> np.ndarray:
        """Return the rows of the photos that have no annotation."""
        return np.flatnonzero(np.diff(self.offsets) == 0)

    def mask(self, person: int) -> bytes:
        """Return a person's mask in compressed run lengths; empty when the file gives none."""
        return self.mask_bytes[self.mask_offsets[person] : self.mask_offsets[person + 1]].tobytes()

    def has_mask(self) -> np.ndarray:
        """Return (M,) bool: whose annotation has a segmentation."""
        return np.diff(self.mask_offsets) > 0

    def select(self, photos: np.ndarray) -> PoseIndex:
        """Return a copy with these photos only, given as ascending rows, and their people."""
        counts = np.diff(self.offsets)[photos]
        people = concatenate_ranges(self.offsets[:-1][photos], counts)
        lengths = np.diff(self.mask_offsets)[people]
        of_photos = {
            key: getattr(self, key)[photos] for key in ("files", "ids", "sizes", "upright", "groups")
        }
        of_people = {
            key: getattr(self, key)[people]
            for key in ("keypoints", "boxes", "areas", "crowd", "annotation_ids")
        }
        return replace(
            self,
            **of_photos,
            **of_people,
            offsets=to_offsets(counts),
            mask_bytes=self.mask_bytes[concatenate_ranges(self.mask_offsets[:-1][people], lengths)],
            mask_offsets=to_offsets(lengths),
        )

    def head(self, photos: int) -> PoseIndex:
        """Return the first photos by id."""
        return self if photos >= len(self) else self.select(np.arange(photos))


def to_offsets(lengths: np.ndarray) -> np.ndarray:
    """Return where rows of these lengths start in one flat array, and where the last one ends.

    >>> to_offsets(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def concatenate_ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return ``start, start + 1, ...`` for every start, ``length`` numbers each, in one array.

    >>> concatenate_ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(np.sum(lengths)))


def count_labelled(index: PoseIndex, scored: tuple[int, ...], *, occluded: bool = True) -> np.ndarray:
    """Return (M,) numbers of labelled ``scored`` keypoints; ``occluded=False`` counts only v = 2."""
    return (index.keypoints[:, list(scored), 2] >= (1 if occluded else 2)).sum(-1)
