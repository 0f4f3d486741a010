"""Photos as RGB uint8 arrays: read, moved into a crop, or fitted into the network's input.

Annotations live in the frame whose size their file states. Like COCO's own tools, :func:`read_photo` ignores
the EXIF orientation, unless the stated size is that of the turned picture, or the format says that labels
belong to the turned picture. Whatever is transparent becomes grey: nobody is seen whom a viewer hides.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pafpose import geometry
from pafpose.data.photo_file import (
    DEFAULT_LIMITS,
    WAY_OUT,
    Header,
    PhotoFile,
    PhotoLimits,
    open_picture,
    read_bytes,
    read_header,
)
from pafpose.errors import PafposeError

log = logging.getLogger(__name__)

FILL = 128  # grey of everything beyond the photo, as in the original training code

DARK_BITS = 13  # 16-bit pictures whose values take no more bits are too dark, as from 12-bit cameras
_warned: set[Path] = set()  # folders

_COLOUR = {  # by how many times smaller
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by EXIF orientation: from stored to upright
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 3),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def load_image(path: str | Path, *, exif: bool = True, limits: PhotoLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Read a picture file as RGB uint8 ``(H, W, 3)``, turned upright by its EXIF orientation.

    Grey, CMYK, 16-bit and transparent files are converted. ``exif=False`` leaves the pixels as stored. Raises
    ``PafposeError`` for a file that is missing, empty, truncated, not a picture, or beyond the limits.
    """
    return decode_image(read_bytes(path, limits), path, exif=exif, limits=limits)


def decode_image(
    data: np.ndarray, name: str | Path, *, exif: bool = True, limits: PhotoLimits = DEFAULT_LIMITS
) -> np.ndarray:
    """Decode the bytes (N,) of a picture file as :func:`load_image` does; errors call it ``name``."""
    _check_end(data, name)
    header = read_header(name, limits, data=data)
    return _turn(_decode_rgb(data, header, name), header, exif)


