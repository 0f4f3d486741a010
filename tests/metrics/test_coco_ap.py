"""COCO AP against pycocotools' own summary, on hand-made cases and over processes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pafpose.errors import PafposeError
from pafpose.fields import Poses
from pafpose.metrics.coco_ap import (
    METRICS,
    KeypointAP,
    coco_ap,
    count_people,
    in_skeleton_order,
    only_photos,
    people_to_coco,
)


def make_truth(rng, skeleton, people_per_photo=(2, 0, 3, 1), *, size=100.0):
    """A COCO dict with random people about ``size`` px large; ids from 10."""
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    images, annotations = [], []
    for number, count in enumerate(people_per_photo):
        images.append({"id": 10 + number, "width": 640, "height": 480})
        for _ in range(count):
            xy = rng.uniform(0, 300, 2) + rng.uniform(0, size, (len(names), 2))
            keypoints = np.c_[xy.round(), rng.integers(0, 3, len(names))]
            keypoints[0, 2] = 2
            keypoints[keypoints[:, 2] == 0] = 0
            low, high = xy.min(0), xy.max(0)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": 10 + number,
                    "category_id": 1,
                    "bbox": [*low, *(high - low)],
                    "area": float((high - low).prod() * 0.6),
                    "iscrowd": 0,
                    "keypoints": keypoints.ravel().tolist(),
                    "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def exact_detections(truth):
    return [
        {
            "image_id": a["image_id"],
            "category_id": 1,
            "keypoints": [float(x) for x in a["keypoints"]],
            "score": 0.5 + 0.01 * n,
        }
        for n, a in enumerate(truth["annotations"])
        if a["num_keypoints"]
    ]


def noisy_detections(rng, truth, noise=6.0):
    found = exact_detections(truth)
    for detection in found:
        keypoints = np.array(detection["keypoints"]).reshape(-1, 3)
        keypoints[:, :2] += rng.normal(0, noise, keypoints[:, :2].shape)
        detection["keypoints"] = keypoints.ravel().tolist()
        detection["score"] = float(rng.uniform())
    return found


def pycocotools_stats(truth_file: Path, detections):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth_file))
        evaluation = COCOeval(truth, truth.loadRes([dict(d) for d in detections]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_exact_people_score_one(rng, coco18):
    truth = make_truth(rng, coco18)
    scores = coco_ap(exact_detections(truth), truth, coco18)
    assert tuple(scores) == METRICS
    assert scores["AP"] == pytest.approx(1)
    assert scores["AR"] == pytest.approx(1)


def test_equals_pycocotools_on_real_annotations(rng, coco18, coco_mini):
    path = coco_mini / "annotations" / "person_keypoints_val2017.json"
    truth = json.loads(path.read_text())
    detections = noisy_detections(rng, truth, noise=8)
    expected = np.maximum(pycocotools_stats(path, detections), 0)
    assert 0.1 < expected[0] < 0.99
    np.testing.assert_allclose(list(coco_ap(detections, truth, coco18).values()), expected, atol=1e-12)


def test_equals_pycocotools_with_crowds_and_people_without_keypoints(rng, coco18, tmp_path):
    truth = make_truth(rng, coco18, (2, 0, 3, 1, 25))
    detections = noisy_detections(rng, truth, noise=3)
    truth["annotations"][1]["iscrowd"] = 1
    for n in (4, 9):  # detections near their boxes count neither way
        truth["annotations"][n] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    for n, annotation in enumerate(truth["annotations"]):
        annotation["id"] = n + 1  # pycocotools takes 0 for "no match"
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    expected = pycocotools_stats(path, detections)
    assert 0.1 < expected[0] < 0.9
    scores = coco_ap(detections, truth, coco18)
    undefined = np.where(np.asarray(expected) < 0, np.nan, expected)  # pycocotools says -1
    np.testing.assert_allclose(list(scores.values()), undefined, atol=1e-12)
    quick = coco_ap(detections, truth, coco18, areas=("all",))
    assert quick == {name: scores[name] for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75")}


def test_nothing_found_is_zero_and_silent(rng, coco18, capsys):
    truth = make_truth(rng, coco18)
    truth["annotations"][0]["area"] = 200.0**2  # the only large person
    assert coco_ap([], truth, coco18) == dict.fromkeys(METRICS, 0.0)
    assert coco_ap([], truth, coco18, areas=("large",)) == {"APL": 0.0, "ARL": 0.0}
    coco_ap(exact_detections(truth), truth, coco18)
    assert capsys.readouterr().out == ""


def test_numbers_about_nobody_are_undefined(rng, coco18):
    truth = make_truth(rng, coco18)
    empty = truth | {"annotations": []}
    for scores in (coco_ap(exact_detections(truth), empty, coco18), coco_ap([], empty, coco18)):
        assert list(scores) == list(METRICS) and all(map(math.isnan, scores.values()))
    assert all(map(math.isnan, KeypointAP().compute(truth, coco18).values()))  # no photo was added
    small = make_truth(rng, coco18, size=60)  # nobody is large
    scores = coco_ap(exact_detections(small), small, coco18)
    assert math.isnan(scores["APL"]) and scores["APM"] == pytest.approx(1)
    assert math.isnan(coco_ap([], small, coco18)["ARL"]) and coco_ap([], small, coco18)["ARM"] == 0


def test_people_are_counted_as_coco_counts_them(rng, coco18):
    truth = make_truth(rng, coco18, size=60)
    counts = count_people(truth, coco18)
    assert counts["all"] == counts["medium"] > 0 and counts["large"] == 0
    crowd = truth | {"annotations": [a | {"iscrowd": 1} for a in truth["annotations"]]}
    assert count_people(crowd, coco18) == {"all": 0, "medium": 0, "large": 0}


def test_custom_sigmas_and_keypoint_order(rng, coco18):
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    order = rng.permutation(17)
    names = truth["categories"][0]["keypoints"]
    shuffled = truth | {
        "categories": [{"id": 1, "name": "person", "keypoints": [names[i] for i in order]}],
        "annotations": [
            a | {"keypoints": np.array(a["keypoints"]).reshape(-1, 3)[order].ravel().tolist()}
            for a in truth["annotations"]
        ],
    }
    assert coco_ap(found, shuffled, coco18) == coco_ap(found, truth, coco18)

    strict = dataclasses.replace(coco18, sigmas=tuple(0.3 * s for s in coco18.sigmas))
    assert coco_ap(found, truth, strict)["AP"] < coco_ap(found, truth, coco18)["AP"]


def test_each_category_has_its_own_keypoint_order(rng, coco18):
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    names = truth["categories"][0]["keypoints"]
    mixed = truth | {
        "categories": [{"id": 5, "keypoints": names}, {"id": 8, "keypoints": names[::-1]}],
        "annotations": [dict(a, category_id=5 + 3 * (n % 2)) for n, a in enumerate(truth["annotations"])],
    }
    for annotation in mixed["annotations"][1::2]:
        points = np.array(annotation["keypoints"]).reshape(-1, 3)[::-1]
        annotation["keypoints"] = points.ravel().tolist()
    assert coco_ap(found, mixed, coco18) == coco_ap(found, truth, coco18)


def test_categories_are_scored_as_one(rng, coco18):
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    renamed = truth | {
        "categories": [truth["categories"][0] | {"id": 7}],
        "annotations": [a | {"category_id": 7} for a in truth["annotations"]],
    }
    foreign = [d | {"category_id": 3} for d in found]
    assert coco_ap(foreign, renamed, coco18) == coco_ap(found, truth, coco18)


def test_annotations_in_skeleton_order(coco18):
    given = {
        "images": [{"id": 4}],
        "categories": [{"id": 7, "keypoints": ["Left-Ankle", "nose"]}],
        "annotations": [
            {"id": 0, "image_id": 4, "category_id": 7, "bbox": [1, 2, 3, 4], "keypoints": [5, 6, 1, 7, 8, 0]},
            {"id": 9, "image_id": 4, "category_id": 7, "bbox": [1, 2, 3, 4], "area": 5.0, "iscrowd": 1},
        ],
    }
    whole = in_skeleton_order(given, coco18)
    names = [coco18.keypoints[k] for k in coco18.scored]
    assert whole["images"] == given["images"]
    assert whole["categories"] == [{"id": 1, "name": "coco18", "keypoints": names}]
    first, second = whole["annotations"]
    keypoints = np.zeros((17, 3))
    keypoints[names.index("nose")] = (7, 8, 0)
    keypoints[names.index("left_ankle")] = (5, 6, 1)
    np.testing.assert_array_equal(np.reshape(first["keypoints"], (17, 3)), keypoints)
    assert (first["num_keypoints"], first["area"], first["iscrowd"], first["category_id"]) == (1, 12, 0, 1)
    assert first["id"] > 0 and second["id"] != first["id"]
    assert (second["num_keypoints"], second["area"], second["iscrowd"]) == (0, 5, 1)


def test_a_category_without_names_has_the_order_of_the_skeleton(rng, coco18):
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    unnamed = truth | {"categories": [{"id": 1, "name": "person"}]}
    assert coco_ap(found, unnamed, coco18) == coco_ap(found, truth, coco18)


def test_a_keypoint_that_the_data_set_lacks_is_not_scored(rng, coco18):
    truth = make_truth(rng, coco18)
    found = exact_detections(truth)
    for detection in found:
        detection["keypoints"][-3:] = [9999.0, 9999.0, 1.0]
    names = truth["categories"][0]["keypoints"]
    shorter = truth | {
        "categories": [{"id": 1, "keypoints": names[:-1]}],
        "annotations": [a | {"keypoints": a["keypoints"][:-3]} for a in truth["annotations"]],
    }
    assert coco_ap(found, shorter, coco18)["AP"] == pytest.approx(1)
    assert coco_ap(found, truth, coco18)["AP"] < 1


def test_areas_and_counts_that_the_file_lacks_or_has_wrong(rng, coco18):
    """Without an area, the box's is taken; labelled keypoints are counted, whatever num_keypoints says."""
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    for annotation in truth["annotations"]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    bare = truth | {
        "annotations": [
            {k: v for k, v in a.items() if k not in ("area", "iscrowd")} | {"num_keypoints": 0}
            for a in truth["annotations"]
        ]
    }
    assert coco_ap(found, bare, coco18) == coco_ap(found, truth, coco18)


