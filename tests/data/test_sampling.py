"""Main people, subsets and background, and the order and seeds of an epoch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pafpose.data.loader import SeededSampler
from pafpose.data.sampling import (
    SampleGroup,
    choose_photos,
    list_samples,
    main_people,
    with_background,
)
from pafpose.errors import PafposeError
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


def test_people_who_are_not_eligible_exclude_nobody():
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


def photos_index(tmp_path, coco18, counts):
    """One photo for each count of people."""
    image = np.zeros((80, 300, 3), np.uint8)
    people = [person(six_points(30 + 60 * n, 30), box=(10 + 60 * n, 10, 40, 60)) for n in range(4)]
    file = write_split(tmp_path, [(image, people[:count]) for count in counts])
    return read_split(file, tmp_path / "train2017", coco18)


@pytest.mark.parametrize("sample_by", ["person", "image"])
def test_background_photos_get_their_fraction_of_an_epoch(tmp_path, coco18, sample_by):
    index = photos_index(tmp_path, coco18, [1, 0, 2, 0, 1, 1])
    plain = list_samples(index, coco18, sample_by=sample_by, min_keypoints=1, min_area=0)
    as_they_come, groups = with_background(index, plain, None)
    assert as_they_come is plain and groups == [SampleGroup(0, len(plain), len(plain))]
    for fraction in (0.0, 0.2, 0.5, 0.8):
        samples, groups = with_background(index, plain, fraction)
        main = groups[0].per_epoch
        assert main == (5 if sample_by == "person" else 4)
        assert groups[1].per_epoch == round(main * fraction / (1 - fraction))
        epoch = [samples[i] for i, _ in SeededSampler(groups, seed=1)]
        empty = [photo for photo, person in epoch if person < 0 and photo in (1, 3)]
        assert len(empty) == groups[1].per_epoch and len(epoch) - len(empty) == main


def test_background_fraction_without_background_or_out_of_range(tmp_path, coco18):
    index = photos_index(tmp_path, coco18, [1, 1])
    samples = list_samples(index, coco18, sample_by="person", min_keypoints=1, min_area=0)
    with pytest.raises(PafposeError, match=r"background_fraction=0\.5: every photo in .* has annotations"):
        with_background(index, samples, 0.5)
    assert with_background(index, samples, 0.0)[1][1].per_epoch == 0
    for fraction in (1.0, -0.1):
        with pytest.raises(PafposeError, match=r"background_fraction=.*a fraction"):
            with_background(index, samples, fraction)


def test_smaller_fractions_are_contained_in_larger_ones(tmp_path, coco18):
    index = photos_index(tmp_path, coco18, [1] * 20)
    shares = [set(choose_photos(index, share, seed=0).tolist()) for share in (0.1, 0.25, 0.5, 1.0)]
    assert [len(share) for share in shares] == [2, 5, 10, 20]
    assert all(one < other for one, other in itertools.pairwise(shares))
    assert set(choose_photos(index, 0.25, seed=0).tolist()) == shares[1]
    assert set(choose_photos(index, 0.25, seed=1).tolist()) != shares[1]
    assert len(choose_photos(index, 0.001, seed=0)) == 1


def test_subsets_by_ids_and_by_a_file_of_ids(tmp_path, coco18):
    index = photos_index(tmp_path, coco18, [1] * 5)
    assert choose_photos(index, [4, 2, 4], seed=0).tolist() == [1, 3]
    (tmp_path / "ids.txt").write_text("2\n5\n")
    assert choose_photos(index, str(tmp_path / "ids.txt"), seed=0).tolist() == [1, 4]
    with pytest.raises(PafposeError, match=r"data\.subset: 1 of 2 image ids are not in .*\[77\]"):
        choose_photos(index, [1, 77], seed=0)
    (tmp_path / "ids.txt").write_text("a photo")
    for bad in (str(tmp_path / "ids.txt"), str(tmp_path / "none.txt")):
        with pytest.raises(PafposeError, match=r"data\.subset=.*one a line"):
            choose_photos(index, bad, seed=0)
    for bad in (0, 1.5, -0.1):
        with pytest.raises(PafposeError, match=r"data\.subset=.*fraction of the photos"):
            choose_photos(index, bad, seed=0)


def test_selected_photos_keep_their_people_and_masks(tmp_path, coco18):
    polygon = [[10, 10, 50, 10, 50, 70], [20, 20, 30, 20, 30, 60]]
    image = np.zeros((80, 300, 3), np.uint8)
    people = [
        person(six_points(30 + 60 * n, 30), box=(10, 10, 40, 60), segmentation=polygon[:n]) for n in range(3)
    ]
    file = write_split(tmp_path, [(image, people[:n]) for n in (2, 0, 3, 1, 3)])
    index = read_split(file, tmp_path / "train2017", coco18)
    chosen = index.select(np.array([0, 2, 4]))
    assert chosen.ids.tolist() == [1, 3, 5] and np.diff(chosen.offsets).tolist() == [2, 3, 3]
    for place, photo in enumerate((0, 2, 4)):
        old, new = index.people(photo), chosen.people(place)
        for key in ("keypoints", "boxes", "areas", "crowd", "annotation_ids"):
            assert np.array_equal(getattr(index, key)[old], getattr(chosen, key)[new]), key
        masks = [index.mask(m) for m in range(old.start, old.stop)]
        assert masks == [chosen.mask(m) for m in range(new.start, new.stop)]
        assert [bool(mask) for mask in masks] == [False, True, True][: len(masks)]


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_ranks_share_one_list(world):
    whole = list(SeededSampler(50, seed=3))
    shares = [list(SeededSampler(50, seed=3, rank=rank, world=world)) for rank in range(world)]
    assert {len(share) for share in shares} == {50 // world}
    rounds = [pair for together in zip(*shares, strict=True) for pair in together]
    assert rounds == whole[: len(rounds)]
    with pytest.raises(PafposeError, match="cannot be shared out to 51 devices"):
        SeededSampler(50, seed=0, rank=0, world=51)


def test_lightning_neither_replaces_the_sampler_nor_sets_its_epoch():
    sampler = SeededSampler(10, seed=0)
    assert isinstance(sampler, torch.utils.data.DistributedSampler)
    first = list(SeededSampler(10, seed=0))
    sampler.set_epoch(7)
    assert list(sampler) == first
