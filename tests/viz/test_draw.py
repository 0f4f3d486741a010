"""People drawn where their coordinates say, thin on small figures, nothing for what was not found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose.viz.draw import draw_people, enlarge, enlarge_points, line_width, write


def changed(before, after):
    return np.argwhere((before != after).any(-1))


def picture(height=200, width=300):
    return np.full((height, width, 3), 90, np.uint8)


def test_a_keypoint_is_painted_around_its_pixel(coco18):
    keypoints = np.zeros((1, 18, 3))
    keypoints[0, 0] = [120, 70, 1]
    before = picture()
    rows = changed(before, draw_people(before, keypoints, coco18))
    np.testing.assert_allclose(rows.mean(0), [70, 120], atol=0.3)
    assert len(rows) < 150
    assert (before == 90).all()  # the given picture is left alone


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


def test_points_stay_on_their_pixels_when_enlarged(coco18):
    image = np.zeros((40, 60, 3), np.uint8)
    image[12, 25] = 255
    for factor in (2, 3, 5):
        big = enlarge(image, factor)
        bright = np.argwhere(big[..., 0] > 0.7 * big.max()).mean(0)
        point = enlarge_points(np.array([25.0, 12.0, 2.0]), factor)
        np.testing.assert_allclose(bright[::-1], point[:2], atol=0.01)
        assert point[2] == 2


def test_text_stays_inside_the_picture():
    for at in ((-50, -50), (1000, 1000), (20, 20)):
        image = picture(40, 80)
        write(image, "0.97", at, size=10)
        assert len(changed(picture(40, 80), image)) > 10
