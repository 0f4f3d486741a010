"""Fixtures shared by all tests: skeletons, seeds, and the small real data set where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pafpose.config import plain
from pafpose.skeleton import Skeleton

ROOT = Path(__file__).resolve().parent.parent


def skeleton_config(name: str) -> dict:
    """The plain mapping of conf/skeleton/<name>.yaml."""
    return plain(yaml.safe_load((ROOT / "conf" / "skeleton" / f"{name}.yaml").read_text()))


@pytest.fixture(scope="session")
def coco18() -> Skeleton:
    return Skeleton.from_config(skeleton_config("coco18"))


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """Folder of real COCO photos in COCO's layout: PAFPOSE_COCO_MINI or ../shared/data/coco-mini."""
    root = Path(os.environ.get("PAFPOSE_COCO_MINI", ROOT.parent / "shared" / "data" / "coco-mini"))
    if not (root / "annotations" / "person_keypoints_val2017.json").is_file():
        pytest.skip("coco-mini is absent: set PAFPOSE_COCO_MINI to its folder")
    return root


@pytest.fixture
def rng() -> np.random.Generator:
    torch.manual_seed(0)
    return np.random.default_rng(0)
