"""Crowds of real people: all on the photo, smaller the more they are, and told apart by the decoder."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import decode_crowds as crowds
from benchmarks.decode import _crowd
from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.metrics.coco_ap import coco_ap
from tests.decode.decode_scenes import figure


@pytest.fixture
def pool(rng, coco18):
    people = _crowd(rng, 4, coco18)
    people[:, np.setdiff1d(np.arange(18), coco18.scored)] = 0
    return people


def test_people_are_on_the_photo_and_shrink_with_their_number(pool, rng):
    tall = []
    for people in (2, 50):
        crowd = crowds.spread(pool, people, 368, rng)
        seen = crowd[crowd[..., 2] > 0]
        assert crowd.shape == (people, 18, 3)
        assert seen[:, :2].min() >= 0 and seen[:, :2].max() <= 367
        tall.append(crowds._boxes(crowd)[:, 3].max())
    assert tall[1] < 0.5 * tall[0]


def test_truth_given_as_detections_is_ap_one_and_all_people_count(pool, rng, coco18):
    made = [crowds.spread(pool, 50, 368, rng) for _ in range(2)]
    truth = crowds._truth(made, coco18, 368)
    found = [
        {key: a[key] for key in ("image_id", "category_id", "keypoints")} | {"score": 1.0}
        for a in truth["annotations"]
    ]
    assert len(found) == 100
    assert coco_ap(found, truth, coco18, max_detections=100, areas=("all",))["AP"] == pytest.approx(1)
    some = coco_ap(found, truth, coco18, areas=("all",))["AP"]  # COCO's 20 of 50
    assert some < 0.5


def test_default_tells_fifty_apart_and_the_paper_fewer(coco_mini):
    scores = {}
    for decode in ("default", "paper"):
        typed = ["data=coco_mini", f"data.root={coco_mini}", f"decode={decode}"]
        scores[decode] = crowds.crowd_ap(load_config(typed, name="oracle"), 50, 3)["AP"]
    assert scores["default"] >= 0.9
    assert scores["default"] > scores["paper"]


def test_nobody_whole_is_said(coco18):
    half = figure(coco18, 100, 100, 90)
    half[coco18.scored[:8], 2] = 0
    scene = type("S", (), {"keypoints": half[None]})()
    with pytest.raises(PafposeError, match="13 keypoints"):
        crowds._pool([scene], coco18)
