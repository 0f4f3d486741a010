"""Finding photos whose labels are those of the turned picture, although the file states the stored size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pafpose.data.annotations.faults import Note
from pafpose.data.photo_file import PhotoLimits, read_header
from pafpose.errors import PafposeError

_MARGIN = 1.0  # px by which keypoints may leave a photo


def find_turned(
    files: Sequence[str],
    sizes: np.ndarray,
    keypoints: np.ndarray,
    photo_of: np.ndarray,
    *,
    folder: Path,
    limits: PhotoLimits,
    notes: list[Note],
) -> np.ndarray:
    """Return (N,) which photos to turn by their EXIF rotation before their labels fit.

    Some tools state the size of the picture as stored and label it as shown. That is certain of a photo with
    a quarter turn whose keypoints leave the stated size and fit the turned one. One such photo decides for
    all photos of the file with a quarter turn, unless their keypoints fit the stated size alone.

    ``sizes`` (N, 2) are stated heights and widths, ``keypoints`` (M, K, 3) those of the people in photos
    ``photo_of`` (M,).
    """
    turned = np.zeros(len(files), bool)
    reach = _reach(keypoints, photo_of, len(files))
    leave_stated = (reach > sizes[:, ::-1] - 0.5 + _MARGIN).any(-1)
    leave_turned = (reach > sizes - 0.5 + _MARGIN).any(-1)
    possible = functools.partial(_is_stored_turned, files=files, sizes=sizes, folder=folder, limits=limits)
    if not any(map(possible, np.flatnonzero(leave_stated & ~leave_turned).tolist())):
        return turned
    for n in np.flatnonzero(~leave_turned).tolist():
        turned[n] = possible(n)
    text = (
        f"{turned.sum()} photos are stored turned by a quarter (EXIF), with the size as stored and labels of "
        f"the upright picture (the first is {files[int(turned.argmax())]}); they are read upright"
    )
    notes.append(Note("turned", text))
    return turned


def _reach(keypoints: np.ndarray, photo_of: np.ndarray, photos: int) -> np.ndarray:
    """Return (N, 2): the largest x and y of a labelled keypoint in each photo."""
    xy = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], -np.inf)
    reach = np.full((photos, 2), -np.inf)
    np.maximum.at(reach, photo_of, xy.max(1, initial=-np.inf))
    return reach


def _is_stored_turned(
    photo: int, *, files: Sequence[str], sizes: np.ndarray, folder: Path, limits: PhotoLimits
) -> bool:
    """Whether a photo has the stated size and an EXIF rotation by a quarter."""
    try:
        header = read_header(folder / files[photo], limits)
    except PafposeError:  # reported when the photo is read
        return False
    return header.orientation >= 5 and header.size == tuple(sizes[photo].tolist())
