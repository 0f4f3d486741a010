"""Errors made on purpose: each is named for what it is, and its price is computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pafpose.metrics.errors import GAINS, KINDS, error_report
from pafpose.viz.errors import draw_errors

AREA = 10000.0
# a frontal person of area 10000 in COCO's order, all keypoints far apart in units of their tolerance
X = [100, 106, 94, 113, 87, 126, 74, 140, 60, 144, 56, 116, 84, 119, 81, 121, 79]
Y = [20, 14, 14, 18, 18, 42, 42, 75, 75, 108, 108, 110, 110, 148, 148, 186, 186]
PERSON = np.c_[X, Y, np.full(17, 2)].astype(float)
NOSE, LEFT_EYE, LEFT_WRIST, RIGHT_WRIST, LEFT_ANKLE = 0, 1, 9, 10, 15


def annotation(person, number, image_id=1, **more):
    person = person.copy()
    person[::2, 2] = np.minimum(person[::2, 2], 1)  # occluded keypoints are labelled as well
    return {
        "id": number, "image_id": image_id, "category_id": 1, "keypoints": person.ravel().tolist(),
        "num_keypoints": int((person[:, 2] > 0).sum()), "area": AREA, "bbox": [50, 0, 100, 200], "iscrowd": 0,
    } | more  # fmt: skip


def detection(person, score=1.0, image_id=1):
    person = np.where(person[:, 2:] > 0, person * [1, 1, 0.25], 0)  # a confidence of 0.5
    return {"image_id": image_id, "category_id": 1, "keypoints": person.ravel().tolist(), "score": score}


def report_of(skeleton, found, true):
    """The error report of photos 1 and 2."""
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    truth = {
        "images": [{"id": n, "height": 400, "width": 900} for n in (1, 2)],
        "annotations": true,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    return error_report(found, truth, skeleton)


def shifted(person, dx, dy=0.0):
    return person + np.array([dx, dy, 0])


def moved(person, k, *place):
    out = person.copy()
    out[k, :2] = place
    return out


def at_similarity(skeleton, k, value):
    """Pixels from its place at which COCO gives a keypoint this similarity."""
    return np.sqrt(-2 * np.log(value) * AREA) * 2 * skeleton.sigmas[k]


def counts(report):
    return dict(zip(KINDS, report.counts.sum(0).tolist(), strict=True))


def test_the_true_person_is_all_good(coco18):
    report = report_of(coco18, [detection(PERSON)], [annotation(PERSON, 1)])
    assert counts(report) == {"good": 17, "jitter": 0, "inversion": 0, "swap": 0, "missed": 0}
    assert report.ap == pytest.approx(1) and (report.unseen, report.background, report.people) == (0, 0, 1)
    assert set(report.gains) == set(GAINS)
    assert all(gain == pytest.approx(0) for gain in report.gains.values())


@pytest.mark.parametrize(
    ("similarity", "kind"),
    [(0.86, "good"), (0.84, "jitter"), (0.51, "jitter"), (0.49, "missed"), (0.01, "missed")],
)
def test_a_shift_is_good_jitter_or_missed_by_its_size(coco18, similarity, kind):
    k = LEFT_ANKLE
    found = moved(PERSON, k, PERSON[k, 0], PERSON[k, 1] + at_similarity(coco18, k, similarity))
    report = report_of(coco18, [detection(found)], [annotation(PERSON, 1)])
    assert report.counts[k].tolist() == [int(kind == other) for other in KINDS]
    assert counts(report)["good"] == 16 + (kind == "good")


def test_one_lost_keypoint_costs_a_tenth(coco18):
    """OKS 16/17 = 0.941 passes nine of COCO's ten thresholds, so AP is 0.9 and all of it comes back."""
    found = PERSON.copy()
    found[NOSE] = 0
    report = report_of(coco18, [detection(found)], [annotation(PERSON, 1)])
    assert report.counts[NOSE].tolist() == [0, 0, 0, 0, 1]
    assert report.ap == pytest.approx(0.9)
    assert report.gains["missed"] == pytest.approx(0.1)
    assert report.gains["jitter"] == report.gains["swap"] == pytest.approx(0)
    flat = report.metrics()
    assert flat["errors_missed"] == pytest.approx(1 / 17) and flat["errors_missed_nose"] == 1
    assert flat["errors_good_left_eye"] == 1 and flat["gain_missed"] == pytest.approx(0.1)
    assert flat["errors_background"] == flat["errors_unseen"] == 0


