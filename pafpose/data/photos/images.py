"""Photos as RGB uint8 arrays: read, moved into a crop, or fitted into the network's input.

Annotations live in the frame whose size their file states. Like COCO's own tools, :func:`read_photo` ignores
the EXIF orientation, unless the stated size is that of the turned picture.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pafpose import geometry
from pafpose.data.image_header import WAY_OUT
from pafpose.errors import PafposeError

FILL = 128  # grey of everything beyond the photo, as in the original training code

_REDUCED = {  # cv2 has these flags with a BGR bit set, which would win over IMREAD_COLOR_RGB
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_RGB = cv2.IMREAD_COLOR_RGB
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def load_image(path: str | Path, *, exif: bool = True) -> np.ndarray:
    """Read a picture file as RGB uint8 ``(H, W, 3)``, turned upright by its EXIF orientation.

    Grey, CMYK, 16-bit and transparent files are converted. ``exif=False`` leaves the pixels as stored. Raises
    ``PafposeError`` for a file that is missing, empty, truncated or not a picture.
    """
    return _decode(_read_bytes(path), _RGB | (0 if exif else _AS_STORED), path)


def read_photo(
    path: str | Path, size: tuple[int, int], *, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Read a photo in the frame of its annotations; return it and the matrix from photo pixels to its own.

    ``size`` is the stated (height, width). A photo that will be shrunk by ``scale`` <= 1/2 is returned 2, 4
    or 8 times smaller. JPEGs are decoded at that size, which is faster and free of aliasing; others are
    averaged.
    """
    data = _read_bytes(path)
    factor = reduction(scale)
    if factor > 1 and _is_jpeg(data):
        image = _decode(data, _RGB | _AS_STORED | _REDUCED[factor], path)
        if image.shape[:2] == (-(-size[0] // factor), -(-size[1] // factor)):
            return image, geometry.resize(1 / factor)  # libjpeg rounds sizes up, so the factor is exact
    image = _in_frame(data, size, path)
    if factor == 1 or min(size) < factor:
        return image, geometry.resize(1.0)
    height, width = size[0] // factor, size[1] // factor
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small, geometry.resize(width / size[1], height / size[0])


def read_warped(
    path: str | Path, size: tuple[int, int], matrix: np.ndarray, crop: tuple[int, int]
) -> np.ndarray:
    """Read a photo of the stated (height, width) and move it by ``matrix`` into a crop of (height, width)."""
    picture, shrunk = read_photo(path, size, scale=geometry.scale_of(matrix))
    if picture.shape[:2] != size:
        matrix = geometry.compose(matrix, geometry.invert(shrunk))
    return warp(picture, matrix, crop)


def reduction(scale: float) -> int:
    """Return by how much, 1, 2, 4 or 8 times, a photo may shrink before it is resized by ``scale``.

    >>> reduction(0.6), reduction(0.5), reduction(0.1)
    (1, 2, 8)
    """
    return next((factor for factor in (8, 4, 2) if factor * scale <= 1), 1)


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Move an RGB picture by a (2, 3) matrix into one of (height, width): bilinear, grey outside."""
    return cv2.warpAffine(
        image,
        matrix,
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL),
    )


def evaluation_input(
    image: np.ndarray, *, input_size: int, fit: str, stride: int
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Fit a whole photo into the network's input, keeping its aspect ratio.

    Returns the input ``(H, W, 3)``, the matrix from photo to input, and the (height, width) that the photo
    takes in it. Grey at the right and the bottom fills up to a multiple of the stride.
    """
    height, width = image.shape[:2]
    matrix, valid = geometry.letterbox(width, height, input_size=input_size, fit=fit)
    shrinks = valid[0] < height
    resized = cv2.resize(
        image, (valid[1], valid[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    rows, columns = (geometry.pad_to_multiple(side, stride) for side in valid)
    padded = np.full((rows, columns, 3), FILL, np.uint8)
    padded[: valid[0], : valid[1]] = resized
    return padded, matrix, valid


def small_grey(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of a picture file, and the picture in grey as stored; JPEGs come 8 times smaller."""
    data = _read_bytes(path)
    flags = _REDUCED[8] if _is_jpeg(data) else cv2.IMREAD_GRAYSCALE
    return data, _decode(data, flags | _AS_STORED, path)


def _read_bytes(path: str | Path) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise PafposeError(f"{path}: cannot read the picture: {reason}; {WAY_OUT}") from error
    if not data.size:
        raise PafposeError(f"{path}: the picture file is empty (0 bytes); {WAY_OUT}")
    if _is_jpeg(data) and _is_truncated(data):
        raise PafposeError(f"{path}: truncated JPEG, its end is missing; {WAY_OUT}")
    return data


def _is_jpeg(data: np.ndarray) -> bool:
    return data[:2].tobytes() == b"\xff\xd8"


def _is_truncated(data: np.ndarray) -> bool:
    """Whether no end marker follows the last scan's start; scan data, which escapes 0xff, has neither."""
    if data[-2:].tobytes() == b"\xff\xd9":
        return False
    content = data.tobytes()
    return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")


def _decode(data: np.ndarray, flags: int, path: str | Path) -> np.ndarray:
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise PafposeError(f"{path}: cannot decode the picture ({error.err}); {WAY_OUT}") from error
    if image is None:
        raise PafposeError(f"{path}: not a picture, or a damaged one; {WAY_OUT}")
    return image


def _in_frame(data: np.ndarray, size: tuple[int, int], path: str | Path) -> np.ndarray:
    """Decode a picture as stored or, when only that has the stated size, turned by its EXIF orientation."""
    image = _decode(data, _RGB | _AS_STORED, path)
    if image.shape[:2] == size:
        return image
    turned = _decode(data, _RGB, path)
    if turned.shape[:2] == size:
        return turned
    raise PafposeError(
        f"{path}: the picture is {image.shape[1]} x {image.shape[0]} pixels, but its annotation file says "
        f"{size[1]} x {size[0]}, so the labels would not fit; use the picture they were made for, or leave "
        "such photos out with data.on_error=skip"
    )
