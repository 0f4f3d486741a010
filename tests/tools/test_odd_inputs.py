"""What people give to predict and evaluate has its right value."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pafpose.config import load_config
from pafpose.data.annotations import ground_truth
from pafpose.data.photos.images import FILL, load_image
from pafpose.metrics.coco_ap import coco_ap
from pafpose.tools.evaluate import evaluate
from pafpose.tools.predict.predict import predict
from pafpose.tools.predict.sources import find_sources
from tests.conftest import ROOT

ODD_INPUTS = Path(os.environ.get("PAFPOSE_ODD_INPUTS", ROOT.parent / "shared" / "data" / "odd-inputs"))


@pytest.fixture(scope="module")
def odd_inputs() -> Path:
    if not ODD_INPUTS.is_dir():
        pytest.skip("odd-inputs is absent: set PAFPOSE_ODD_INPUTS to its folder")
    return ODD_INPUTS


def run(name: str, checkpoint: Path, folder: Path, *keys: str) -> Any:
    typed = [f"ckpt_path={checkpoint}", f"paths.output_dir={folder}", *keys]
    return {"predict": predict, "evaluate": evaluate}[name](load_config(typed, name=name), typed)


def predicted(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "predictions.json").read_text())


def test_a_cut_off_photo_costs_itself_alone(odd_inputs: Path, checkpoint: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("good1.jpg", "good2b_cut.jpg"):
        (photos / name).write_bytes((odd_inputs / name).read_bytes())
    summary = run("predict", checkpoint, tmp_path / "out", f"source={photos}")
    result = predicted(tmp_path / "out")
    assert [photo["file_name"] for photo in result["images"]] == ["good1.jpg"]
    assert [photo["file_name"] for photo in result["left_out"]] == ["good2b_cut.jpg"]
    assert summary.left_out == result["left_out"]


def test_overlays_tell_their_photos(odd_inputs: Path, checkpoint: Path, tmp_path: Path) -> None:
    run("predict", checkpoint, tmp_path, f"source={odd_inputs / 'same_names'}")
    overlays = {photo["file_name"]: photo["overlay"] for photo in predicted(tmp_path)["images"]}
    assert overlays == {
        "a.jpg": "images/a.jpg.png", "a.png": "images/a.png.png", "a_2.jpg": "images/a_2.png"
    }  # fmt: skip
    assert all((tmp_path / overlay).is_file() for overlay in overlays.values())


def test_names_may_be_numbers(
    odd_inputs: Path, monkeypatch: pytest.MonkeyPatch, checkpoint, tmp_path
) -> None:
    monkeypatch.chdir(odd_inputs)
    assert [photo.name for photo in find_sources(2024).photos] == ["a.jpg"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1").symlink_to(checkpoint)
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "a.jpg").write_bytes((odd_inputs / "good1.jpg").read_bytes())
    assert run("predict", Path("1"), tmp_path / "out", "source=2024").frames == 1


def test_ap_of_large_people_is_undefined_without_any(odd_inputs: Path, coco18) -> None:
    truth = json.loads((odd_inputs / "gt20.json").read_text())
    assert max(person["area"] for person in truth["annotations"] if person["num_keypoints"]) <= 96**2
    found = [
        {"image_id": row["image_id"], "category_id": 1, "keypoints": row["keypoints"], "score": 1.0}
        for row in truth["annotations"]
        if row["num_keypoints"]
    ]
    scores = coco_ap(found, truth, coco18)
    assert scores["AP"] > 0.9 and math.isnan(scores["APL"]) and math.isnan(scores["ARL"])


def test_ap_of_nobody_is_undefined(odd_inputs: Path, checkpoint: Path, tmp_path: Path, caplog) -> None:
    ground_truth._warn_once.cache_clear()
    keys = ("data=coco", f"data.root={odd_inputs / 'nobody_set'}", "data.num_workers=0")
    metrics = run("evaluate", checkpoint, tmp_path, *keys)
    assert math.isnan(metrics["AP"]) and "nobody is annotated" in caplog.text
    assert json.loads((tmp_path / "metrics.json").read_text())["AP"] is None


def test_people_beneath_full_transparency_are_not_seen(odd_inputs: Path) -> None:
    image = load_image(odd_inputs / "all_transparent_people_beneath.png")
    assert np.array_equal(image, np.full_like(image, FILL))
