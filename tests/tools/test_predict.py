"""predict() draws overlays and writes a COCO file that pycocotools reads."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from pafpose.config import load_config
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.inference.predictor import Predictor
from pafpose.tools.predict import clear_ones, find_photos, overlay_names, predict
from tests.known_people import PEOPLE, SIZES, known_config, known_network, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos")) / "val2017"


@pytest.fixture
def run(photos, monkeypatch):
    """predict() with the network that knows everybody in the photos."""
    config = known_config(photos.parent)
    monkeypatch.setattr("pafpose.tools.predict.load_checkpoint", lambda cfg, typed: known_network(config))

    def predict_into(folder, *overrides):
        words = ["ckpt_path=RUN", f"source={photos}", f"paths.output_dir={folder}", *overrides]
        return predict(load_config(words, name="predict"), words)

    return predict_into


def test_people_overlays_and_json(run, photos, tmp_path):
    result = run(tmp_path)
    assert json.loads((tmp_path / "predictions.json").read_text()) == result
    paths = sorted(photos.iterdir())
    assert [image["file_name"] for image in result["images"]] == [str(path) for path in paths]
    assert [(image["width"], image["height"]) for image in result["images"]] == list(SIZES.values())
    for number, (path, image_id) in enumerate(zip(paths, SIZES, strict=True), start=1):
        drawn, photo = load_image(tmp_path / "images" / path.name), load_image(path)
        assert drawn.shape == photo.shape and bool((drawn != photo).any()) == bool(PEOPLE[image_id])
        found = [person for person in result["annotations"] if person["image_id"] == number]
        for person, xy in zip(sorted(found, key=lambda p: p["bbox"]), PEOPLE[image_id], strict=True):
            points = np.array(person["keypoints"]).reshape(-1, 3)
            assert np.abs(points[:, :2] - xy).mean() < 1 and (points[:, 2] > 0).all()
            corner, size = points[:, :2].min(0), np.ptp(points[:, :2], axis=0)
            np.testing.assert_allclose(person["bbox"], [*corner, *size], atol=2e-3)
            assert person["area"] == person["bbox"][2] * person["bbox"][3]
            assert (person["num_keypoints"], person["iscrowd"]) == (17, 0)
    assert [person["id"] for person in result["annotations"]] == [1, 2, 3]


def test_pycocotools_reads_the_json(run, tmp_path, coco18):
    run(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "predictions.json"))
    names = coco.cats[1]["keypoints"]
    assert names == [coco18.keypoints[k] for k in coco18.scored]
    limbs = {(names[a - 1], names[b - 1]) for a, b in coco.cats[1]["skeleton"]}
    assert ("left_hip", "left_knee") in limbs and not any("neck" in limb for limb in limbs)


def test_low_scores_are_not_drawn_but_kept(run, photos, tmp_path, caplog):
    found = People(torch.ones(3, 18, 3), torch.tensor([0.75, 0.25, 0.125]))
    assert clear_ones(found, 0.25).scores.tolist() == [0.75, 0.25]
    assert clear_ones(found, 0).scores.tolist() == found.scores.tolist()
    assert len(clear_ones(People.nobody(18), 0.1).scores) == 0
    with pytest.raises(PafposeError, match="drawn_score=2"):
        clear_ones(found, 2)
    everybody = run(tmp_path / "all", "drawn_score=0")
    low, high = sorted(a["score"] for a in everybody["annotations"] if a["image_id"] == 1)
    assert 0 < low < high <= 1
    with caplog.at_level("INFO"):
        assert run(tmp_path / "best", f"drawn_score={(low + high) / 2}") == everybody
    name = f"{101:012d}.png"
    assert f"{name}: 1 drawn of 2 found" in caplog.text
    both, one = (load_image(tmp_path / folder / "images" / name) for folder in ("all", "best"))
    photo = load_image(photos / name)
    assert (both != photo).sum() > 1.5 * (one != photo).sum() > 0


def test_a_bad_photo_costs_that_photo_alone(run, photos, tmp_path, caplog):
    """In the middle of good ones; and whatever ends the command leaves what was found until then."""
    folder = tmp_path / "mixed"
    shutil.copytree(photos, folder)
    good = sorted(path.name for path in folder.iterdir())
    whole = (folder / good[0]).read_bytes()
    bad = {"0a.jpg": b"", "0b.png": b"text", f"{good[0][:-4]}x.png": whole[: len(whole) // 2]}
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    result = run(tmp_path / "out", f"source={folder}")
    assert [Path(image["file_name"]).name for image in result["images"]] == good
    assert sorted(Path(photo["file_name"]).name for photo in result["left_out"]) == sorted(bad)
    assert len(result["annotations"]) == len(run(tmp_path / "all")["annotations"])
    assert "3 of 6 photos could not be read" in caplog.text
    for name in good:
        (folder / name).unlink()
    with pytest.raises(PafposeError, match="none of the 3 photos can be read"):
        run(tmp_path / "none", f"source={folder}")


def test_an_interruption_leaves_what_was_found_until_then(run, photos, tmp_path, monkeypatch):
    def interrupt(path):
        if path == sorted(photos.iterdir())[-1]:
            raise KeyboardInterrupt
        return load_image(path)

    monkeypatch.setattr("pafpose.tools.predict.load_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert len(json.loads((tmp_path / "predictions.json").read_text())["images"]) == len(SIZES) - 1


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
    assert overlay_names(photos) == ["a-x.jpg.png", "b-x.jpg.png", "x.png.png"]


def test_arrays_of_other_kinds_are_refused(photos):
    predictor = Predictor(known_network(known_config(photos.parent)))
    for bad in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(PafposeError, match="RGB uint8"):
            predictor(bad)