def test_detections_stay_as_they_were(rng, coco18):
    truth = make_truth(rng, coco18)
    found = exact_detections(truth)
    before = json.dumps(found)
    coco_ap(found, truth, coco18)
    assert json.dumps(found) == before


def test_max_detections_keeps_the_best(rng, coco18):
    truth = make_truth(rng, coco18, (25,))
    found = exact_detections(truth)
    assert coco_ap(found, truth, coco18)["AR"] == pytest.approx(20 / 25)
    assert coco_ap(found, truth, coco18, max_detections=100)["AR"] == pytest.approx(1)
    surest = sorted(found, key=lambda d: -d["score"])[:7]
    assert coco_ap(found, truth, coco18, max_detections=7) == coco_ap(surest, truth, coco18)
    assert coco_ap(found, truth, coco18, max_detections=1)["AR"] == pytest.approx(1 / 25)
    with pytest.raises(PafposeError, match="max_detections=0"):
        coco_ap(found, truth, coco18, max_detections=0)


def by_photo(truth, detections):
    return {n: [d for d in detections if d["image_id"] == n] for n in (i["id"] for i in truth["images"])}


def test_a_photo_that_comes_twice_counts_once(rng, coco18):
    truth = make_truth(rng, coco18)
    found = noisy_detections(rng, truth)
    photos = by_photo(truth, found)
    metric = KeypointAP()
    for number in reversed(photos):
        metric.update(photos[number], number)
    metric.update(noisy_detections(rng, truth)[:1], 10)
    assert list(metric.photos().items()) == list(photos.items())
    assert metric.compute(truth, coco18) == coco_ap(found, truth, coco18)
    metric.reset()
    assert metric.photos() == {}