def test_crossed_wrists_are_inverted(coco18):
    found = PERSON.copy()
    found[[LEFT_WRIST, RIGHT_WRIST]] = PERSON[[RIGHT_WRIST, LEFT_WRIST]]
    report = report_of(coco18, [detection(found)], [annotation(PERSON, 1)])
    assert counts(report) == {"good": 15, "jitter": 0, "inversion": 2, "swap": 0, "missed": 0}
    assert report.ap == pytest.approx(0.8)  # 15/17 = 0.882 passes 0.5 ... 0.85
    assert report.gains["inversion"] == pytest.approx(0.2)


def test_a_person_seen_the_wrong_way_round_is_one_person(coco18):
    found = PERSON[[coco18.scored.index(coco18.flip_keypoints[k]) for k in coco18.scored]]
    report = report_of(coco18, [detection(found)], [annotation(PERSON, 1)])
    assert counts(report)["inversion"] == 16 and report.counts[NOSE, 0] == 1
    assert (report.background, report.unseen) == (0, 0)
    assert report.gains["inversion"] == pytest.approx(1 - report.ap)


@pytest.mark.parametrize("taken", [LEFT_WRIST, RIGHT_WRIST])
def test_a_keypoint_of_somebody_else_is_swapped(coco18, taken):
    """The same keypoint of another person, or its mirror partner there."""
    other = shifted(PERSON, 300)
    found = moved(PERSON, LEFT_WRIST, *other[taken, :2])
    report = report_of(
        coco18, [detection(found), detection(other, 0.9)], [annotation(PERSON, 1), annotation(other, 2)]
    )
    assert report.counts[LEFT_WRIST].tolist() == [1, 0, 0, 1, 0]
    assert counts(report)["good"] == 33
    # of two people the first passes nine thresholds of ten; at the last one the second is the only right one
    # of two, so its precision is 1/2 and reaches recall 1/2: 51 of the 101 recalls of COCO
    assert report.ap == pytest.approx((9 + 0.5 * 51 / 101) / 10)
    assert report.gains["swap"] == pytest.approx(1 - report.ap)


@pytest.mark.parametrize(("similarity", "kind"), [(0.51, "swap"), (0.49, "missed")])
def test_a_swap_is_near_the_place_on_the_other_person(coco18, similarity, kind):
    other = shifted(PERSON, 300)
    x, y, _ = other[LEFT_WRIST]
    found = moved(PERSON, LEFT_WRIST, x, y + at_similarity(coco18, LEFT_WRIST, similarity))
    report = report_of(
        coco18, [detection(found), detection(other, 0.9)], [annotation(PERSON, 1), annotation(other, 2)]
    )
    assert report.counts[LEFT_WRIST].tolist() == [1, *(int(kind == other) for other in KINDS[1:])]


@pytest.mark.parametrize(("similarity", "kind"), [(0.51, "inversion"), (0.49, "missed")])
def test_an_inversion_is_near_the_place_of_the_partner(coco18, similarity, kind):
    x, y, _ = PERSON[RIGHT_WRIST]
    found = moved(PERSON, LEFT_WRIST, x - at_similarity(coco18, LEFT_WRIST, similarity), y)
    report = report_of(coco18, [detection(found)], [annotation(PERSON, 1)])
    assert report.counts[LEFT_WRIST].tolist() == [int(kind == other) for other in KINDS]


