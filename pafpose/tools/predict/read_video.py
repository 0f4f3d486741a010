"""Read the pictures of videos and cameras with OpenCV, and notice videos whose end is missing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pafpose.errors import PafposeError
from pafpose.inference.predictor import Frame

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it writes what it thinks of damaged files; we say it

DEFAULT_RATE = 25.0  # frames a second of a video that does not say
_SEGMENT = b"\x18\x53\x80\x67"  # of Matroska and WebM: all that follows the header
_LEAST_SHARE = 0.9  # of the announced frames, of which most formats know the number only about


class Video:
    """A video or camera: iterate over its frames once, then ask ``fault`` whether that was all of it."""

    def __init__(self, source: Path | int, name: str, *, max_frames: int | None = None) -> None:
        self.name = name
        self.fault: str | None = None  # why frames are missing; known after the last one
        self._source, self._max_frames = source, max_frames
        self._capture = _open(source)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else DEFAULT_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if isinstance(source, Path) else 0
        self._announced = int(count) if 0 < count < 1e9 else None

    @property
    def total(self) -> int | None:
        """How many frames there are, as far as the file says; None if it does not, or for a camera."""
        known = [count for count in (self._announced, self._max_frames) if count is not None]
        return min(known) if known else None

    def __iter__(self) -> Iterator[Frame]:
        try:
            number = 0
            while self._max_frames is None or number < self._max_frames:
                there, image = self._capture.read()
                if not there:
                    self.fault = self._why_it_ends(number)
                    return
                yield Frame(_as_rgb(image), self.name, number, number / self.rate)
                number += 1
        finally:
            self._capture.release()

    def _why_it_ends(self, read: int) -> str | None:
        """Return why no frame follows the first ``read`` ones; None at the proper end."""
        if not isinstance(self._source, Path):
            return f"{self.name} gives no more pictures, after {read} frames; was it unplugged?"
        cut = is_cut_off(self._source)
        few = cut is None and self._announced is not None and read < _LEAST_SHARE * self._announced - 1
        if not (cut or few or not read):
            return None
        of = f" of about {self._announced}" if self._announced else ""
        return (
            f"{self._source}: the video ends too early, after {read} frames{of}, whose people are kept; "
            "it is cut off or damaged, so copy or download it again"
        )


def _open(source: Path | int) -> cv2.VideoCapture:
    level = cv2.utils.logging.setLogLevel(0)  # it would list every driver that has no such camera
    try:
        capture = cv2.VideoCapture(str(source) if isinstance(source, Path) else source)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        return capture
    if isinstance(source, Path):
        raise PafposeError(
            f"{source}: cannot be read as a video; it is damaged, its end is missing, or OpenCV lacks its "
            "codec. Copy it again, or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    raise PafposeError(
        f"source={source}: camera {source} cannot be opened, and no file or folder has that name; check "
        "that it is plugged in and that no other program uses it, or give another number (the first is 0)"
    )


def _as_rgb(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def is_cut_off(path: Path) -> bool | None:
    """Return whether a file is shorter than it says itself; None for formats that do not say.

    MP4 and MOV are boxes, AVI one chunk, Matroska and WebM a header and a segment, each with its length.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
        if start[:4] == b"RIFF":
            return int.from_bytes(start[4:8], "little") + 8 > size
        if start[:4] == b"\x1a\x45\xdf\xa3":
            at = start.find(_SEGMENT) + len(_SEGMENT)
            length = _matroska_length(start[at:]) if at >= len(_SEGMENT) else None
            return None if length is None else at + length > size
        if start[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return None
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            if length == 0:  # to the end of the file
                return False
            if length < 8:
                return True
            at += length
        return at > size


def _matroska_length(data: bytes) -> int | None:
    """Return a length, which leading zero bits make longer, with its own bytes; None if it is left open."""
    width = 9 - data[0].bit_length() if data and data[0] else 9
    if width > 8 or len(data) < width:
        return None
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else width + value
