"""Mutated files are read or refused by name: no other exception, no crash, no hang.

500 mutations of annotation files and pictures run by default, 10,000 of every kind with ``make soak``.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pafpose.data.annotations import cache
from pafpose.data.masks import encode_polygons
from pafpose.data.photo_file import DEFAULT_LIMITS, PhotoFile
from pafpose.data.photos.images import load_image, read_photo
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.photos import read_photo_file
from pafpose.tools.audit.run import AuditSettings, run_audit
from tests.conftest import ROOT
from tests.data.coco_files import person, read_split, six_points, write_split
from tests.fuzz import check, mutated_bytes, mutated_json, mutated_text

SIZE = (60, 80)
COUNTS = [pytest.param(500, id="500"), pytest.param(10_000, id="10000", marks=pytest.mark.soak)]
SOAK = [pytest.param(10_000, marks=pytest.mark.soak)]

pytestmark = [pytest.mark.timeout(3600), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of warnings are kept from the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photos a split, with masks of every form."""
    masks = [
        [[10, 10, 70, 10, 70, 55]],
        {"size": list(SIZE), "counts": [100, 50, 60 * 80 - 150]},
        {"size": list(SIZE), "counts": encode_polygons([np.array([9.0, 9, 60, 9, 60, 40])], SIZE).decode()},
    ]
    rng = np.random.default_rng(0)
    people = [person(six_points(10, 8, 40), box=(5, 5, 60, 50), segmentation=mask) for mask in masks]
    for split, first in (("train", 1), ("val", 11)):
        photos = [(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8), people[n:]) for n in range(2)]
        write_split(tmp_path, photos, split=split, first_id=first)
    return tmp_path