def test_only_photos_that_were_added_count(rng, coco18):
    truth = make_truth(rng, coco18)
    photos = by_photo(truth, exact_detections(truth))
    metric = KeypointAP()
    metric.update(photos[12], 12)
    assert metric.compute(truth, coco18)["AP"] == pytest.approx(1)
    metric.update([], 10)  # two people are annotated, nobody was found
    assert metric.compute(truth, coco18)["AR"] == pytest.approx(3 / 5)


def test_only_photos_keeps_the_rest_of_the_dict(rng, coco18):
    truth = make_truth(rng, coco18) | {"info": "x"}
    some = only_photos(truth, {10, 13})
    assert [image["id"] for image in some["images"]] == [10, 13]
    assert [a["image_id"] for a in some["annotations"]] == [10, 10, 13]
    assert (some["categories"], some["info"]) == (truth["categories"], "x")


def test_unknown_photo_is_an_error(rng, coco18):
    truth = make_truth(rng, coco18)
    stranger = exact_detections(truth)[0] | {"image_id": 999}
    with pytest.raises(PafposeError, match="999"):
        coco_ap([stranger], truth, coco18)


def test_crowds_are_neither_reward_nor_loss(rng, coco18):
    truth = make_truth(rng, coco18, (2,))
    found = exact_detections(truth)
    crowd = {"id": 77, "image_id": 10, "category_id": 1, "bbox": [400, 300, 200, 100], "area": 2e4}
    crowd |= {"iscrowd": 1, "keypoints": [0] * 51, "num_keypoints": 0}
    inside = np.tile([500.0, 350.0, 0.9], 17)
    false_alarm = {"image_id": 10, "category_id": 1, "keypoints": inside.tolist(), "score": 0.99}
    with_crowd = truth | {"annotations": [*truth["annotations"], crowd]}
    assert coco_ap([*found, false_alarm], with_crowd, coco18)["AP"] == pytest.approx(1)
    assert coco_ap([*found, false_alarm], truth, coco18)["AP"] < 0.9


