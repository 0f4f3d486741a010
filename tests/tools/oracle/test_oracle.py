"""The oracle on people drawn by hand: where it must be perfect, and that each bound says what it means."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from pafpose.config import load_config
from pafpose.config import settings as read_settings
from pafpose.errors import PafposeError
from pafpose.tools.oracle import BOUNDS, OracleSettings
from pafpose.tools.oracle.bounds import bounded_people, match_peaks, split_people
from pafpose.tools.oracle.oracle import compute, oracle
from pafpose.tools.oracle.perturb import add_noise, blur, drop_keypoints

# a standing person, 60 x 160 px: COCO's 17 keypoints
STANDING = np.array(
    [(30, 10), (36, 5), (24, 5), (44, 8), (16, 8), (52, 34), (8, 34), (56, 62), (4, 62), (58, 88), (2, 88),
     (44, 88), (16, 88), (44, 122), (16, 122), (44, 156), (16, 156)], float
)  # fmt: skip
HEAD, LEFT_LEG, HIPS = range(5), (13, 15), (11, 12)


def person(number, photo, *, at=(0, 0), scale=1.0, hidden=(), labels=None):
    xy = STANDING * scale + at
    v = np.full(17, 2) if labels is None else np.array(labels)
    v[list(hidden)] = 0
    rows = np.where(v[:, None] > 0, np.c_[xy, v], 0)
    return {
        "id": number,
        "image_id": photo,
        "category_id": 1,
        "bbox": [*at, 60 * scale, 160 * scale],
        "area": 60 * 160 * scale**2 * 0.7,
        "iscrowd": 0,
        "keypoints": rows.ravel().tolist(),
        "num_keypoints": int((v > 0).sum()),
    }


@pytest.fixture
def make_root(tmp_path, coco18):
    """Write annotation files, and no photos; (split, people, (width, height)) each."""

    def make(**splits):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for split, (people, (width, height)) in splits.items():
            photos = sorted({p["image_id"] for p in people})
            names = [coco18.keypoints[k] for k in coco18.scored]
            content = {
                "images": [
                    {"id": n, "file_name": f"{n}.jpg", "width": width, "height": height} for n in photos
                ],
                "annotations": people,
                "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
            }
            path = tmp_path / "annotations" / f"person_keypoints_{split}2017.json"
            path.write_text(json.dumps(content))
        return tmp_path

    return make


def run(root, *overrides):
    cfg = load_config(["data=coco", f"data.root={root}", *overrides], name="oracle")
    return compute(cfg, read_settings(OracleSettings, cfg.oracle, "oracle"))


def two_photos():
    people = [person(1, 7, at=(20, 40)), person(2, 7, at=(200, 60), scale=1.4)]
    return [*people, person(3, 9, at=(60, 20), scale=1.8)]


def test_plain_people_are_found_again_without_photos(make_root, tmp_path, capsys):
    root = make_root(val=(two_photos(), (368, 340)))
    cfg = load_config(
        ["data=coco", f"data.root={root}", f"paths.output_dir={tmp_path / 'out'}"], name="oracle"
    )
    metrics = oracle(cfg)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {key: None if math.isnan(value) else value for key, value in metrics.items()} == written
    assert metrics["AP"] == pytest.approx(1) and metrics["AR"] == pytest.approx(1)
    assert all(metrics[f"AP_{bound}"] == pytest.approx(1) for bound in BOUNDS)
    assert metrics["AP_left_wrist"] == pytest.approx(1) and metrics["AP_alone"] == pytest.approx(1)
    assert (metrics["photos"], metrics["people"]) == (2, 3)
    assert (tmp_path / "out" / "config.yaml").is_file()
    out = capsys.readouterr().out
    assert "topology" in out and "left_wrist" in out and "alone" in out


def test_both_splits_may_share_ids(make_root):
    root = make_root(val=(two_photos(), (368, 340)), train=(two_photos(), (400, 340)))
    metrics = run(root, "oracle.split=both", "oracle.detail=total")
    assert metrics["photos"] == 4 and metrics["AP"] == pytest.approx(1)
    assert "AP_topology" not in metrics and "AP_nose" not in metrics


def test_a_hidden_hip_cuts_the_leg_off(make_root):
    root = make_root(val=([person(1, 1, at=(20, 40), hidden=(5, 11, 12))], (368, 340)))
    metrics = run(root, "oracle.detail=bounds")  # no hips: 4 leg keypoints hang on nothing; no neck either
    assert metrics["AP_topology"] < 0.9
    assert metrics["loss_topology"] == pytest.approx(1 - metrics["AP_topology"])
    losses = sum(metrics[f"loss_{name}"] for name in (*BOUNDS, "grouping"))
    assert losses == pytest.approx(1 - metrics["AP"])


def test_dropped_keypoints_are_lost_peaks(make_root):
    root = make_root(val=(two_photos(), (368, 340)))
    metrics = run(root, "oracle.drop=0.5", "oracle.detail=bounds")
    assert metrics["AP_topology"] == metrics["AP_quantisation"] == pytest.approx(1)
    assert metrics["AP_peaks"] < 0.8 and metrics["AP"] <= metrics["AP_peaks"] + 1e-9
    assert run(root, "oracle.drop=1", "oracle.detail=bounds")["AP"] == 0


def test_noise_and_blur_cost_and_are_repeatable(make_root):
    root = make_root(val=(two_photos(), (368, 340)))
    one, again = (run(root, "oracle.noise=0.2", "oracle.detail=bounds") for _ in range(2))
    assert one == again and one["AP"] < 1
    assert run(root, "oracle.noise=0.2", "oracle.detail=bounds", "seed=1") != one
    assert run(root, "oracle.blur=40", "oracle.detail=total")["AP"] < 1
    assert run(root, "oracle.blur=2", "oracle.detail=total")["AP"] == pytest.approx(1)


def test_masked_keypoints_are_not_drawn(make_root):
    labels = np.full(17, 2)
    labels[list(LEFT_LEG)] = 1
    root = make_root(val=([person(1, 1, at=(20, 40), labels=labels)], (368, 340)))
    assert run(root, "oracle.detail=total")["AP"] == pytest.approx(1)
    assert run(root, "oracle.detail=total", "mask.occluded_keypoints=false")["AP"] < 1
    with pytest.raises(PafposeError, match="nothing to encode"):
        run(root, "mask.small_people=ignore", "mask.min_area=1e9")


CHOICES = (
    "heatmap.scale_by=person",
    "heatmap.background=none",
    "paf=smooth",
    "paf.scale_by=person",
    "paf.limbs=dense",
    "paf.profile=gaussian",
    "head.stride=4",
    "evaluate.fit=height",
    "decode=coco",
)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_kind_of_choice_runs(make_root, choice):
    root = make_root(val=(two_photos(), (368, 340)))
    assert run(root, choice, "oracle.detail=bounds")["AP"] == pytest.approx(1)


def test_a_missing_file_and_wrong_keys_are_explained(tmp_path):
    with pytest.raises(PafposeError, match="person_keypoints_val2017"):
        run(tmp_path)
    for key, value in (("split", "test"), ("noise", -1), ("blur", "x"), ("drop", 1.5), ("detail", "all")):
        with pytest.raises(PafposeError, match=f"oracle.{key}"):
            OracleSettings(**{key: value})


def test_the_config_has_the_papers_input_and_takes_recipes():
    cfg = load_config(name="oracle")
    assert (cfg.task_name, cfg.evaluate.input_size, cfg.head.stride) == ("oracle", 368, 8)
    assert load_config(["recipe=synthetic"], name="oracle").evaluate.input_size == 288


def test_pieces_of_a_person(coco18):
    mask = np.zeros((3, 18), bool)
    mask[0] = True  # whole
    mask[1, [0, 1, 9, 17]] = True  # nose, eye and neck; a wrist on its own
    mask[2, 17] = True  # a neck alone is nobody
    pieces, owners = split_people(mask, coco18)
    assert owners.tolist() == [0, 1, 1]
    assert pieces[0].all()
    assert sorted(np.flatnonzero(p).tolist() for p in pieces[1:]) == [[0, 1, 17], [9]]
    assert [len(part) for part in split_people(np.zeros((0, 18), bool), coco18)] == [0, 0]


def test_each_peak_serves_one_keypoint_the_nearest_first():
    keypoints = np.array([[[0, 0, 2]], [[6, 0, 2]], [[50, 0, 2]], [[9, 0, 0]]], np.float32)
    matched = match_peaks(keypoints, [np.array([[5.0, 0], [30, 0]], np.float32)], radius=10)
    assert matched[1, 0].tolist() == [5, 0]
    assert np.isnan(matched[[0, 2, 3]]).all()


def test_bounds_by_hand(coco18):
    keypoints = np.zeros((1, 18, 3), np.float32)
    keypoints[0, [0, 1, 3]] = (10, 10, 2), (20, 10, 2), (30, 10, 2)  # nose - left eye - left ear
    matched = np.full((1, 18, 2), np.nan, np.float32)
    matched[0, 0], matched[0, 1] = (11, 10), (20, 12)
    people = bounded_people(keypoints, matched, coco18, min_keypoints=2)
    assert people["topology"].keypoints[0, [0, 1, 3]].tolist() == [[10, 10, 1], [20, 10, 1], [30, 10, 1]]
    assert people["quantisation"].keypoints[0, [0, 1, 3]].tolist() == [[11, 10, 1], [20, 12, 1], [30, 10, 1]]
    assert people["peaks"].keypoints[0, [0, 1, 3]].tolist() == [[11, 10, 1], [20, 12, 1], [0, 0, 0]]
    few = bounded_people(keypoints, matched, coco18, min_keypoints=3)
    assert [len(few[bound].scores) for bound in BOUNDS] == [1, 1, 0]


def test_perturbations():
    fields = torch.zeros(1, 2, 21, 21)
    fields[0, 0, 10, 10] = 1
    soft = blur(fields, 1.5)
    assert soft.sum() == pytest.approx(1, abs=1e-5) and soft[0, 1].abs().max() == 0
    torch.testing.assert_close(soft[0, 0], soft[0, 0].T)
    assert soft[0, 0, 10, 11] / soft[0, 0, 10, 10] == pytest.approx(np.exp(-1 / (2 * 1.5**2)), rel=1e-5)
    torch.testing.assert_close(blur(torch.ones(1, 1, 5, 5), 4.0), torch.ones(1, 1, 5, 5))
    assert blur(fields, 0) is fields and add_noise(fields, 0, seed=0, image_id=1) is fields
    noisy = add_noise(torch.zeros(10, 50, 50), 0.3, seed=0, image_id=1)
    assert noisy.std() == pytest.approx(0.3, rel=0.03)
    torch.testing.assert_close(2 * noisy, add_noise(torch.zeros(10, 50, 50), 0.6, seed=0, image_id=1))
    assert not torch.equal(noisy, add_noise(torch.zeros(10, 50, 50), 0.3, seed=0, image_id=2))
    people = np.ones((200, 18, 3), np.float32)
    few, many = (drop_keypoints(people, share, seed=0, image_id=3)[..., 2] for share in (0.2, 0.4))
    assert (people == 1).all() and 1 - few.mean() == pytest.approx(0.2, abs=0.03)
    assert (many <= few).all()


def test_coco_mini_reaches_what_is_known(coco_mini):
    metrics = compute(
        load_config(["data=coco_mini", f"data.root={coco_mini}"], name="oracle"),
        OracleSettings(split="val", detail="bounds"),
    )
    assert metrics["AP"] > 0.78
    assert metrics["AP_topology"] >= metrics["AP_peaks"] - 0.01
    assert abs(metrics["loss_quantisation"]) < 0.01 and metrics["loss_grouping"] < 0.03
