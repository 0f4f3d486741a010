"""Reading photos of every kind, and the errors for bad ones."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from pafpose import geometry
from pafpose.data.photo_file import PhotoFile, read_header
from pafpose.data.photos.images import FILL, evaluation_input, load_image, read_photo, reduction, warp
from pafpose.errors import PafposeError


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth colours, 40 x 64, red to the left."""
    y, x = np.mgrid[:40, :64]
    return np.stack([255 - 4 * x, 4 * x, 6 * y], -1).astype(np.uint8)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_colour_is_rgb(tmp_path, picture):
    for name in ("a.png", "b.jpg", "c.bmp", "ü 写真.jpg"):
        Image.fromarray(picture).save(tmp_path / name, **({"quality": 98} if name.endswith("jpg") else {}))
        image = load_image(tmp_path / name)
        assert image.shape == (40, 64, 3) and image.dtype == np.uint8
        assert np.abs(image.astype(int) - picture).max() < 16


@pytest.mark.parametrize("mode", ["L", "CMYK", "1", "P", "RGBA", "LA", "I;16"])
def test_other_kinds_become_rgb(tmp_path, picture, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    file = tmp_path / f"photo.{suffix}"
    if mode == "I;16":
        Image.fromarray(picture[..., 1].astype(np.uint16) * 257).save(file)
    else:
        Image.fromarray(picture).convert(mode).save(file)
    image = load_image(file)
    assert image.shape == (40, 64, 3) and image.dtype == np.uint8
    if mode == "CMYK":
        assert image[20, 2, 0] > 200 and image[20, 60, 0] < 100
    if mode in ("L", "I;16"):
        assert (image[..., 0] == image[..., 2]).all() and np.ptp(image) > 50


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_16_bit_picture_of_12_bits_is_told_once_for_its_folder(tmp_path, caplog, suffix, channels):
    values = np.linspace(0, 4095, 40 * 64 * channels).astype(np.uint16).reshape(40, 64, channels)
    for name, scale in (("full", 16), ("dark", 1), ("also dark", 1)):
        cv2.imwrite(str(tmp_path / f"{name}.{suffix}"), values * scale)
    assert load_image(tmp_path / f"full.{suffix}").max() == 255
    assert not caplog.messages
    assert load_image(tmp_path / f"dark.{suffix}").max() <= 16  # of 255
    load_image(tmp_path / f"also dark.{suffix}")
    (message,) = caplog.messages
    assert (
        "dark.png" in message.replace(".tif", ".png") and "take 12 bits" in message and "16 times" in message
    )


def test_grey_photos_work_reduced_too(tmp_path, picture):
    file = tmp_path / "photo.jpg"
    Image.fromarray(picture).convert("L").save(file)
    image, matrix = read_photo(PhotoFile(file, (40, 64)), scale=0.3)
    assert image.shape == (20, 32, 3)
    assert matrix[0].tolist() == [0.5, 0, -0.25]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_annotations_decide_the_frame_of_turned_photos(tmp_path, picture, orientation):
    file = tmp_path / "photo.jpg"
    Image.fromarray(picture).save(file, quality=98, exif=exif(orientation))
    stored, _ = read_photo(PhotoFile(file, (40, 64)))
    assert np.abs(stored.astype(int) - picture).max() < 16  # as COCO's own tools see it
    assert read_header(file).size == (40, 64)
    assert read_header(file).upright_size == ((40, 64) if orientation == 3 else (64, 40))
    turned = load_image(file)
    assert np.abs(turned.astype(int) - np.rot90(picture, {3: 2, 6: 3, 8: 1}[orientation])).max() < 16
    assert np.abs(load_image(file, exif=False).astype(int) - picture).max() < 16
    if orientation != 3:
        for scale in (1.0, 0.25):  # reduced decoding must not mistake the frame
            upright, matrix = read_photo(PhotoFile(file, (64, 40)), scale=scale)
            factor = round(1 / matrix[0, 0])
            assert upright.shape[:2] == (64 // factor, 40 // factor)
        assert np.array_equal(read_photo(PhotoFile(file, (64, 40)))[0], turned)


def test_a_photo_of_another_size_is_refused(tmp_path, picture):
    file = tmp_path / "photo.jpg"
    Image.fromarray(picture).save(file)
    for scale in (1.0, 0.5):
        with pytest.raises(PafposeError, match=r"photo\.jpg: the picture is 64 x 40 .* says 100 x 40"):
            read_photo(PhotoFile(file, (40, 100)), scale=scale)


def test_progressive_and_trailing_bytes_are_fine_truncation_is_not(tmp_path, picture):
    for progressive in (False, True):
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, "JPEG", progressive=progressive)
        data = memory.getvalue()
        file = tmp_path / "photo.jpg"
        file.write_bytes(data + b"\0 trailing")
        assert load_image(file).shape == (40, 64, 3)
        for keep in (len(data) - 2, len(data) * 2 // 3):
            file.write_bytes(data[:keep])
            with pytest.raises(PafposeError, match=r"photo\.jpg: truncated JPEG"):
                load_image(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"no picture at all", "not a picture"),
        (b"\x89PNG\r\n", "not a picture"),
    ],
)
def test_files_that_are_not_pictures_are_refused(tmp_path, content, message):
    file = tmp_path / "photo.jpg"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PafposeError, match=rf"photo\.jpg.*{message}"):
        load_image(file)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PafposeError, match="cannot read the picture"):
        load_image(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3, 2)])
def test_odd_sizes_pass(tmp_path, size):
    for suffix in ("jpg", "png"):
        file = tmp_path / f"photo.{suffix}"
        Image.fromarray(np.full((*size, 3), 200, np.uint8)).save(file)
        for scale in (1.0, 0.1):
            image, _ = read_photo(PhotoFile(file, size), scale=scale)
            assert abs(int(image.mean()) - 200) < 3
        padded, _, valid = evaluation_input(load_image(file), input_size=64, fit="long", stride=8)
        assert max(valid) == 64 and all(side % 8 == 0 for side in padded.shape[:2])


def test_a_reduced_photo_is_never_enlarged_again():
    for scale in np.geomspace(0.02, 3, 50):
        factor = reduction(scale)
        assert factor in (1, 2, 4, 8)
        assert factor == 1 or factor * scale <= 1
        assert factor == 8 or 2 * factor * scale > 1


def test_warp_moves_pixels_and_fills_with_grey():
    photo = np.zeros((20, 30, 3), np.uint8)
    photo[5, 7] = (10, 20, 30)
    moved = warp(photo, geometry.translation(2, -3), (10, 40))
    assert moved.shape == (10, 40, 3) and moved[2, 9].tolist() == [10, 20, 30]
    assert (moved[:, :2] == FILL).all() and (moved[:, 32:] == FILL).all() and (moved[:, 2:9] == 0).all()
    assert (warp(photo, geometry.translation(500, 0), (10, 40)) == FILL).all()
