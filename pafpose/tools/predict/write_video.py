"""Write pictures as an MP4 video: H.264 by PyAV, which browsers play, or else MPEG-4 by OpenCV."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from pafpose.errors import PafposeError
from pafpose.runtime.files import whole_file

log = logging.getLogger(__name__)

Write = Callable[[np.ndarray], None]  # of the next picture, RGB uint8 (H, W, 3)


@contextmanager
def write_video(path: Path, *, rate: float, size: tuple[int, int]) -> Iterator[Write]:
    """Open a video of ``size`` (height, width); it appears when the block ends without an error."""
    encoder = _h264 if find_spec("av") else _mpeg4
    with whole_file(path) as part, encoder(part, rate, size) as write:
        yield write


@contextmanager
def _h264(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Write]:
    import av

    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(10_000))
        stream.height, stream.width = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"  # the only one that all browsers play; its colours cover 2 x 2 pixels

        def write(image: np.ndarray) -> None:
            frame = av.VideoFrame.from_ndarray(_to_even(image), format="rgb24")
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


@contextmanager
def _mpeg4(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Write]:
    height, width = (side + side % 2 for side in size)  # OpenCV would cut the last row or column off
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    written = 0

    def write(image: np.ndarray) -> None:
        nonlocal written
        writer.write(cv2.cvtColor(_to_even(image), cv2.COLOR_RGB2BGR))
        written += 1

    try:
        yield write
    finally:
        writer.release()
    _check_whole(path, written)


def _check_whole(path: Path, written: int) -> None:
    """Raise unless a video has as many frames as were written; OpenCV itself reports no failed write."""
    capture = cv2.VideoCapture(str(path))
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    if count != written:
        free = shutil.disk_usage(path.parent).free / 2**20
        raise PafposeError(
            f"{path}: the video could not be written ({free:.0f} MiB are free on that disk); make room, or "
            "install another writer: python -m pip install 'pafpose[video]'"
        )


def _to_even(image: np.ndarray) -> np.ndarray:
    """Repeat the last row or column where a side is odd."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def explain_writer() -> None:
    """Log what is to be installed for videos that browsers play, if it is not."""
    if not find_spec("av"):
        log.info(
            "videos are written as MPEG-4, which browsers do not play; for H.264: "
            "python -m pip install 'pafpose[video]'"
        )
