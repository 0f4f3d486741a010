"""Photo files: which of them may be opened, their bytes, and what their headers say."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pafpose.errors import PafposeError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
WAY_OUT = "fetch the file again, or leave such files out with data.on_error=skip"
MAX_PIXELS = 100_000_000  # of a photo: 300 MB once it is decoded

_ORIENTATION = 0x0112  # EXIF tag: how to turn the stored picture; 5 to 8 exchange width and height
_BYTES_PER_PIXEL = 8  # of the largest file: 16-bit RGBA without compression
_pillow_limit = threading.Lock()


class PhotoLimits(NamedTuple):
    """Which photo files may be opened: ``data.max_pixels`` and ``data.allow_outside``."""

    max_pixels: int = MAX_PIXELS
    inside: tuple[str, ...] = ()  # real paths of the folders that photos must lie in; empty: anywhere


DEFAULT_LIMITS = PhotoLimits()


class PhotoFile(NamedTuple):
    """A photo, and the frame in which its labels are given."""

    path: Path
    size: tuple[int, int]  # (height, width) of the frame of the labels
    upright: bool = False  # the labels are those of the picture after its EXIF rotation
    limits: PhotoLimits = DEFAULT_LIMITS


class Header(NamedTuple):
    """What the header of a picture file says."""

    size: tuple[int, int]  # (height, width) as stored
    orientation: int  # EXIF: 1 is upright
    transparent: bool  # has an alpha channel or a transparent colour
    format: str  # of the content, as Pillow names it: JPEG, PNG
    deep: bool = False  # stored with 16 bits a channel

    @property
    def upright_size(self) -> tuple[int, int]:
        """The (height, width) after the EXIF rotation."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def read_bytes(path: str | Path, limits: PhotoLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Return the bytes of a photo; raise ``PafposeError`` unless it is a regular file within the limits."""
    size = _checked_size(path, limits, "cannot read the picture")
    if not size:
        raise PafposeError(f"{path}: the picture file is empty (0 bytes); {WAY_OUT}")
    try:
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise PafposeError(f"{path}: cannot read the picture: {error.strerror}; {WAY_OUT}") from error


def read_header(
    path: str | Path, limits: PhotoLimits = DEFAULT_LIMITS, *, data: np.ndarray | None = None
) -> Header:
    """Return the header of a picture file, or of its bytes if those were read already.

    Raises ``PafposeError`` if it is no picture, or one of more pixels than ``data.max_pixels``.
    """
    if data is None:
        _checked_size(path, limits, "cannot read the size of this picture")
    try:
        with open_picture(path if data is None else io.BytesIO(data.tobytes())) as picture:
            header = _header(picture)
    except Exception as error:  # Pillow raises errors of a dozen kinds on damaged files
        what = "" if data is not None else "cannot read the size of this picture: "
        raise PafposeError(f"{path}: {what}not a picture, or a damaged one; {WAY_OUT}") from error
    height, width = header.size
    if height * width > limits.max_pixels:
        raise PafposeError(
            f"{path}: {width} x {height} pixels, more than data.max_pixels={limits.max_pixels}; raise that, "
            "shrink the photo, or leave such files out with data.on_error=skip"
        )
    return header


def refuse_outside(path: str | Path, inside: tuple[str, ...]) -> None:
    """Raise ``PafposeError`` if a path, symbolic links resolved, is in none of the folders ``inside``."""
    real = os.path.realpath(path)
    if inside and not any(
        real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in inside
    ):
        leads = "" if real == os.path.normpath(path) else f" (it leads to {real})"
        raise PafposeError(
            f"{path}: lies outside the data folder {inside[0]}{leads}; move it there, or set "
            "data.allow_outside=true if you trust the annotation file"
        )


@contextmanager
def open_picture(source: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture without Pillow's limit of pixels, which cannot be raised for one picture alone."""
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with picture:
        yield picture


def _header(picture: Image.Image) -> Header:
    size = picture.height, picture.width
    deep = _is_deep(picture)
    if picture.format == "TIFF":  # Pillow and OpenCV turn these themselves
        return Header(size, 1, picture.has_transparency_data, "TIFF", deep)
    try:
        orientation = int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata; the pixels may be fine
        orientation = 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    return Header(size, orientation, picture.has_transparency_data, str(picture.format), deep)


def _is_deep(picture: Image.Image) -> bool:
    """Whether a PNG or TIFF has 16 bits a channel; Pillow's raw mode says so, its mode only for grey ones."""
    return picture.format in {"PNG", "TIFF"} and ";16" in str(getattr(picture, "tile", "")[:1])


def _checked_size(path: str | Path, limits: PhotoLimits, complaint: str) -> int:
    """Return the size of a file in bytes; raise unless it is a regular file within the limits."""
    if limits.inside:
        refuse_outside(path, limits.inside)
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise PafposeError(f"{path}: {complaint}: {reason}; {WAY_OUT}") from error
    if not stat.S_ISREG(found.st_mode):
        raise PafposeError(f"{path}: {complaint}: not a regular file; {WAY_OUT}")
    if found.st_size > _BYTES_PER_PIXEL * max(limits.max_pixels, 1_000_000):
        raise PafposeError(
            f"{path}: {complaint}: {found.st_size} bytes are too many for data.max_pixels="
            f"{limits.max_pixels}; raise that, or leave such files out with data.on_error=skip"
        )
    return found.st_size