def use(data: Any) -> None:
    """Do what training and validation do with a set."""
    data.setup("fit")
    for n in range(len(data.train_dataset)):
        data.train_dataset[n, 0]
    for n in range(len(data.val_dataset)):
        data.val_dataset[n]
    data.val_ground_truth()


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("count", COUNTS)
def test_annotation_files(root: Path, make_data, count: int, on_error: str) -> None:
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    mask = {"min_area": 0, "min_keypoints": 1}

    def trial(seed: int) -> None:
        if seed % 4:
            text = json.dumps(mutated_json(content, seed)).encode()
        else:
            text = mutated_bytes(json.dumps(content).encode(), seed)
        file.write_bytes(text)
        data = make_data(
            root, on_error=on_error, mask=mask, augment={"crop": 32}, input_size=32, index_cache=None
        )
        trains = True
        try:
            use(data)
        except PafposeError:
            trains = False
        if seed % 5 == 0:
            audit = run_audit(data, AuditSettings(workers=1))
            assert trains or audit.problems or on_error == "skip", "the audit calls clean what does not train"
        if not trains:
            use(data)

    check(count if on_error == "raise" else count // 2, trial, named=str(root))


def pictures() -> dict[str, bytes]:
    """Small files of every format that is read, some with an EXIF rotation or transparency."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (5, 7, 3), dtype=np.uint8)).resize(SIZE[::-1])
    tags = Image.Exif()
    tags[0x0112] = 6
    layered = smooth.convert("RGBA")
    layered.putalpha(128)
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "a.jpg": (smooth, {"exif": tags}), "b.jpg": (smooth.convert("L"), {"progressive": True}),
        "c.jpg": (smooth.convert("CMYK"), {}), "d.png": (smooth, {"exif": tags}), "e.png": (layered, {}),
        "f.png": (smooth.convert("P"), {"transparency": 3}), "g.webp": (layered, {}), "h.bmp": (smooth, {}),
        "i.tif": (smooth, {"compression": "tiff_lzw"}), "j.tif": (smooth, {"exif": tags}),
    }  # fmt: skip
    files = {}
    for name, (image, options) in kinds.items():
        memory = io.BytesIO()
        image.save(memory, {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper()), **options)
        files[name] = memory.getvalue()
    return files


@pytest.mark.parametrize("count", COUNTS)
def test_pictures(tmp_path: Path, count: int) -> None:
    files = list(pictures().items())

    def trial(seed: int) -> None:
        name, data = files[seed % len(files)]
        path = tmp_path / name
        path.write_bytes(mutated_bytes(data, seed))
        read_photo_file(path, DEFAULT_LIMITS)
        image = load_image(path)
        assert image.ndim == 3 and image.dtype == np.uint8
        stored = load_image(path, exif=False)
        small, _ = read_photo(PhotoFile(path, stored.shape[:2]), scale=0.25)
        assert small.size <= stored.size

    check(count, trial, named=str(tmp_path))


def test_pictures_as_they_are_can_be_read(tmp_path: Path) -> None:
    for name, data in pictures().items():
        (tmp_path / name).write_bytes(data)
        assert sorted(load_image(tmp_path / name).shape) == [3, *sorted(SIZE)]


@pytest.mark.parametrize("count", [pytest.param(100), *SOAK])
def test_yolo_labels(tmp_path: Path, make_data, count: int) -> None:
    from tests.data.test_odd_sets import yolo_set

    root = yolo_set(tmp_path / "set")
    label, description = root / "labels" / "train" / "1.txt", root / "data.yaml"
    text, content = label.read_text(), json.loads(description.read_text())

    def trial(seed: int) -> None:
        label.write_bytes(mutated_text(text * 2, seed) if seed % 3 else text.encode())
        if seed % 3 == 0:
            description.write_text(json.dumps(mutated_json(content, seed)))
        elif seed % 3 == 1:
            description.write_text(json.dumps(content))
        where = {"train_images": "images/train", "train_annotations": "data.yaml"}
        where |= {"val_images": "images/val", "val_annotations": "data.yaml", "format": "yolo"}
        use(make_data(root, augment={"crop": 32}, input_size=32, **where))

    check(count, trial, named=str(root))


@pytest.mark.parametrize("count", [pytest.param(300), *SOAK])
def test_skeletons(count: int) -> None:
    files = sorted((ROOT / "conf" / "skeleton").glob("*.yaml"))
    contents = [yaml.safe_load(file.read_text()) for file in files]

    def trial(seed: int) -> None:
        content = mutated_json(contents[seed % len(contents)], seed)
        Skeleton.from_config(content)

    check(count, trial, named="")


@pytest.mark.parametrize("count", [pytest.param(100), *SOAK])
def test_caches(root: Path, coco18: Skeleton, count: int) -> None:
    file = root / "annotations" / "person_keypoints_train2017.json"
    index = read_split(file, root / "train2017", coco18)
    path = root / "a.0.0.npz"
    cache.save(index, path)
    whole = path.read_bytes()

    def trial(seed: int) -> None:
        path.write_bytes(mutated_bytes(whole, seed))
        found = cache.load(path, index.folder)
        if found is not None:
            assert np.array_equal(found.keypoints, index.keypoints) and np.array_equal(
                found.sizes, index.sizes
            )
            assert (
                found.files.tolist() == index.files.tolist()
                and found.offsets.tolist() == index.offsets.tolist()
            )

    check(count, trial, named=str(root))


@pytest.mark.parametrize("count", [pytest.param(30), *SOAK])
def test_checkpoints(checkpoint: Path, tmp_path: Path, count: int) -> None:
    from pafpose.inference.checkpoint import load_network

    whole = (checkpoint / "checkpoints" / "best.ckpt").read_bytes()
    path = tmp_path / "odd.ckpt"

    def trial(seed: int) -> None:
        path.write_bytes(mutated_bytes(whole, seed))
        load_network(path)

    check(count, trial, named=str(path))


@pytest.mark.parametrize("count", [pytest.param(60), *SOAK])
def test_configs_of_checkpoints(checkpoint: Path, tmp_path: Path, count: int) -> None:
    """Files that torch can read, whose config is odd: the network is loaded and used, or refused by name."""
    from pafpose.inference.checkpoint import load_network

    whole = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    config = whole["hyper_parameters"]["config"]
    groups = ("backbone", "head", "skeleton", "heatmap", "paf", "decode", "evaluate", "precision")
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    path = tmp_path / "odd.ckpt"
    load_network(checkpoint).decoder.warm_up()  # compiling takes longer than a trial may

    def trial(seed: int) -> None:
        odd = config | mutated_json({key: config[key] for key in groups}, seed)
        torch.save(whole | {"hyper_parameters": whole["hyper_parameters"] | {"config": odd}}, path)
        trained = load_network(path)
        fields = trained.predict_fields(image)
        trained.decoder(fields.heatmaps[0], fields.pafs[0])

    check(count, trial, named=str(path))
