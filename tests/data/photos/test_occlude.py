"""Occluding patches and cutout: what they cover is labelled as occluded."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.occlude import PatchAugmentation
from tests.data.coco_files import person, six_points, write_noise_people, write_split


def test_occluding_patches_lie_on_the_person_and_show_photos_without_people(tmp_path, make_crops):
    write_noise_people(tmp_path, background=True)
    occlusion = {"p": 1.0, "count": [3, 3], "size": [0.2, 0.4], "fill": "background"}
    dataset = make_crops(tmp_path, {"occlusion": occlusion})
    counts = []
    for seed in range(10):
        sample = dataset[0, seed]
        green = (sample.image[1] == 250) & (sample.image[0] == 10)
        assert green.any()
        x, y = sample.keypoints[0, :, :2].round().long().T
        hidden = green[y, x] & (sample.keypoints[0, :, 2] > 0)
        assert torch.equal(hidden, sample.keypoints[0, :, 2] == 1)
        counts.append(int(hidden.sum()))
    assert sum(counts) > 5


@pytest.mark.parametrize("fill", ["noise", "grey", "background"])  # there is no photo without people: noise
def test_cutout_covers_its_share_of_the_crop(tmp_path, make_crops, fill):
    write_noise_people(tmp_path)
    cutout = {"p": 1.0, "count": [1, 1], "size": [0.25, 0.25], "fill": fill}
    dataset, plain = (make_crops(tmp_path, a) for a in ({"cutout": cutout}, {}))
    areas = []
    for seed in range(8):
        changed = (dataset[0, seed].image != plain[0, seed].image).any(0)
        areas.append(int(changed.sum()))
        if fill == "grey":
            assert (dataset[0, seed].image[:, changed] == 128).all()
    assert 0.5 * 64**2 < max(areas) <= 64**2


@pytest.mark.parametrize("main", [0, 1])
def test_occluding_patches_lie_on_the_main_person(tmp_path, make_crops, main):
    photo = np.full((200, 400, 3), 60, np.uint8)
    people = [person(six_points(60 + 250 * n, 60), box=(40 + 250 * n, 40, 60, 120)) for n in range(2)]
    write_split(tmp_path, [(photo, people)], suffix="png")
    occlusion = {"p": 1.0, "count": [9, 9], "size": [0.1, 0.2]}
    dataset = make_crops(tmp_path, {"occlusion": occlusion, "crop": 512, "target_dist": 0.2})
    hidden = sum((dataset[main, seed].keypoints[..., 2] == 1).sum(1) for seed in range(10))
    assert hidden[main] > 10 and hidden[1 - main] == 0


@pytest.mark.parametrize(
    ("x", "covered"), [(9.5, [10, 11]), (9.4, [10, 11]), (9.6, [10, 11]), (10.2, [11, 12])]
)
def test_a_patch_covers_the_pixels_whose_centres_are_in_its_box(x, covered):
    """A box from 9.5 to 11.5 is that of the pixels 10 and 11."""
    crop = SimpleNamespace(image=np.zeros((20, 20, 3), np.uint8), cover=lambda mask: None)
    patches = PatchAugmentation(SimpleNamespace(without_people=list), AugmentSettings(), pytest.fail)
    patches._cover(crop, (x, x, 2, 2), "grey", np.random.default_rng(0))
    assert np.flatnonzero(crop.image.any((0, 2))).tolist() == covered
    assert np.flatnonzero(crop.image.any((1, 2))).tolist() == covered