def test_people_to_coco(coco18):
    keypoints = torch.zeros(2, 18, 3)
    keypoints[0, 5] = torch.tensor([10.25, 20.50049, 0.75])
    keypoints[1, 3] = torch.tensor([4.0, 5.0, 0.0])  # not found: its place must not leak
    first, second = people_to_coco(Poses(keypoints, torch.tensor([0.5, 0.25])), 7, coco18)
    assert len(first["keypoints"]) == 51
    assert first["keypoints"][15:18] == [10.25, 20.5, 0.75]  # to a thousandth
    assert (first["image_id"], first["category_id"], first["score"]) == (7, 1, 0.5)
    assert second["keypoints"] == [0.0] * 51
    assert people_to_coco(Poses.nobody(18), 7, coco18) == []
    json.dumps(first)


def _rank(rank: int, folder: str, truth: dict, found: list, skeleton) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    metric = KeypointAP()
    photos = [image["id"] for image in truth["images"]]
    padded = [*photos, photos[0]] if len(photos) % 2 else photos  # what DistributedSampler does
    for photo in padded[rank::2]:
        metric.update([d for d in found if d["image_id"] == photo], photo)
    scores = metric.compute(truth, skeleton)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(scores))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(rng, coco18, tmp_path):
    truth = make_truth(rng, coco18, (2, 1, 3, 0, 4))
    found = noisy_detections(rng, truth)
    torch.multiprocessing.spawn(_rank, (str(tmp_path), truth, found, coco18), nprocs=2)
    expected = coco_ap(found, truth, coco18)
    for rank in (0, 1):
        scores = json.loads((tmp_path / f"{rank}.json").read_text())
        assert scores == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
