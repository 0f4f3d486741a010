"""Fixtures shared by all tests: skeletons, seeds, and the small real data set where it is at hand."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from pafpose.config import load_config, plain
from pafpose.skeleton import Skeleton
from pafpose.viz.sheets import save_picture

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in background jobs of a shell; tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


COMMON = ("data=coco", "augment=default", "augment.crop=64", "data.num_workers=0", "evaluate.input_size=96")


@pytest.fixture(scope="session")
def coco_root(tmp_path_factory: pytest.TempPathFactory, coco18) -> Path:
    """Two photos in each split, a person with all keypoints in every photo."""
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    rng = np.random.default_rng(0)
    for split, first in (("train2017", 1), ("val2017", 11)):
        images = [
            {"id": first + n, "file_name": f"{first + n:012d}.png", "width": 120, "height": 90}
            for n in (0, 1)
        ]
        people = [_person(rng, image["id"]) for image in images]
        for image in images:
            pixels = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))
            save_picture(pixels, root / split / image["file_name"])
        names = [coco18.keypoints[k] for k in coco18.scored]
        content = {
            "images": images,
            "annotations": people,
            "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
        }
        (root / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(content))
    return root


def _person(rng, image_id: int) -> dict:
    keypoints = np.c_[rng.integers(20, 80, (17, 2)), np.full(17, 2)]
    return {
        "id": image_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [18, 18, 64, 64],
        "area": 3000.0,
        "iscrowd": 0,
        "segmentation": [[18, 18, 82, 18, 82, 82, 18, 82]],
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": 17,
    }


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, coco_root: Path) -> Path:
    """A run folder with checkpoints/best.ckpt."""
    from pafpose.training.module import PoseModule

    run = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    module = PoseModule(plain(load_config([*COMMON, f"data.root={coco_root}", "backbone=tiny"])))
    (run / "checkpoints").mkdir()
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(content, run / "checkpoints" / "best.ckpt")
    return run


@pytest.fixture(scope="session")
def onnx_file(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as an ONNX file, alone in its folder."""
    from tests.tools.export.exporting import run_export

    return run_export(checkpoint, tmp_path_factory.mktemp("onnx"), "format=onnx")
