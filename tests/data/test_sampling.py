"""Who is a main person, and the order and seeds of an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.data.sampling import SeededSampler, list_samples, main_people
from tests.data.coco_files import person, read_split, six_points, write_split


def boxes(*rows) -> np.ndarray:
    """Boxes of size (w, h) centred at (x, y)."""
    x, y, w, h = np.array(rows, float).reshape(-1, 4).T
    return np.stack([x - w / 2, y - h / 2, w, h], -1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([(0, 0, 10, 100)], [0]),
        ([(0, 0, 10, 100), (29.9, 0, 500, 500)], [0]),  # 0.3 x the earlier person's 100
        ([(0, 0, 10, 100), (30, 0, 10, 10)], [0, 1]),  # on the limit: far enough
        ([(0, 0, 10, 10), (29, 0, 10, 100)], [0, 1]),  # only the earlier one's size counts
        ([(0, 0, 10, 100), (25, 0, 10, 100), (50, 0, 10, 100)], [0, 2]),  # 1 is none, so does not hide 2
        ([(0, 0, 100, 10), (0, 29, 10, 10)], [0]),  # the larger side may be the width
    ],
)
def test_main_people_by_hand(rows, expected):
    assert main_people(boxes(*rows), np.ones(len(rows), bool)) == expected


def test_those_not_eligible_hide_nobody():
    three = boxes((0, 0, 10, 100), (5, 0, 10, 100), (8, 0, 10, 100))
    assert main_people(three, np.array([False, True, True])) == [1]


def test_samples_by_person_and_by_image(tmp_path, coco18):
    few = dict(list(six_points(30, 30).items())[:4])
    box, far = (10, 10, 40, 60), (200, 10, 40, 60)
    photos = [
        [person(six_points(30, 30), box=box), person(six_points(230, 30), box=far)],
        [],
        [
            person(few, box=box),
            person(six_points(30, 30), box=far, area=1000),
            person(six_points(30, 30), box=box, iscrowd=1),
            person(six_points(30, 30), box=box),
        ],
    ]
    image = np.zeros((80, 300, 3), np.uint8)
    file = write_split(tmp_path, [(image, people) for people in photos])
    index = read_split(file, tmp_path / "train2017", coco18)
    by = lambda how, **keys: list_samples(  # noqa: E731
        index, coco18, sample_by=how, **{"min_keypoints": 5, "min_area": 1024} | keys
    ).tolist()
    assert by("person") == [[0, 0], [0, 1], [2, 5]]
    assert by("person", min_keypoints=4) == [[0, 0], [0, 1], [2, 2]]
    assert by("person", min_area=1000) == [[0, 0], [0, 1], [2, 3], [2, 5]]
    assert by("image") == [[0, -1], [1, -1], [2, -1]]


def test_epochs_differ_and_repeat_by_seed():
    sampler = SeededSampler(50, seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(i for i, _ in first) == list(range(50)) == sorted(i for i, _ in second)
    assert first != second
    assert {seed for _, seed in first}.isdisjoint({seed for _, seed in second})
    sampler.start_at(0)
    assert list(sampler) == first
    assert list(SeededSampler(50, seed=3)) == first
    assert list(SeededSampler(50, seed=4)) != first
    resumed = SeededSampler(50, seed=3)
    resumed.start_at(1)
    assert list(resumed) == second
    assert len(sampler) == 50
