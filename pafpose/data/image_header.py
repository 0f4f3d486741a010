"""The size of a picture file, read from its header without decoding the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from pafpose.errors import PafposeError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
WAY_OUT = "fetch the file again, or leave such files out with data.on_error=skip"

_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange width and height


def stored_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of a picture as stored, ignoring its EXIF orientation."""
    with _open_header(path) as picture:
        return picture.height, picture.width


def upright_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of a picture after its EXIF orientation has been applied."""
    with _open_header(path) as picture:
        size = picture.height, picture.width
        return size[::-1] if picture.getexif().get(_ORIENTATION, 1) >= 5 else size


@contextmanager
def _open_header(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as picture:
            yield picture
    except (OSError, Image.DecompressionBombError) as error:
        raise PafposeError(f"{path}: cannot read the size of this picture ({error}); {WAY_OUT}") from error