@pytest.mark.parametrize(("from_own", "from_other", "kind"), [(0.6, 0.8, "swap"), (0.8, 0.6, "inversion")])
def test_between_inversion_and_swap_the_nearer_place_decides(coco18, from_own, from_other, kind):
    """The other person's left wrist lies right of the own right wrist, and the found one between the two."""
    own, other = (at_similarity(coco18, LEFT_WRIST, s) for s in (from_own, from_other))
    x, y, _ = PERSON[RIGHT_WRIST]
    stranger = moved(shifted(PERSON, 300), LEFT_WRIST, x, y + own + other)
    report = report_of(
        coco18,
        [detection(moved(PERSON, LEFT_WRIST, x, y + own)), detection(stranger, 0.9)],
        [annotation(PERSON, 1), annotation(stranger, 2)],
    )
    assert report.counts[LEFT_WRIST, KINDS.index(kind)] == 1


def test_a_place_that_is_not_labelled_is_near_nothing(coco18):
    """Unlabelled keypoints stand at (0, 0) in the file."""
    true = PERSON.copy()
    true[RIGHT_WRIST] = 0
    report = report_of(coco18, [detection(moved(PERSON, LEFT_WRIST, 0, 0))], [annotation(true, 1)])
    assert report.counts[LEFT_WRIST].tolist() == [0, 0, 0, 0, 1]


def test_a_keypoint_that_was_not_found_is_missed_even_at_the_origin(coco18):
    """Keypoints that were not found stand at (0, 0) in the result."""
    true = shifted(PERSON, -PERSON[NOSE, 0], -PERSON[NOSE, 1])
    found = true.copy()
    found[NOSE, 2] = 0
    report = report_of(coco18, [detection(found)], [annotation(true, 1)])
    assert report.counts[NOSE].tolist() == [0, 0, 0, 0, 1]


def test_the_surest_of_two_gets_the_person(coco18):
    near = shifted(PERSON, 4)
    found = [detection(PERSON, 0.5), detection(near, 0.9)]
    report = report_of(coco18, found, [annotation(PERSON, 1)])
    assert counts(report)["jitter"] > 0 and report.background == 1


def test_the_most_similar_person_is_taken(coco18):
    beside = shifted(PERSON, 8)
    true = [annotation(beside, 1), annotation(PERSON, 2)]
    report = report_of(coco18, [detection(PERSON)], true)
    assert counts(report)["good"] == 17 and report.unseen == 1


def test_occluded_keypoints_are_judged(coco18):
    report = report_of(coco18, [detection(PERSON)], [annotation(np.minimum(PERSON, [999, 999, 1]), 1)])
    assert (counts(report)["good"], report.unseen) == (17, 0)


def test_the_best_twenty_of_a_photo_are_judged(coco18):
    found = [detection(PERSON, 0.5), *(detection(shifted(PERSON, 300), 0.9) for _ in range(20))]
    report = report_of(coco18, found, [annotation(PERSON, 1)])
    assert (report.unseen, report.background, report.counts.sum()) == (1, 20, 0)


def test_sides_do_not_matter_for_who_is_who(coco18):
    """Without the face, nothing of a person found the wrong way round lies at its own place."""
    true = PERSON.copy()
    true[:5] = 0
    found = true[[coco18.scored.index(coco18.flip_keypoints[k]) for k in coco18.scored]]
    report = report_of(coco18, [detection(found)], [annotation(true, 1)])
    assert counts(report)["inversion"] == 12 and (report.background, report.unseen) == (0, 0)


def test_photos_add_up(coco18):
    ghost = shifted(PERSON, 600, 100)
    found = [detection(p, image_id=n) for n in (1, 2) for p in (PERSON, ghost)]
    other = shifted(PERSON, 300)
    true = [annotation(p, n, image_id=n) for n in (1, 2) for p in (PERSON, other)]
    report = report_of(coco18, found, true)
    assert (report.people, report.unseen, report.background) == (4, 2, 2)
    assert counts(report)["good"] == 34


