"""AP by keypoint and by crowd level on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.metrics.breakdown import ap_by_crowd, ap_by_keypoint, crowd_index


def person(image_id, x, y):
    """All 17 keypoints in a row of 80 px, 80 px high box."""
    keypoints = np.stack([x + 5.0 * np.arange(17), np.full(17, y + 40.0), np.full(17, 2.0)], -1)
    return {
        "id": 1,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x, y, 81, 80],  # from the outer corner of pixel (x, y)
        "area": 4000.0,
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": 17,
    }


def truth(coco18, *people):
    names = [coco18.keypoints[k] for k in coco18.scored]
    photos = sorted({p["image_id"] for p in people})
    return {
        "images": [{"id": n} for n in photos],
        "annotations": list(people),
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def found(*people):
    """The people as detections with a confidence of 0.5."""
    points = [np.reshape(p["keypoints"], (-1, 3)) * [1, 1, 0.25] for p in people]
    return [
        {"image_id": p["image_id"], "category_id": 1, "keypoints": xyc.ravel().tolist(), "score": 0.9}
        for p, xyc in zip(people, points, strict=True)
    ]


def test_crowd_index_counts_strangers_in_the_box(coco18):
    alone, pair = [person(1, 0, 0)], [person(2, 0, 0), person(2, 40, 0)]
    index = crowd_index(truth(coco18, *alone, *pair))
    assert index[1] == 0
    assert index[2] == pytest.approx(9 / 17)  # 40..80 of the other is inside, on both sides
    narrow = [dict(p, bbox=[p["bbox"][0], p["bbox"][1], 80, 80]) for p in pair]  # the last pixel is 79
    assert crowd_index(truth(coco18, *narrow))[2] == pytest.approx((8 + 9) / 2 / 17)
    assert crowd_index(truth(coco18) | {"images": [{"id": 5}]}) == {5: 0.0}


def only(labelled, image_id, x):
    """A person of which only the first keypoints are labelled."""
    someone = person(image_id, x, 0)
    keypoints = np.reshape(someone["keypoints"], (-1, 3))
    keypoints[labelled:] = 0
    keypoints[::2, 2] = np.minimum(keypoints[::2, 2], 1)
    return someone | {"keypoints": keypoints.ravel().tolist(), "num_keypoints": labelled}


def test_only_labelled_keypoints_are_strangers(coco18):
    """The unlabelled ones stand at (0, 0), in the first box."""
    pair = [only(17, 2, 0), only(3, 2, 60)]  # 3 in the first box; 60, 65, ... 80 are 5 in the second
    assert crowd_index(truth(coco18, *pair))[2] == pytest.approx((3 / 17 + 5 / 3) / 2)


def test_a_photo_is_of_one_level(coco18):
    pair = [only(5, 2, 0), only(5, 2, 80)]  # only (80, 40) lies in both boxes
    index = crowd_index(truth(coco18, *pair))
    assert index == {2: 0.1}
    assert list(ap_by_crowd(found(*pair), truth(coco18, *pair), coco18)) == ["AP_some"]


def test_one_bad_keypoint_shows_in_its_own_number(coco18):
    people = [person(1, 0, 0), person(2, 100, 50)]
    detections = found(*people)
    for detection in detections:
        detection["keypoints"] = [*detection["keypoints"]]
        detection["keypoints"][3 * 9] += 300  # left wrist
    scores = ap_by_keypoint(detections, truth(coco18, *people), coco18)
    assert len(scores) == 17
    assert scores["AP_left_wrist"] == 0
    assert all(v == pytest.approx(1) for name, v in scores.items() if name != "AP_left_wrist")


def test_people_without_the_keypoint_are_no_false_alarm_for_it(coco18):
    one = person(1, 0, 0)
    alarm = found(person(1, 300, 300))[0]
    alarm["keypoints"][3:] = [0] * 48  # a nose alone
    alarm["score"] = 0.99
    scores = ap_by_keypoint([*found(one), alarm], truth(coco18, one), coco18)
    assert scores.pop("AP_nose") == pytest.approx(0.5)
    assert all(score == pytest.approx(1) for score in scores.values())


def test_names_are_those_of_the_skeleton(coco18):
    one = person(1, 0, 0)
    spelt = truth(coco18, one)
    spelt["categories"][0]["keypoints"] = [
        name.replace("_", " ").title() for name in spelt["categories"][0]["keypoints"]
    ]
    scores = ap_by_keypoint(found(one), spelt, coco18)
    assert scores == pytest.approx({f"AP_{coco18.keypoints[k]}": 1.0 for k in coco18.scored})


def test_levels_are_scored_apart(coco18):
    alone, pair = person(1, 0, 0), [person(2, 0, 0), person(2, 40, 0)]
    scores = ap_by_crowd(found(alone, pair[0]), truth(coco18, alone, *pair), coco18)
    assert scores["AP_alone"] == pytest.approx(1)
    assert 0.4 < scores["AP_some"] < 0.6
    assert "AP_crowded" not in scores  # nobody to find there: not defined, which is not 0


def test_a_level_where_everybody_is_missed_is_zero(coco18):
    crowd = [person(2, 0, 0), person(2, 0, 4)]
    scores = ap_by_crowd([], truth(coco18, *crowd, person(3, 0, 0) | {"iscrowd": 1}), coco18)
    assert scores == {"AP_crowded": 0}


def test_a_keypoint_that_nobody_is_annotated_with_has_no_number(coco18):
    one = person(1, 0, 0)
    one["keypoints"] = [*one["keypoints"][:-3], 0, 0, 0]  # the last of COCO's order
    names = truth(coco18, one)["categories"][0]["keypoints"]
    scores = ap_by_keypoint(found(one), truth(coco18, one), coco18)
    assert list(scores) == [f"AP_{name}" for name in names[:-1]]
