"""Reading photos: RGB uint8, clear errors, smaller decoding, and the evaluation input.

Annotations live in the frame whose size the data set states. Like COCO's own tools we ignore the EXIF
orientation, unless the stated size is that of the turned picture.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import cv2
import numpy as np

from pafpose import geometry
from pafpose.data.photos.moving import seen_part
from pafpose.errors import PafposeError

FILL = 128  # grey of padding, as the original training code

# IMREAD_REDUCED_COLOR_* without its BGR bit
_REDUCED = {
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_RGB = cv2.IMREAD_COLOR_RGB
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def load_image(path: str | Path, *, exif: bool = True) -> np.ndarray:
    """A picture file as RGB uint8 ``(H, W, 3)``, turned upright by its EXIF orientation.

    Grey, CMYK, 16-bit and transparent files are converted. Raises ``PafposeError`` for a file that is
    missing, empty, truncated or not a picture. ``exif=False`` leaves the pixels as stored.
    """
    return _decode(_read_bytes(path), _RGB | (0 if exif else _AS_STORED), path)


def read_photo(
    path: str | Path, size: tuple[int, int], *, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A photo in the frame of its annotations, and the matrix from photo pixels to its pixels.

    ``size`` is the stated (height, width). A photo about to be shrunk by ``scale`` <= 1/2 comes 2, 4 or 8
    times smaller: JPEGs are decoded so, which is faster and free of aliasing; others are averaged.
    """
    data = _read_bytes(path)
    factor = reduction(scale)
    if factor > 1 and _is_jpeg(data):
        image = _decode(data, _RGB | _AS_STORED | _REDUCED[factor], path)
        if image.shape[:2] == (-(-size[0] // factor), -(-size[1] // factor)):
            return image, geometry.resize(1 / factor)  # libjpeg rounds sizes up: the factor is exact
    image = _in_frame(data, size, path)
    if factor == 1 or min(size) < factor:
        return image, geometry.resize(1.0)
    height, width = size[0] // factor, size[1] // factor
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small, geometry.resize(width / size[1], height / size[0])


def read_moved(
    path: str | Path, size: tuple[int, int], matrix: np.ndarray, crop: tuple[int, int]
) -> np.ndarray:
    """A photo of the stated (height, width), moved by ``matrix`` into a crop of (height, width)."""
    picture, shrunk = read_photo(path, size, scale=geometry.scale_of(matrix))
    if picture.shape[:2] != size:
        matrix = geometry.compose(matrix, geometry.invert(shrunk))
    return warp(picture, matrix, crop)


def reduction(scale: float) -> int:
    """The largest of 1, 2, 4, 8 by which a photo may shrink before it is resized by ``scale``.

    >>> reduction(0.6), reduction(0.5), reduction(0.1)
    (1, 2, 8)
    """
    return next((factor for factor in (8, 4, 2) if factor * scale <= 1), 1)


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Move an RGB picture by a 2x3 matrix into a (height, width) picture: bilinear, grey outside.

    OpenCV has vector code for four bytes a pixel, not for three: with an idle fourth, the same pixels come
    in little more than half of the time. Only the part that is seen is copied for that.
    """
    top, bottom, left, right, moving = seen_part(matrix, size, image.shape[:2])
    if top >= bottom or left >= right:
        return np.full((*size, 3), FILL, np.uint8)
    part = image[top:bottom, left:right]
    four = cv2.cvtColor(part, cv2.COLOR_RGB2RGBA, dst=_scratch.array("photo", (*part.shape[:2], 4)))
    moved = cv2.warpAffine(
        four,
        moving,
        (size[1], size[0]),
        dst=_scratch.array("crop", (*size, 4)),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL, FILL),
    )
    return cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB)


class _Scratch(threading.local):
    """Memory that is used again for every sample: fresh pages cost more than what is written to them."""

    def __init__(self) -> None:
        self.kept: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An uninitialised uint8 array, valid until the next of this name; very large ones are not kept."""
        size = math.prod(shape)
        flat = self.kept.get(name)
        if flat is None or flat.size < size:
            flat = np.empty(size, np.uint8)
            if size <= _MOST_KEPT:
                self.kept[name] = flat
        return flat[:size].reshape(shape)


_MOST_KEPT = 1 << 24  # bytes: a photo of four megapixels
_scratch = _Scratch()


def evaluation_input(
    image: np.ndarray, *, input_size: int, fit: str, stride: int
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """A whole photo as network input: ``(H, W, 3)``, the matrix photo -> input, the photo's (height, width).

    The aspect ratio is kept; grey at the right and the bottom fills up to a multiple of the stride.
    """
    height, width = image.shape[:2]
    matrix, valid = geometry.letterbox(width, height, input_size=input_size, fit=fit)
    shrinks = valid[0] < height
    resized = cv2.resize(
        image, (valid[1], valid[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    padded = np.full((*(-(-side // stride) * stride for side in valid), 3), FILL, np.uint8)
    padded[: valid[0], : valid[1]] = resized
    return padded, matrix, valid


def stored_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture file as stored; reads the header only."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except OSError as error:
        raise PafposeError(f"{path}: cannot read the size of this picture ({error}); {_WAY_OUT}") from error


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture file turned upright as its EXIF tag says; reads the header only."""
    from PIL import Image

    height, width = stored_size(path)
    with Image.open(path) as picture:
        turned = picture.getexif().get(0x0112, 1) >= 5
    return (width, height) if turned else (height, width)


def small_grey(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a picture file, and the whole picture in grey, JPEGs 8 times smaller."""
    data = _read_bytes(path)
    flags = _REDUCED[8] if _is_jpeg(data) else cv2.IMREAD_GRAYSCALE
    return data, _decode(data, flags | _AS_STORED, path)


_WAY_OUT = "fetch the file again, or leave such files out with data.on_error=skip"


def _read_bytes(path: str | Path) -> np.ndarray:
    try:
        data = _content(path)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise PafposeError(f"{path}: cannot read the picture: {reason}; {_WAY_OUT}") from error
    if not data.size:
        raise PafposeError(f"{path}: the picture file is empty (0 bytes); {_WAY_OUT}")
    if _is_jpeg(data) and _is_cut(data):
        raise PafposeError(f"{path}: truncated JPEG, its end is missing; {_WAY_OUT}")
    return data


def _content(path: str | Path) -> np.ndarray:
    """The bytes of a file, in a third of the system calls that ``np.fromfile`` makes."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        content = os.read(file, size)
        while len(content) < size and (more := os.read(file, size - len(content))):
            content += more
        return np.frombuffer(content, np.uint8)
    finally:
        os.close(file)


def _is_jpeg(data: np.ndarray) -> bool:
    return data[:2].tobytes() == b"\xff\xd8"


def _is_cut(data: np.ndarray) -> bool:
    """No end marker after the last scan's start; scan data escapes 0xff, so neither occurs within it."""
    if data[-2:].tobytes() == b"\xff\xd9":
        return False
    content = data.tobytes()
    return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")


def _decode(data: np.ndarray, flags: int, path: str | Path) -> np.ndarray:
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise PafposeError(f"{path}: cannot decode the picture ({error.err}); {_WAY_OUT}") from error
    if image is None:
        raise PafposeError(f"{path}: not a picture, or a damaged one; {_WAY_OUT}")
    return image


def _in_frame(data: np.ndarray, size: tuple[int, int], path: str | Path) -> np.ndarray:
    image = _decode(data, _RGB | _AS_STORED, path)
    if image.shape[:2] == size:
        return image
    turned = _decode(data, _RGB, path)
    if turned.shape[:2] == size:
        return turned
    raise PafposeError(
        f"{path}: the picture is {image.shape[1]} x {image.shape[0]} pixels, its annotation file says "
        f"{size[1]} x {size[0]}; the labels would not fit: use the picture they were made for, or leave "
        "such photos out with data.on_error=skip"
    )
