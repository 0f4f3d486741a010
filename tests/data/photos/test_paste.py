"""Pasted people: their labels lie on their pixels, and people behind them become occluded."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from pafpose.errors import PafposeError
from tests.data.coco_files import person, six_points, write_noise_people, write_split
from tests.data.test_dataset import centroid, dot


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("height", [0.3, 0.5, 0.9, 1.5])  # read at a quarter, half and the whole of the size
def test_white_dots_of_pasted_people_lie_on_their_keypoints(tmp_path, make_crops, suffix, height):
    scale = height * 128 / 250  # the neighbour is 128 px high, the pasted one 250 px in the photo
    photos = []
    for n in range(3):
        x, y = 190.3 + n, 201.7 - n
        outline = [x - 60, y - 125, x + 60, y - 125, x + 60, y + 125, x - 60, y + 125]
        people = [person({"left_wrist": (x, y)}, box=(x - 60, y - 125, 120, 250), segmentation=[outline])]
        photos.append((dot(x, y, sd=2 / scale, size=(401, 391)), people))
    write_split(tmp_path, photos, suffix=suffix)
    paste = {"p": 1.0, "count": [1, 1], "height": [height, height], "apart": [1.3, 1.3]}
    dataset = make_crops(tmp_path, {"paste": paste, "rotation": 30})
    errors, flips = [], set()
    for seed in range(60):
        for keypoints in dataset[0, seed].keypoints[1:].double().numpy():
            wrist = int(np.flatnonzero(keypoints[:, 2])[0])
            flips.add(dataset.skeleton.keypoints[wrist])
            found = centroid(dataset[0, seed].image, keypoints[wrist, :2], radius=10)
            errors.append(found - keypoints[wrist, :2])
    good = np.array(errors)[np.isfinite(errors).all(1)]
    assert len(good) > 15 and flips == {"left_wrist", "right_wrist"}
    assert np.abs(good).max() <= 0.05


def test_pasted_people_occlude_those_behind_them(tmp_path, make_crops):
    write_noise_people(tmp_path)
    paste = {"p": 1.0, "count": [1, 1], "height": [0.9, 1.1], "apart": [0.5, 0.7]}
    dataset = make_crops(tmp_path, {"paste": paste})
    plain = make_crops(tmp_path, {})
    hidden = 0
    for seed in range(20):
        before, after = plain[0, seed], dataset[0, seed]
        if len(after.keypoints) == 1:
            assert torch.equal(before.image, after.image)
            continue
        changed = (before.image != after.image).any(0).numpy()
        x, y = after.keypoints[0, :, :2].round().long().numpy().T
        seen = before.keypoints[0, :, 2] == 2
        covered = torch.from_numpy(changed[y, x]) & seen
        assert torch.equal(after.keypoints[0, :, :2], before.keypoints[0, :, :2])
        now = after.keypoints[0, :, 2]
        assert (now[seen & ~covered] == 2).all()
        hidden += int((now == 1).sum())
        assert (now[seen] > 0).all() and (now[seen] == 2).any()
    assert hidden > 10


def test_an_unreadable_donor_photo_raises_or_is_left_out(tmp_path, make_crops, caplog):
    write_noise_people(tmp_path)
    for n in (2, 3):
        (tmp_path / "train2017" / f"{n:012d}.png").write_bytes(b"")
    paste = {"p": 1.0, "count": [2, 2]}
    strict = make_crops(tmp_path, {"paste": paste})
    with pytest.raises(PafposeError, match=r"00000000000[23]\.png.*on_error=skip"):
        for seed in range(20):
            strict[0, seed]
    lenient = make_crops(tmp_path, {"paste": paste}, on_error="skip")
    assert {lenient[0, seed].image_id for seed in range(20)} == {1}
    assert lenient.skipped > 5 and "skipped a photo" in caplog.text


def test_a_set_without_masks_is_reported_and_nobody_is_pasted(tmp_path, make_crops, caplog):
    photo = np.zeros((120, 160, 3), np.uint8)
    write_split(tmp_path, [(photo, [person(six_points(30, 30), box=(20, 20, 60, 90))])])
    with caplog.at_level(logging.WARNING):
        dataset = make_crops(tmp_path, {"paste": {"p": 1.0}})
    assert "augment.paste: nobody in" in caplog.text
    assert len(dataset[0, 0].keypoints) == 1


def test_all_augmentations_of_real_photos_give_sound_labels(coco_mini, make_data):
    strong = {key: {"p": 1.0} for key in ("paste", "occlusion", "cutout", "colour")}
    data = make_data(coco_mini, augment=strong | {"crop": 368, "shift": 40})
    added = 0
    for item in range(0, 400, 10):
        sample = data.train_dataset[item, item]
        keypoints = sample.keypoints
        assert torch.isfinite(keypoints).all() and set(keypoints[..., 2].unique().tolist()) <= {0, 1, 2}
        assert keypoints.dtype == torch.float32 and sample.boxes.shape == (len(keypoints), 4)
        photo = int(data.train_dataset.samples[item, 0])
        added += len(keypoints) - int(data.train_dataset.flags.drawn[data.train_index.people(photo)].sum())
    assert added > 20


def test_pasted_people_stand_as_upright_as_the_crop(tmp_path, make_crops):
    """The line from nose to left elbow is rotated with the crop, give or take 10 degrees."""
    write_noise_people(tmp_path)
    paste = {"p": 1.0, "count": [1, 1], "apart": [1.0, 1.2]}
    dataset = make_crops(tmp_path, {"paste": paste, "rotation": 90})
    nose, below = (dataset.skeleton.index(name) for name in ("nose", "left_elbow"))
    differences, angles = [], []
    for seed in range(40):
        keypoints = dataset[0, seed].keypoints.numpy()
        if len(keypoints) == 2 and (keypoints[:, [nose, below], 2] > 0).all():  # not flipped, not cut off
            x, y = (keypoints[:, below, :2] - keypoints[:, nose, :2]).T
            own, pasted = np.degrees(np.arctan2(y, x))
            angles.append(own)
            differences.append((pasted - own + 180) % 360 - 180)
    assert len(differences) > 5 and np.ptp(angles) > 60
    assert np.abs(differences).max() < 10.1


def test_only_labelled_people_are_pasted(tmp_path, make_crops):
    """Crowds and people without keypoints have masks too, but nothing to learn from."""
    outline = [60, 40, 140, 40, 140, 200, 60, 200]
    shape = {"box": (60, 40, 80, 160), "segmentation": [outline]}
    people = [{}, {"points": six_points(80, 60)}, {"iscrowd": 1}]
    photos = [
        (np.full((240, 240, 3), 60, np.uint8), [person(p.pop("points", {}), **shape, **p)]) for p in people
    ]
    write_split(tmp_path, photos, suffix="png")
    paste = {"p": 1.0, "count": [1, 1], "apart": [1.0, 1.2]}
    dataset = make_crops(tmp_path, {"paste": paste})
    pasted = [dataset[0, seed].keypoints[1:] for seed in range(20)]
    assert sum(len(keypoints) for keypoints in pasted) > 5
    assert all((keypoints[..., 2] > 0).any(1).all() for keypoints in pasted)
