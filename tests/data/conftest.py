"""Tiny data sets in COCO's layout, and data modules of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pafpose.data.dataset import TrainDataset
from pafpose.data.folder import FolderDataModule
from pafpose.data.photos.augment import AugmentSettings
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings
from tests.data.coco_files import STILL, person, six_points, write_split


@pytest.fixture
def two_splits(tmp_path: Path) -> Path:
    """Four training and two validation photos of noise; 0, 1, 2, 3 people each, and 1, 2."""
    rng = np.random.default_rng(0)

    def photo(count: int) -> tuple[np.ndarray, list[dict]]:
        image = rng.integers(0, 255, (120 + 8 * count, 160, 3), dtype=np.uint8)
        people = [
            person(six_points(20 + 50 * n, 30), box=(10 + 50 * n, 20, 40, 80), segmentation=[])
            for n in range(count)
        ]
        return image, people

    write_split(tmp_path, [photo(n) for n in range(4)])
    write_split(tmp_path, [photo(n) for n in (1, 2)], split="val", first_id=100)
    return tmp_path


@pytest.fixture
def make_data(coco18: Skeleton) -> Callable[..., FolderDataModule]:
    """A data module of a folder; ``augment`` and ``mask`` are dicts of settings."""

    def make(
        root: Path, *, augment: dict | None = None, mask: dict | None = None, stride: int = 8, **keys: Any
    ) -> FolderDataModule:
        return FolderDataModule(
            skeleton=keys.pop("skeleton", coco18),
            augment=AugmentSettings(**{"crop": 64, "shift": 8} | (augment or {})),
            mask=MaskSettings(**mask or {}),
            evaluate=SimpleNamespace(input_size=keys.pop("input_size", 96), fit=keys.pop("fit", "long")),
            stride=stride,
            seed=keys.pop("seed", 0),
            root=str(root),
            **{"num_workers": 0, "batch_size": 2, "val_batch_size": 2, "pin_memory": False} | keys,
        )

    return make


@pytest.fixture
def make_crops(make_data: Callable[..., FolderDataModule]) -> Callable[..., TrainDataset]:
    """Training crops of a folder without a validation split: still geometry, everybody is a main person."""

    def make(root: Path, augment: dict, **keys: Any) -> TrainDataset:
        augment = STILL | {"crop": 256, "target_dist": 0.5} | augment
        data = make_data(root, augment=augment, mask={"min_area": 0, "min_keypoints": 1}, **keys)
        return data._make_train(data.read_split("train"))

    return make
