"""Files that crash a library, fill the memory or hang a reader are refused by name, quickly."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pafpose.data.annotations.coco import load_json
from pafpose.data.annotations.segmentation import encode_segmentation
from pafpose.data.photo_file import PhotoLimits
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.tools.audit.run import AuditSettings, run_audit
from tests.data.coco_files import person, six_points, write_split

BAD = "000000000002.jpg"
SIZE = (90, 120)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three photos a split with one person each."""
    rng = np.random.default_rng(0)
    people = [person(six_points(20, 15), box=(10, 10, 60, 70), segmentation=[[10, 10, 70, 10, 70, 80]])]
    for split, first in (("train", 1), ("val", 11)):
        photos = [(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8), people) for _ in range(3)]
        write_split(tmp_path, photos, split=split, first_id=first)
    return tmp_path


def edit(root: Path, change: Callable[[dict], object]) -> Path:
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def segmentation(value: Any) -> Callable[[dict], object]:
    return lambda content: content["annotations"][1].update(segmentation=value)


def rle(counts: Any, size: Any = SIZE) -> Any:
    return {"size": list(size) if isinstance(size, tuple) else size, "counts": counts}


NAN, INF = float("nan"), float("inf")
MASKS = {
    "nan": [[10, 10, NAN, 50, 50, 50]],
    "infinite": [[10, 10, INF, 50, 50, 50]],
    "null": [[10, 10, None, 50, 50, 50]],
    "1e8": [[0, 0, 1e8, 0, 1e8, 1e8]],
    "far below 0": [[0, 0, -1e8, 0, -1e8, 50]],
    "an integer of 400 digits": [[0, 0, 10**400, 0, 50, 50]],
    "an endless outline": [[0, 0, 119, 89] * 20_000],
    "nested 500 deep": json.loads("[" * 500 + "]" * 500),
    "runs beyond the photo": rle([0, 10**12]),
    "runs below 0": rle([-5, 5, 90 * 120]),
    "runs of nan": rle([NAN, 5]),
    "runs of null": rle([None, 5]),
    "runs of words": rle(["a"]),
    "too few runs": rle([5, 6]),
    "another size": rle([81], (9, 9)),
    "a size of words": rle([90 * 120], "big"),
    "no counts": {"size": list(SIZE)},
    "compressed runs beyond the photo": rle("o" * 6 + "0"),
    "compressed runs below 0": rle("@@@@"),
    "compressed runs cut off": rle("05o"),
    "other characters": rle("é\x00"),
    "nothing": rle(""),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_that_crash_pycocotools_never_reach_it(root, make_data, kind, caplog):
    file = edit(root, segmentation(MASKS[kind]))
    with pytest.raises(PafposeError, match=r"annotation 2 of image 2: .*data\.on_error=skip") as error:
        make_data(root).setup()
    assert str(error.value).startswith(str(file)) and len(str(error.value)) < 700
    data = make_data(root, on_error="skip")
    assert data.train_index.has_mask().tolist() == [True, False, True]
    assert "annotation 2 of image 2: " in caplog.text and "1 such values count as not given" in caplog.text
    audit = run_audit(make_data(root), AuditSettings(workers=1))
    assert [(f.annotation_id, f.image_id) for f in audit.of("bad_mask")] == [(2, 2)] and audit.problems == 1


def test_polygons_may_leave_the_photo_a_little():
    inside = encode_segmentation([[10, 10, 119, 10, 119, 80]], SIZE)
    assert encode_segmentation([[10, 10, 130.5, 0, 125, 80]], SIZE) and inside
    assert encode_segmentation([[1, 2, 3, 4]], SIZE) == b"", "less than three points"


@pytest.mark.parametrize("value", [1e8, -1e30, 10**400, INF, None, "1e9"])
@pytest.mark.parametrize("place", ["keypoints", "bbox"])
def test_coordinates_are_finite_and_below_a_million(root, make_data, place, value):
    edit(root, lambda content: content["annotations"][1][place].__setitem__(0, value))
    with pytest.raises(PafposeError, match=r"annotation 2 of image 2: (keypoint nose|bbox|keypoints) "):
        make_data(root).setup()
    audit = run_audit(make_data(root), AuditSettings(workers=1))
    assert audit.problems == 1 and {"not_finite", "bad_value"} & set(audit.counts)


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose header claims any size."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("make", [png, jpeg])
def test_pictures_that_claim_too_many_pixels_are_not_decoded(root, make_data, make, caplog):
    (root / "train2017" / BAD).write_bytes(make(30_000, 30_000))
    message = rf"{BAD}: 30000 x 30000 pixels, more than data\.max_pixels=100000000.*on_error=skip"
    with pytest.raises(PafposeError, match=message):
        load_image(root / "train2017" / BAD)
    with pytest.raises(PafposeError, match=message):
        list(make_data(root).train_dataloader())
    data = make_data(root, on_error="skip")
    assert 2 not in {i for batch in data.train_dataloader() for i in batch.image_id.tolist()}
    assert "30000 x 30000" in caplog.text
    audit = run_audit(make_data(root), AuditSettings(workers=1))
    assert (
        audit.problems == audit.counts["unreadable_file"] == 1
        and audit.of("unreadable_file")[0].image_id == 2
    )


def test_sizes_that_annotations_claim_are_bounded_too(root, make_data, caplog):
    edit(root, lambda content: content["images"][1].update(height=30_000, width=30_000))
    with pytest.raises(
        PafposeError, match=r"train2017\.json: image 2 states 30000 x 30000 pixels, more than"
    ):
        make_data(root).setup()
    assert make_data(root, on_error="skip").train_index.ids.tolist() == [1, 3]
    assert run_audit(make_data(root), AuditSettings(workers=1)).problems


def test_the_limit_of_pixels_is_a_key(root, make_data):
    data = make_data(root, max_pixels=SIZE[0] * SIZE[1])
    assert list(data.train_dataloader())
    with pytest.raises(PafposeError, match=r"120 x 90 pixels, more than data\.max_pixels=10799"):
        make_data(root, max_pixels=SIZE[0] * SIZE[1] - 1).setup()
    with pytest.raises(PafposeError, match=r"data\.max_pixels=0: choose"):
        make_data(root, max_pixels=0)
    large = root / "large.png"  # beyond Pillow's own limit, which this key must be able to exceed
    large.write_bytes(png(20_000, 10_000))
    with pytest.raises(PafposeError, match=r"damaged|cannot decode"):
        load_image(large, limits=PhotoLimits(max_pixels=10**9))


def test_a_file_of_many_bytes_is_not_read(root):
    large = root / "large.jpg"
    with large.open("wb") as file:
        file.truncate(2**34)  # 16 GB of zeros that take no room
    with pytest.raises(
        PafposeError, match=r"large\.jpg: cannot read the picture: 17179869184 bytes are too many"
    ):
        load_image(large)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_no_photos(root, make_data, make):
    path = root / "train2017" / BAD
    path.unlink()
    make(path)
    with pytest.raises(PafposeError, match=rf"{BAD}.*(not a regular file|outside)"):
        load_image(path)
    with pytest.raises(PafposeError, match=rf"{BAD}.*(not a regular file|outside)"):
        list(make_data(root).train_dataloader())
    data = make_data(root, on_error="skip")
    assert 2 not in {i for batch in data.train_dataloader() for i in batch.image_id.tolist()}
    assert run_audit(make_data(root), AuditSettings(workers=1)).problems


@pytest.mark.timeout(60)
def test_json_that_is_a_pipe_or_too_deep(tmp_path):
    deep = tmp_path / "deep.json"
    deep.write_text('{"images": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(PafposeError, match=r"deep\.json: not a readable JSON file \(too deeply nested\)"):
        load_json(deep)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(PafposeError, match=r"pipe\.json: not a regular file"):
        load_json(tmp_path / "pipe.json")


def test_transparent_people_are_not_seen(tmp_path):
    layer = np.full((20, 30, 4), 200, np.uint8)
    layer[:, :15, 3], layer[:, 15:, 3] = 0, 255
    for name, mode in (("a.png", "RGBA"), ("b.webp", "RGBA"), ("c.png", "LA")):
        Image.fromarray(layer).convert(mode).save(
            tmp_path / name, **({"lossless": True} if "b" in name else {})
        )
        image = load_image(tmp_path / name)
        assert (image[:, :15] == 128).all() and (abs(image[:, 15:].astype(int) - 200) < 3).all()
