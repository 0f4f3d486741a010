"""A photo is the same picture in whatever form it comes; everything else is one clear error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.inference.photo import as_rgb


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return cv2.resize(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8), (70, 50))


def encoded(picture: Image.Image, format_: str, **more: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, format_, **more)
    return data.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_path_bytes_and_pil_are_turned_upright(
    tmp_path: Path, picture: np.ndarray, orientation: int, format_: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(picture), format_, exif=exif)
    path = tmp_path / f"a.{format_.lower()}"
    path.write_bytes(data)
    expected = load_image(path)
    assert expected.shape[:2] == ((70, 50) if orientation >= 5 else (50, 70))
    for form in (path, str(path), data, bytearray(data), memoryview(data), Image.open(path)):
        assert np.array_equal(as_rgb(form), expected)  # type: ignore[arg-type]


def test_arrays_are_rgb_or_bgr(picture: np.ndarray) -> None:
    assert np.array_equal(as_rgb(picture), picture)
    assert np.array_equal(as_rgb(picture[..., ::-1], bgr=True), picture)
    turned = as_rgb(picture[::-1])
    assert turned.flags.c_contiguous and np.array_equal(turned[0], picture[-1])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_pil_pictures_of_any_mode_are_what_their_files_are(
    tmp_path: Path, picture: np.ndarray, mode: str
) -> None:
    if mode == "I;16":
        layer = Image.fromarray(picture[..., 0].astype(np.uint16) * 257)
    else:
        layer = Image.fromarray(picture).convert(mode)
    if mode in ("LA", "RGBA"):
        layer.putalpha(Image.fromarray(picture[..., 1]))
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    layer.save(path)
    ours, files = as_rgb(layer).astype(int), load_image(path).astype(int)
    assert ours.shape == (50, 70, 3) and np.abs(ours - files).max() <= (40 if mode == "CMYK" else 1)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (None, "None; give a path, the bytes"),
        ([1, 2], r"a list \(\[1, 2\]\); give a path"),
        (3, r"a int \(3\)"),
        (np.zeros((5, 5, 3)), "array of float64, expected RGB uint8 .* multiply 0..1 by 255"),
        (
            np.zeros((5, 5, 3), np.int64),
            "array of int64, expected RGB uint8 with values from 0 to 255; convert",
        ),
        (np.zeros((5, 5, 3), np.uint16), "array of uint16"),
        (np.zeros((5, 5), np.uint8), r"shape \(5, 5\), expected RGB uint8"),
        (np.zeros((5, 5, 4), np.uint8), r"shape \(5, 5, 4\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.zeros((3, 5, 6), np.uint8), r"transpose\(1, 2, 0\)"),
        (b"", "0 bytes"),
        (b"no picture", "photo of 10 bytes: not a picture"),
        ("gone.jpg", "gone.jpg: .*no such file"),
        (Image.new("F", (4, 4)), "mode F"),
    ],
)
def test_anything_else_is_one_clear_error(bad: Any, words: str) -> None:
    with pytest.raises(PafposeError, match=words):
        as_rgb(bad)


@pytest.mark.parametrize("form", ["a.png", b"x", Image.new("RGB", (4, 4))])
def test_only_arrays_have_an_order_of_colours(form: Any) -> None:
    with pytest.raises(PafposeError, match="bgr=True is for arrays"):
        as_rgb(form, bgr=True)


def test_cut_off_bytes(picture: np.ndarray) -> None:
    data = encoded(Image.fromarray(picture), "JPEG")
    with pytest.raises(PafposeError, match="truncated JPEG"):
        as_rgb(data[: len(data) // 2])
    half = Image.open(io.BytesIO(data[:-60]))
    with pytest.raises(PafposeError, match="cannot be decoded"):
        as_rgb(half)
