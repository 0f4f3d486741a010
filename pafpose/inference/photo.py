"""A photo in any of the forms that programs hold photos in, as RGB uint8 (H, W, 3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pafpose.data.photos.images import decode_image, lay_on_grey, load_image
from pafpose.errors import PafposeError, shown

Photo = str | Path | bytes | Image.Image | np.ndarray

_FORMS = "give a path, the bytes of a picture file, a PIL picture, or a uint8 array (height, width, 3)"


def as_rgb(photo: Photo, *, bgr: bool = False) -> np.ndarray:
    """Return a photo as RGB uint8 (H, W, 3).

    Files, bytes and PIL pictures are turned upright as their EXIF orientation says, and whatever is
    transparent becomes grey. ``bgr`` says that arrays have OpenCV's order of colours; other forms state
    their own. Raises ``PafposeError`` for everything else, also for arrays of another shape or type.
    """
    if isinstance(photo, np.ndarray):
        _check_array(photo)
        return np.ascontiguousarray(photo[..., ::-1] if bgr else photo)
    if bgr:
        raise PafposeError(f"photo: bgr=True is for arrays, but this is {_kind(photo)}; leave it out")
    if isinstance(photo, bytes | bytearray | memoryview):
        data = np.frombuffer(photo, np.uint8)
        if not len(data):
            raise PafposeError(f"photo: 0 bytes; {_FORMS}")
        return decode_image(data, f"photo of {len(data)} bytes")
    if isinstance(photo, Image.Image):
        return _from_pil(photo)
    if isinstance(photo, str | Path):
        return load_image(photo)
    raise PafposeError(f"photo: {_kind(photo)}; {_FORMS}")


def _kind(photo: object) -> str:
    return "None" if photo is None else f"a {type(photo).__name__} ({shown(photo)})"


def _check_array(photo: np.ndarray) -> None:
    if photo.dtype != np.uint8:
        hint = "multiply 0..1 by 255, round, " if np.issubdtype(photo.dtype, np.floating) else ""
        raise PafposeError(
            f"photo: an array of {photo.dtype}, expected RGB uint8 with values from 0 to 255; {hint}"
            "convert it with .astype('uint8')"
        )
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        channels_first = photo.ndim == 3 and photo.shape[0] == 3
        hint = "transpose it with .transpose(1, 2, 0)" if channels_first else "convert it first"
        raise PafposeError(
            f"photo: an array of shape {photo.shape}, expected RGB uint8 (height, width, 3); {hint}"
        )


def _from_pil(picture: Image.Image) -> np.ndarray:
    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.has_transparency_data:
            return lay_on_grey(picture)
        if picture.mode.startswith("I;16"):  # as OpenCV reads files of 16 bits
            return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, -1)
        if picture.mode in ("I", "F"):
            raise PafposeError(
                f"photo: a PIL picture of mode {picture.mode}, whose range is unknown; {_FORMS}"
            )
        return np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, PafposeError):
            raise
        raise PafposeError(f"photo: a PIL picture that cannot be decoded ({error})") from error
