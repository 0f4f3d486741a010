"""predict() draws overlays and writes a COCO file that pycocotools reads."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

import pafpose
from pafpose.config import load_config
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.tools.predict import clear_ones, find_photos, overlay_names, predict


def run(checkpoint, source, folder, *overrides):
    overrides = [
        f"ckpt_path={checkpoint}",
        f"source={source}",
        f"paths.output_dir={folder}",
        "device=cpu",
        *overrides,
    ]
    return predict(load_config(overrides, name="predict"), overrides)


def test_overlays_and_json(checkpoint, coco_root, tmp_path):
    result = run(
        checkpoint, coco_root / "val2017", tmp_path, "decode.peak_threshold=0.02", "decode.min_score=0"
    )
    assert [image["width"] for image in result["images"]] == [120, 120]
    overlays = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in overlays] == ["000000000011.png", "000000000012.png"]
    assert load_image(overlays[0]).shape == (90, 120, 3)
    assert json.loads((tmp_path / "predictions.json").read_text()) == result
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "predictions.json"))
    assert len(coco.cats[1]["keypoints"]) == 17
    assert all(1 <= end <= 17 for limb in coco.cats[1]["skeleton"] for end in limb)


def test_scraps_are_not_drawn_but_kept(checkpoint, coco_root, tmp_path):
    found = People(torch.ones(3, 18, 3), torch.tensor([20.0, 2.0, 1.9]))
    assert clear_ones(found, 0.1).scores.tolist() == [20, 2]
    assert clear_ones(found, 0).scores.tolist() == found.scores.tolist()
    nobody = People.nobody(18)
    assert clear_ones(nobody, 0.1) is nobody
    with pytest.raises(PafposeError, match="drawn_score=2"):
        clear_ones(found, 2)
    few = ("decode.peak_threshold=0.02", "decode.min_score=0")
    all_drawn = run(checkpoint, coco_root / "val2017", tmp_path / "all", *few, "drawn_score=0")
    best_drawn = run(checkpoint, coco_root / "val2017", tmp_path / "best", *few, "drawn_score=1")
    assert all_drawn == best_drawn


def test_sources(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in find_photos(str(tmp_path))] == ["a.PNG", "b.jpg"]
    assert [path.name for path in find_photos(str(tmp_path / "*.jpg"))] == ["b.jpg"]
    assert find_photos(str(tmp_path / "b.jpg")) == [tmp_path / "b.jpg"]
    for nothing in (None, str(tmp_path / "none"), str(tmp_path / "*.gif")):
        with pytest.raises(PafposeError, match="source"):
            find_photos(nothing)


def test_photos_of_the_same_name_keep_apart(tmp_path):
    photos = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", tmp_path / "x.png"]
    assert overlay_names(photos) == ["x.png", "x_2.png", "x_3.png"]


def test_load_predicts_files_and_arrays_alike(checkpoint, coco_root, coco18):
    predictor = pafpose.load(checkpoint, device="cpu")
    path = coco_root / "val2017" / "000000000011.png"
    from_file, from_array = predictor(path), predictor(load_image(path))
    assert from_file.keypoints.shape[1:] == (18, 3)
    np.testing.assert_array_equal(from_file.keypoints, from_array.keypoints)
    for bad in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(PafposeError, match="RGB uint8"):
            predictor(bad)
