"""PCK and pixel errors of people whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.metrics.distances import SHARES, measure_distances
from pafpose.metrics.errors import error_report
from pafpose.skeleton import Skeleton
from pafpose.viz.errors import draw_errors

NAMES = ("nose", "chest", "tail")
# a body of 30 x 40 px: its length is the diagonal, 50 px, so that PCK allows 2.5, 5 and 10 px
BODY = np.array([[10, 10, 2], [20, 30, 2], [40, 50, 1]], float)


def off_by(*pixels, person=BODY):
    """The person with each keypoint so many px to the right; None was not found."""
    found = person.copy()
    for k, dx in enumerate(pixels):
        found[k] = [0, 0, 0] if dx is None else [person[k, 0] + dx, person[k, 1], 0.5]
    return found


def shifted(dx, dy):
    return BODY + np.array([dx, dy, 0])


def measured(true, found):
    return measure_distances(NAMES, np.array(true), found)


def test_pck_counts_the_keypoints_within_a_share_of_the_diagonal():
    distances = measured([BODY], {0: off_by(2.4, 5.1, 10)})
    assert SHARES == (0.05, 0.1, 0.2)
    assert distances.lengths.tolist() == [50]
    assert distances.pck(0.05).tolist() == pytest.approx([1 / 3, 1, 0, 0])
    assert distances.pck(0.1).tolist() == pytest.approx([1 / 3, 1, 0, 0])
    assert distances.pck(0.2).tolist() == pytest.approx([1, 1, 1, 1])  # 10 px is still right


def test_distances_are_euclidean_means_and_medians_are_over_what_was_found():
    slanted = shifted(3, 4)
    distances = measured([BODY, BODY, BODY], {0: off_by(1, 2, None), 1: slanted, 2: off_by(3, 0, None)})
    assert distances.mean().tolist() == pytest.approx([(1 + 2 + 15 + 3) / 7, 3, 7 / 3, 5])
    assert distances.median().tolist() == pytest.approx([3, 3, 2, 5])
    assert distances.found_share().tolist() == pytest.approx([7 / 9, 1, 1, 1 / 3])


def test_unseen_people_and_missed_keypoints_are_wrong_for_pck():
    distances = measured([BODY, BODY], {1: off_by(0, 0, None)})
    assert distances.pck(0.1).tolist() == pytest.approx([2 / 6, 0.5, 0.5, 0])
    assert distances.found_share()[0] == pytest.approx(2 / 6)


def test_keypoints_without_a_label_are_in_no_number_and_in_no_box():
    true = BODY.copy()
    true[2] = 0
    distances = measured([true], {0: off_by(1, 1, 1)})
    assert distances.lengths[0] == pytest.approx(np.hypot(10, 20))
    assert distances.mean()[0] == 1 and np.isnan(distances.mean()[3])
    assert distances.pck(0.1)[0] == 1 and np.isnan(distances.pck(0.1)[3])


def test_a_single_keypoint_has_no_length_but_a_pixel_error():
    true = BODY.copy()
    true[1:] = 0
    distances = measured([true, BODY], {0: off_by(7), 1: off_by(0, 0, 0)})
    assert distances.lengths.tolist() == [0, 50]
    assert distances.pck(0.05).tolist() == [1, 1, 1, 1]
    assert distances.mean()[1] == 3.5


def test_nobody_gives_nan():
    metrics = measured(np.zeros((0, 3, 3)), {}).metrics()
    assert len(metrics) == 6 * 4 and all(np.isnan(value) for value in metrics.values())


def test_metrics_carry_the_names():
    metrics = measured([BODY], {0: off_by(2, 6, 12)}).metrics()
    assert metrics["pck_5"] == metrics["pck_10"] == pytest.approx(1 / 3)
    assert metrics["pck_20"] == pytest.approx(2 / 3) and metrics["pck_20_tail"] == 0
    assert metrics["pixels_mean"] == pytest.approx(20 / 3) and metrics["pixels_median"] == 6
    assert metrics["pixels_mean_chest"] == 6 and metrics["found_share_nose"] == 1


@pytest.fixture
def animal():
    return Skeleton.from_config(
        {
            "name": "animal",
            "keypoints": list(NAMES),
            "sigmas": [0.1, 0.1, 0.1],
            "limb_sets": {"all": [["nose", "chest"], ["chest", "tail"]]},
            "default_limbs": "all",
        }
    )


def report_of(animal, found, true):
    annotations = [
        {"id": n + 1, "image_id": 1, "category_id": 1, "iscrowd": crowd, "num_keypoints": 3, "area": 1200.0,
         "bbox": [0, 0, 90, 90], "keypoints": person.ravel().tolist()}
        for n, (person, crowd) in enumerate(true)
    ]  # fmt: skip
    detections = [
        {"image_id": 1, "category_id": 1, "keypoints": person.ravel().tolist(), "score": score}
        for person, score in found
    ]
    category = {"id": 1, "name": "animal", "keypoints": list(NAMES)}
    images = [{"id": 1, "height": 400, "width": 400}]
    truth = {"images": images, "annotations": annotations, "categories": [category]}
    return error_report(detections, truth, animal)


def test_the_error_report_measures_the_people_it_matched(animal, tmp_path):
    """A crowd, two animals, of which the second is found, and a ghost: only the two animals count."""
    other, ghost = shifted(200, 0), shifted(100, 300)
    found = [(off_by(1, 3, None, person=other), 0.9), (off_by(0, 0, 0, person=ghost), 0.8)]
    report = report_of(animal, found, [(shifted(0, 200), 1), (BODY, 0), (other, 0)])
    flat = report.metrics()
    assert (report.unseen, report.background) == (1, 1)
    assert flat["pck_5"] == pytest.approx(1 / 6) and flat["pck_10"] == pytest.approx(2 / 6)
    assert flat["pixels_mean"] == flat["pixels_median"] == 2
    assert flat["found_share"] == pytest.approx(2 / 6) and flat["found_share_tail"] == 0
    assert np.isnan(flat["pixels_mean_tail"])
    draw_errors(report, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 5000
