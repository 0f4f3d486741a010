"""Covering a part of a crop: which keypoints become occluded, and what the loss ignores."""

from __future__ import annotations

import numpy as np

from pafpose.data.photos.crop import TrainingCrop


def make_crop(*people: list[tuple[float, float, int]], ignore: bool = False) -> TrainingCrop:
    """A black crop of 64 px; people of three keypoints, their boxes around them."""
    keypoints = np.array(people, np.float32).reshape(-1, 3, 3)
    boxes = np.array([[*k[:, :2].min(0), *np.ptp(k[:, :2], axis=0)] for k in keypoints], np.float32)
    return TrainingCrop(
        np.zeros((64, 64, 3), np.uint8), keypoints, boxes.reshape(-1, 4), np.full((8, 8), ignore), stride=8
    )


def left_half(columns: int = 32) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[:, :columns] = True
    return mask


def test_covered_keypoints_are_occluded_the_others_stay():
    crop = make_crop([(10, 10, 2), (31.4, 20, 2), (31.6, 30, 2)])
    crop.cover(left_half())
    assert crop.keypoints[0, :, 2].tolist() == [1, 1, 2]  # pixel 31 is covered, pixel 32 is not
    assert (
        crop.keypoints[0, :, :2].tolist()
        == make_crop([(10, 10, 2), (31.4, 20, 2), (31.6, 30, 2)]).keypoints[0, :, :2].tolist()
    )
    assert not crop.ignore.any()


def test_people_covered_completely_become_unlabelled_and_the_rest_of_the_box_is_ignored():
    crop = make_crop([(10, 8, 2), (30, 40, 2), (50, 50, 0)])
    crop.boxes[0] = (8, 8, 40, 40)
    crop.cover(left_half())
    assert (crop.keypoints == 0).all()
    rows, columns = np.nonzero(crop.ignore)
    # cells stand for pixels 4, 12, ...; the box reaches pixels 8 to 47, of which 0 to 31 are covered
    assert set(rows.tolist()) == {1, 2, 3, 4, 5} and set(columns.tolist()) == {4, 5}


def test_people_who_were_not_visible_do_not_change():
    hidden, outside = [(10, 10, 1)] * 3, [(-20, 10, 2), (-30, 9, 2), (10, 200, 2)]
    crop = make_crop(hidden, outside)
    crop.cover(left_half(64))
    assert np.array_equal(crop.keypoints, make_crop(hidden, outside).keypoints) and not crop.ignore.any()


def test_cells_under_an_added_person_count_again():
    crop = make_crop(ignore=True)
    crop.add_person(np.array([(10, 10, 2)] * 3, np.float32), np.array([0, 0, 32, 64.0]), left_half())
    assert crop.keypoints.shape == (1, 3, 3) and crop.boxes.tolist() == [[0, 0, 32, 64]]
    assert not crop.ignore[:, :4].any() and crop.ignore[:, 4:].all()


def test_covering_a_crop_without_people():
    crop = make_crop()
    crop.cover(left_half())
    assert crop.keypoints.shape == (0, 3, 3)