def read_photo(photo: PhotoFile, *, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Read a photo in the frame of its annotations; return it and the matrix from photo pixels to its own.

    A photo that will be shrunk by ``scale`` <= 1/2 is returned 2, 4 or 8 times smaller. JPEGs are decoded at
    that size, which is faster and free of aliasing; others are averaged.
    """
    data = _read_picture(photo.path, photo.limits)
    header = read_header(photo.path, photo.limits, data=data)
    turned, factor = _is_turned(photo, header), reduction(scale)
    # libjpeg rounds sizes up, so the factor is exact, but the rest of the last block must stay at the end
    exact = not turned or not any(side % factor for side in photo.size)
    if factor > 1 and header.format == "JPEG" and exact:
        image = _turn(_decode_colour(data, photo.path, factor), header, turned)
        if image.shape[:2] == (-(-photo.size[0] // factor), -(-photo.size[1] // factor)):
            return image, geometry.resize(1 / factor)
    image = _turn(_decode_rgb(data, header, photo.path), header, turned)
    if factor == 1 or min(photo.size) < factor:
        return image, geometry.resize(1.0)
    height, width = photo.size[0] // factor, photo.size[1] // factor
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small, geometry.resize(width / photo.size[1], height / photo.size[0])


def read_warped(photo: PhotoFile, matrix: np.ndarray, crop: tuple[int, int]) -> np.ndarray:
    """Read a photo and move it by ``matrix`` into a crop of (height, width)."""
    picture, shrunk = read_photo(photo, scale=geometry.scale_of(matrix))
    if picture.shape[:2] != photo.size:
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


def bits_used(data: np.ndarray, path: str | Path) -> int:
    """Return how many bits the largest value of a picture file takes: 12 for one of a 12-bit camera."""
    return int(_decode(data, cv2.IMREAD_UNCHANGED, path).max()).bit_length()


def small_grey(path: Path, limits: PhotoLimits = DEFAULT_LIMITS) -> tuple[np.ndarray, Header, np.ndarray]:
    """Return bytes and header of a picture file, and the picture in grey as stored; JPEGs 8 times smaller."""
    data = _read_picture(path, limits)
    header = read_header(path, limits, data=data)
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 if header.format == "JPEG" else cv2.IMREAD_GRAYSCALE
    return data, header, _decode(data, flags, path)


def _read_picture(path: str | Path, limits: PhotoLimits) -> np.ndarray:
    data = read_bytes(path, limits)
    _check_end(data, path)
    return data


def _check_end(data: np.ndarray, name: str | Path) -> None:
    if _is_jpeg(data) and _is_truncated(data):
        raise PafposeError(f"{name}: truncated JPEG, its end is missing; {WAY_OUT}")


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
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PafposeError(f"{path}: cannot decode the picture ({error.err}); {WAY_OUT}") from error
    if image is None:
        raise PafposeError(f"{path}: not a picture, or a damaged one; {WAY_OUT}")
    return image


def _decode_colour(data: np.ndarray, path: str | Path, factor: int = 1) -> np.ndarray:
    """Decode a picture as stored, in RGB; a JPEG can be decoded ``factor`` times smaller."""
    image = _decode(data, _COLOUR[factor], path)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _decode_rgb(data: np.ndarray, header: Header, path: str | Path) -> np.ndarray:
    """Decode a picture as stored, with grey wherever it is transparent."""
    if header.deep:
        _warn_of_unused_bits(data, Path(path))
    image = _decode_on_grey(data, path) if header.transparent else _decode_colour(data, path)
    if image.shape[:2] != header.size:
        raise PafposeError(
            f"{path}: a damaged picture: {image.shape[:2]} pixels (height, width), but its header says "
            f"{header.size}; {WAY_OUT}"
        )
    return image


def _warn_of_unused_bits(data: np.ndarray, path: Path) -> None:
    """Warn once per folder and process of 16-bit pictures that are dark because they use fewer bits."""
    if path.parent not in _warned and 0 < (bits := bits_used(data, path)) <= DARK_BITS:
        _warned.add(path.parent)
        log.warning(
            "%s: a 16-bit picture whose values take %d bits, so it is read %d times too dark; stretch such "
            "pictures to 16 bits, or save them with 8",
            path, bits, 2 ** (16 - bits),
        )  # fmt: skip


def _decode_on_grey(data: np.ndarray, path: str | Path) -> np.ndarray:
    """Decode a picture with transparency as a viewer with a grey background shows it."""
    try:
        with open_picture(io.BytesIO(data.tobytes())) as picture:
            return lay_on_grey(picture)
    except Exception as error:  # Pillow raises errors of a dozen kinds on damaged files
        raise PafposeError(f"{path}: cannot decode the picture ({error}); {WAY_OUT}") from error


def lay_on_grey(picture: Image.Image) -> np.ndarray:
    """Return a picture of Pillow's as RGB (H, W, 3), with grey wherever it is transparent."""
    layer = picture.convert("RGBA")
    background = Image.new("RGBA", layer.size, (FILL, FILL, FILL, 255))
    return np.array(Image.alpha_composite(background, layer).convert("RGB"))


def _is_turned(photo: PhotoFile, header: Header) -> bool:
    """Return whether the labels belong to the picture after its EXIF rotation; raise if they fit neither."""
    if header.size == photo.size and not photo.upright:
        return False
    if header.upright_size == photo.size:
        return True
    raise PafposeError(
        f"{photo.path}: the picture is {header.size[1]} x {header.size[0]} pixels, but its annotation file "
        f"says {photo.size[1]} x {photo.size[0]}, so the labels would not fit; use the picture they were made"
        " for, or leave such photos out with data.on_error=skip"
    )


def _turn(image: np.ndarray, header: Header, turned: bool) -> np.ndarray:
    return np.ascontiguousarray(_TURNS[header.orientation](image)) if turned else image