def test_somebody_in_the_background_and_somebody_unseen(coco18):
    """The false one ranks first: every precision is 1/2 up to recall 1/2."""
    ghost, other = shifted(PERSON, 600, 100), shifted(PERSON, 300)
    report = report_of(
        coco18, [detection(ghost), detection(PERSON, 0.5)], [annotation(PERSON, 1), annotation(other, 2)]
    )
    assert (report.background, report.unseen, report.people) == (1, 1, 2)
    assert report.counts.sum() == 17  # keypoints of people that were found
    assert report.ap == pytest.approx(0.5 * 51 / 101)
    assert report.gains["background"] == pytest.approx(0.5 * 51 / 101)  # precision 1 up to recall 1/2
    assert report.gains["unseen"] == pytest.approx(0.5 - report.ap)  # precision 1/2 up to recall 1
    assert report.gains["ranking"] == pytest.approx(0.5 * 51 / 101)  # the ghost comes last


def test_crowds_and_people_without_keypoints_excuse_what_is_found_in_them(coco18):
    blank = annotation(np.zeros((17, 3)), 2, bbox=[590, 90, 100, 200])
    found = [detection(PERSON), detection(shifted(PERSON, 560, 100), 0.5)]
    report = report_of(coco18, found, [annotation(PERSON, 1), blank])
    assert (report.background, report.unseen, report.people) == (0, 0, 1)


W, H = 40, 60  # of an ignored region at (300, 200)


@pytest.mark.parametrize(
    ("dx", "dy", "ignored"),
    [
        (-0.9 * W, -0.9 * H, True),
        (1.9 * W, 1.9 * H, True),
        (-1.1 * W, 0, False),
        (0, -1.1 * H, False),
        (2.1 * W, 0, False),
        (0, 2.1 * H, False),
    ],
)
def test_an_ignored_region_reaches_its_own_size_beyond_its_box(coco18, dx, dy, ignored):
    crowd = annotation(np.zeros((17, 3)), 1, bbox=[300, 200, W, H], iscrowd=1)
    found = np.tile([300 + dx, 200 + dy, 2.0], (17, 1))
    assert report_of(coco18, [detection(found)], [crowd]).background == int(not ignored)


@pytest.mark.parametrize(("inside", "ignored"), [(7, False), (8, True)])
def test_half_of_the_found_keypoints_must_lie_in_an_ignored_region(coco18, inside, ignored):
    crowd = annotation(np.zeros((17, 3)), 1, bbox=[300, 200, W, H], iscrowd=1)
    found = np.tile([310.0, 210.0, 2.0], (17, 1))
    found[inside:16, 0] = 600
    found[16] = 0
    assert report_of(coco18, [detection(found)], [crowd]).background == int(not ignored)


def test_a_person_without_keypoints_is_background(coco18):
    crowd = annotation(np.zeros((17, 3)), 1, bbox=[0, 0, W, H], iscrowd=1)
    assert report_of(coco18, [detection(np.zeros((17, 3)))], [crowd]).background == 1


def test_one_labelled_keypoint_makes_a_person(coco18):
    true = np.where(np.arange(17)[:, None] == LEFT_ANKLE, PERSON, 0)
    report = report_of(coco18, [detection(PERSON)], [annotation(true, 1)])
    assert (report.people, report.unseen, counts(report)["good"]) == (1, 0, 1)


def test_unlabelled_keypoints_are_not_judged(coco18):
    true = PERSON.copy()
    true[LEFT_EYE] = 0
    report = report_of(coco18, [detection(PERSON)], [annotation(true, 1)])
    assert counts(report)["good"] == report.counts.sum() == 16


def test_nobody_found_and_nobody_there(coco18):
    report = report_of(coco18, [], [annotation(PERSON, 1)])
    assert (report.unseen, report.background, report.ap) == (1, 0, 0)
    empty = report_of(coco18, [detection(PERSON)], [])
    assert (empty.people, empty.background) == (0, 1)
    assert json.dumps(empty.metrics())


def test_the_chart_is_written(coco18, tmp_path):
    report = report_of(coco18, [detection(shifted(PERSON, 5))], [annotation(PERSON, 1)])
    for name in ("errors.png", "errors.pdf"):
        draw_errors(report, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
