"""People are drawn where their coordinates say, thinly when small; what was not found is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose.geometry import transform_keypoints
from pafpose.viz.draw import draw_people, enlarge, line_width, person_colour, write


def changed(before, after):
    return np.argwhere((before != after).any(-1))


def picture(height=200, width=300):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize(("x", "y"), [(120, 70), (120.5, 70.25)])
def test_a_keypoint_is_painted_around_its_pixel(coco18, x, y):
    keypoints = np.zeros((1, 18, 3))
    keypoints[0, 0] = [x, y, 1]
    before = picture()
    difference = np.abs(draw_people(before, keypoints, coco18).astype(float) - before).sum(-1)
    rows, columns = np.indices(difference.shape)
    centre = (columns * difference).sum() / difference.sum(), (rows * difference).sum() / difference.sum()
    np.testing.assert_allclose(centre, (x, y), atol=0.1)
    assert (difference > 0).sum() < 150
    assert (before == 90).all()  # the given picture is left alone


def test_limbs_have_the_mean_colour_of_their_ends_and_need_both(coco18):
    a, b = coco18.limbs[3]
    keypoints = np.zeros((1, 18, 3))
    keypoints[0, a], keypoints[0, b] = [50, 100, 1], [250, 100, 1]
    out = draw_people(picture(), keypoints, coco18, opacity=1)
    assert tuple(out[100, 150]) == coco18.limb_colours[3]
    keypoints[0, b, 2] = 0
    assert len(changed(picture(), draw_people(picture(), keypoints, coco18))) < 150


def test_people_may_have_a_colour_each(coco18):
    keypoints = np.zeros((2, 18, 3))
    a, b = coco18.limbs[3]
    for n, y in enumerate((50, 150)):
        keypoints[n, a], keypoints[n, b] = [50, y, 1], [250, y, 1]
    out = draw_people(picture(), keypoints, coco18, colours="person", opacity=1)
    assert tuple(out[50, 150]) == tuple(out[50, 50]) == person_colour(0)
    assert tuple(out[150, 150]) == person_colour(1)
    colours = np.array([person_colour(n) for n in range(6)], int)
    distances = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(6)
    assert distances.min() > 90


def test_ids_choose_colours_and_are_written(coco18):
    keypoints = np.zeros((1, 18, 3))
    keypoints[0, 0] = [150, 100, 1]
    seventh = draw_people(picture(), keypoints, coco18, scores=[0.5], ids=[7], colours="person", opacity=1)
    assert tuple(seventh[100, 150]) == person_colour(7)
    plain = draw_people(picture(), keypoints, coco18, scores=[0.5], opacity=1)
    unknown = draw_people(picture(), keypoints, coco18, scores=[0.5], ids=[0], opacity=1)
    assert (unknown == plain).all()
    label, number = (changed(picture(), drawn)[:, 1] for drawn in (plain, seventh))
    assert np.ptp(number) > np.ptp(label)  # "7: 0.50"


def test_low_confidence_is_greyer(coco18):
    keypoints = np.zeros((1, 18, 3))

    def colour(confidence):
        keypoints[0, 0] = [50, 100, confidence]
        return draw_people(picture(), keypoints, coco18, opacity=1)[100, 50]

    assert tuple(colour(1)) == tuple(colour(2)) == tuple(colour(0.6)) == coco18.colours[0]
    spread = [int(np.ptp(colour(confidence))) for confidence in (0.6, 0.3, 0.05)]
    assert spread[0] > spread[1] > spread[2] > 0


def test_higher_scores_are_drawn_on_top(coco18):
    keypoints = np.zeros((2, 18, 3))
    keypoints[0, 0] = keypoints[1, 9] = [50, 100, 1]
    for scores, top in (([0.9, 0.1], 0), ([0.1, 0.9], 9)):
        out = draw_people(picture(), keypoints, coco18, scores=scores, opacity=1)
        assert tuple(out[100, 50]) == coco18.colours[top]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_any_number_of_people(coco18, rng, count):
    keypoints = np.concatenate([rng.uniform(-20, 320, (count, 18, 2)), rng.uniform(0, 1, (count, 18, 1))], -1)
    out = draw_people(picture(), torch.from_numpy(keypoints), coco18, scores=torch.rand(count))
    assert out.shape == (200, 300, 3) and out.dtype == np.uint8
    assert (count == 0) == (len(changed(picture(), out)) == 0)


def test_what_was_not_found_is_not_drawn(coco18):
    keypoints = np.zeros((2, 18, 3))
    keypoints[..., :2] = 50
    assert (draw_people(picture(), keypoints, coco18) == picture()).all()
    scored = draw_people(picture(), keypoints, coco18, scores=[0.5, 0.6])
    assert (scored == picture()).all()


def test_a_score_never_covers_a_higher_one(coco18):
    def written(place, scores):
        keypoints = np.zeros((len(scores), 18, 3))
        keypoints[:, 0] = [[x, 100, 1] for x in place]
        pixels = changed(picture(), draw_people(picture(), keypoints, coco18, scores=scores))
        return pixels[pixels[:, 0] < 96]  # above the keypoints

    alone = written([150], [27.59])
    np.testing.assert_array_equal(written([150, 152], [27.59, 0.47]), alone)
    np.testing.assert_array_equal(written([152, 150], [0.47, 27.59]), alone)
    assert len(written([150, 250], [27.59, 0.47])) > 1.5 * len(alone)


def test_lines_follow_the_size_of_the_person():
    small = np.array([[10, 10, 1], [14, 40, 1]], float)
    large = small * [10, 10, 1]
    shape = (600, 600, 3)
    assert line_width(small, shape) < line_width(large, shape) <= 0.012 * 600
    assert line_width(np.zeros((3, 3)), shape) == 1.2


@pytest.mark.parametrize("factor", [2, 3, 5, 1.37, 0.61])
def test_points_stay_on_their_pixels_when_enlarged(factor):
    """Also where the sides of the enlarged picture are rounded."""
    y, x = np.indices((41, 67))
    blob = 255 * np.exp(-((x - 25) ** 2 + (y - 20) ** 2) / 40)
    big, matrix = enlarge(np.repeat(blob[..., None], 3, 2).astype(np.uint8), factor)
    assert big.shape == (round(41 * factor), round(67 * factor), 3)
    rows, columns = np.indices(big.shape[:2])
    weight = big[..., 0].astype(float)
    centre = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
    moved = transform_keypoints(matrix, np.array([[25.0, 20.0, 2.0]]))[0]
    np.testing.assert_allclose(centre, moved[:2], atol=0.06)
    assert moved[2] == 2


def test_text_stays_inside_the_picture():
    for at in ((-50, -50), (1000, 1000), (20, 20)):
        image = picture(40, 80)
        write(image, "0.97", at, size=10)
        assert len(changed(picture(40, 80), image)) > 10
