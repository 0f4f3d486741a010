"""Patches, cutout, pasted people: what they cover is labelled so, pasted labels lie on their pixels."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.crop import Scene
from pafpose.errors import PafposeError
from tests.data.coco_files import COCO_NAMES, STILL, person, six_points, write_split
from tests.data.test_dataset import centroid, dot

SIZE = 240


def scene(*people: list[tuple[float, float, int]], ignore: bool = False) -> Scene:
    """A black crop of 64 px; people of three keypoints, their boxes around them."""
    keypoints = np.array(people, np.float32).reshape(-1, 3, 3)
    boxes = np.array([[*k[:, :2].min(0), *np.ptp(k[:, :2], axis=0)] for k in keypoints], np.float32)
    return Scene(
        np.zeros((64, 64, 3), np.uint8), keypoints, boxes.reshape(-1, 4), np.full((8, 8), ignore), stride=8
    )


def left_half(columns: int = 32) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[:, :columns] = True
    return mask


def test_covered_keypoints_are_occluded_the_others_stay():
    crop = scene([(10, 10, 2), (31.4, 20, 2), (31.6, 30, 2)])
    crop.cover(left_half())
    assert crop.keypoints[0, :, 2].tolist() == [1, 1, 2]  # pixel 31 is covered, pixel 32 is not
    assert (
        crop.keypoints[0, :, :2].tolist()
        == scene([(10, 10, 2), (31.4, 20, 2), (31.6, 30, 2)]).keypoints[0, :, :2].tolist()
    )
    assert not crop.ignore.any()


def test_who_is_covered_wholly_is_unlabelled_and_the_rest_of_the_box_ignored():
    crop = scene([(10, 8, 2), (30, 40, 2), (50, 50, 0)])
    crop.boxes[0] = (8, 8, 40, 40)
    crop.cover(left_half())
    assert (crop.keypoints == 0).all()
    rows, columns = np.nonzero(crop.ignore)
    # cells stand for pixels 4, 12, ...; the box reaches pixels 8 to 47, of which 0 to 31 are covered
    assert set(rows.tolist()) == {1, 2, 3, 4, 5} and set(columns.tolist()) == {4, 5}


def test_who_was_not_in_sight_before_does_not_change():
    hidden, outside = [(10, 10, 1)] * 3, [(-20, 10, 2), (-30, 9, 2), (10, 200, 2)]
    crop = scene(hidden, outside)
    crop.cover(left_half(64))
    assert np.array_equal(crop.keypoints, scene(hidden, outside).keypoints) and not crop.ignore.any()


def test_a_person_in_front_counts_where_others_were_ignored():
    crop = scene(ignore=True)
    crop.add(np.array([(10, 10, 2)] * 3, np.float32), np.array([0, 0, 32, 64.0]), left_half())
    assert crop.keypoints.shape == (1, 3, 3) and crop.boxes.tolist() == [[0, 0, 32, 64]]
    assert not crop.ignore[:, :4].any() and crop.ignore[:, 4:].all()


def test_nobody_at_all_is_fine():
    crop = scene()
    crop.cover(left_half())
    assert crop.keypoints.shape == (0, 3, 3)


def write_crowd(root, *, background: bool = False) -> None:
    """Grey photos of one person each, a rectangle of noise, which is the mask."""
    photos, rng = [], np.random.default_rng(0)
    for n in range(3):
        image = np.full((SIZE, SIZE, 3), 60, np.uint8)
        x, y, w, h = 60 + 10 * n, 40, 80, 160
        image[y : y + h, x : x + w, ::2] = rng.integers(0, 256, (h, w, 2))
        points = {
            name: (x + 10 + 12 * (k % 6), y + 20 + 24 * (k % 5)) for k, name in enumerate(COCO_NAMES[:8])
        }
        outline = [x, y, x + w, y, x + w, y + h, x, y + h]
        photos.append((image, [person(points, box=(x, y, w, h), segmentation=[outline])]))
    if background:
        photos.append((np.full((SIZE, SIZE, 3), (10, 250, 10), np.uint8), []))
    write_split(root, photos, suffix="png")


def training_set(root, make_data, *, augment: dict, **keys):
    augment = STILL | {"crop": 256, "target_dist": 0.5} | augment
    data = make_data(root, augment=augment, mask={"min_area": 0, "min_keypoints": 1}, **keys)
    data._train = data._train_dataset(data.read_split("train"))
    return data.train_dataset


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("height", [0.3, 0.5, 0.9, 1.5])  # read at a quarter, half and the whole of the size
def test_white_dots_of_pasted_people_lie_on_their_keypoints(tmp_path, make_data, suffix, height):
    scale = height * 128 / 250  # the neighbour is 128 px high, the pasted one 250 px in the photo
    photos = []
    for n in range(3):
        x, y = 190.3 + n, 201.7 - n
        outline = [x - 60, y - 125, x + 60, y - 125, x + 60, y + 125, x - 60, y + 125]
        people = [person({"left_wrist": (x, y)}, box=(x - 60, y - 125, 120, 250), segmentation=[outline])]
        photos.append((dot(x, y, sd=2 / scale, size=(401, 391)), people))
    write_split(tmp_path, photos, suffix=suffix)
    paste = {"p": 1.0, "count": [1, 1], "height": [height, height], "apart": [1.3, 1.3]}
    dataset = training_set(tmp_path, make_data, augment={"paste": paste, "rotation": 30})
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


def test_pasted_people_hide_whom_they_stand_before(tmp_path, make_data):
    write_crowd(tmp_path)
    paste = {"p": 1.0, "count": [1, 1], "height": [0.9, 1.1], "apart": [0.5, 0.7]}
    dataset = training_set(tmp_path, make_data, augment={"paste": paste})
    plain = training_set(tmp_path, make_data, augment={})
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


def test_occluding_patches_lie_on_the_person_and_show_photos_without_people(tmp_path, make_data):
    write_crowd(tmp_path, background=True)
    occlusion = {"p": 1.0, "count": [3, 3], "size": [0.2, 0.4], "fill": "background"}
    dataset = training_set(tmp_path, make_data, augment={"occlusion": occlusion})
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
def test_cutout_covers_its_share_of_the_crop(tmp_path, make_data, fill):
    write_crowd(tmp_path)
    cutout = {"p": 1.0, "count": [1, 1], "size": [0.25, 0.25], "fill": fill}
    dataset, plain = (training_set(tmp_path, make_data, augment=a) for a in ({"cutout": cutout}, {}))
    areas = []
    for seed in range(8):
        changed = (dataset[0, seed].image != plain[0, seed].image).any(0)
        areas.append(int(changed.sum()))
        if fill == "grey":
            assert (dataset[0, seed].image[:, changed] == 128).all()
    assert 0.5 * 64**2 < max(areas) <= 64**2


def test_the_seed_decides_and_without_overlays_nothing_changes(tmp_path, make_data):
    write_crowd(tmp_path)
    everything = {key: {"p": 1.0} for key in ("paste", "occlusion", "cutout", "colour")}
    dataset = training_set(tmp_path, make_data, augment=everything)
    one, two, other = dataset[0, 3], dataset[0, 3], dataset[0, 4]
    assert torch.equal(one.image, two.image) and torch.equal(one.keypoints, two.keypoints)
    assert not torch.equal(one.image, other.image)


def test_a_second_photo_that_cannot_be_read_stops_or_is_done_without(tmp_path, make_data, caplog):
    write_crowd(tmp_path)
    for n in (2, 3):
        (tmp_path / "train2017" / f"{n:012d}.png").write_bytes(b"")
    paste = {"p": 1.0, "count": [2, 2]}
    strict = training_set(tmp_path, make_data, augment={"paste": paste})
    with pytest.raises(PafposeError, match=r"00000000000[23]\.png.*on_error=skip"):
        for seed in range(20):
            strict[0, seed]
    lenient = training_set(tmp_path, make_data, augment={"paste": paste}, on_error="skip")
    assert {lenient[0, seed].image_id for seed in range(20)} == {1}
    assert lenient.skipped > 5 and "skipped a photo" in caplog.text


def test_people_without_masks_cannot_be_pasted_which_is_said(tmp_path, make_data, caplog):
    photo = np.zeros((120, 160, 3), np.uint8)
    write_split(tmp_path, [(photo, [person(six_points(30, 30), box=(20, 20, 60, 90))])])
    with caplog.at_level(logging.WARNING):
        dataset = training_set(tmp_path, make_data, augment={"paste": {"p": 1.0}})
    assert "augment.paste: nobody in" in caplog.text
    assert len(dataset[0, 0].keypoints) == 1


def test_crowds_of_real_people_stay_sound(coco_mini, make_data):
    strong = {key: {"p": 1.0} for key in ("paste", "occlusion", "cutout", "colour")}
    data = make_data(coco_mini, augment=strong | {"crop": 368, "shift": 40})
    added = 0
    for item in range(0, 400, 10):
        sample = data.train_dataset[item, item]
        keypoints = sample.keypoints
        assert torch.isfinite(keypoints).all() and set(keypoints[..., 2].unique().tolist()) <= {0, 1, 2}
        assert keypoints.dtype == torch.float32 and sample.boxes.shape == (len(keypoints), 4)
        photo = int(data.train_dataset.samples[item, 0])
        added += len(keypoints) - int(data.train_dataset.roles.drawn[data.train_records.people(photo)].sum())
    assert added > 20


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cutout", {"p": 2}, r"augment\.cutout\.p="),
        ("cutout", {"size": [0.5, 0.1]}, r"augment\.cutout\.size="),
        ("cutout", {"count": [3, 1]}, r"augment\.cutout\.count="),
        ("occlusion", {"fill": "stars"}, r"augment\.occlusion\.fill='stars'.*background"),
        ("occlusion", {"colour": 1}, r"augment\.occlusion: .*colour"),
        ("paste", {"height": [0, 1]}, r"augment\.paste\.height="),
        ("paste", {"apart": [-1, 1]}, r"augment\.paste\.apart="),
        ("paste", {"min_height": 0}, r"augment\.paste\.min_height="),
        ("colour", {"hue": 200}, r"augment\.colour\.hue=200"),
        ("colour", {"p": "often"}, r"augment\.colour\.p='often'"),
    ],
)
def test_bad_settings_name_the_key(key, value, message):
    with pytest.raises(PafposeError, match=message):
        AugmentSettings(**{key: value})


def test_colour_is_one_linear_map_within_its_ranges():
    from pafpose.data.photos.colour import ColourSettings, change_colour, colour_map

    rng = np.random.default_rng(0)
    still = ColourSettings(p=1, brightness=0, contrast=0, saturation=0, hue=0)
    assert np.allclose(colour_map(still, rng, 100), np.eye(3, 4), atol=1e-9)
    grey = np.full((16, 16, 3), 100, np.uint8)
    lights = [change_colour(grey, ColourSettings(brightness=0.3, contrast=0), rng).mean() for _ in range(400)]
    assert 69 < min(lights) < 72 and 128 < max(lights) < 131
    flat = [change_colour(grey, ColourSettings(brightness=0, contrast=0.3), rng) for _ in range(50)]
    assert all(np.abs(f.astype(int) - 100).max() <= 1 for f in flat)  # contrast leaves the mean alone
    turned = change_colour(grey, ColourSettings(brightness=0, contrast=0, saturation=1, hue=180), rng)
    assert np.abs(turned.astype(int) - 100).max() <= 1  # grey has no hue
    red = np.zeros((16, 16, 3), np.uint8) + np.array([200, 60, 60], np.uint8)
    maps = [
        colour_map(ColourSettings(brightness=0, contrast=0, saturation=0, hue=30), rng, 0) for _ in range(300)
    ]
    luma = np.array([0.299, 0.587, 0.114])
    assert all(np.allclose(m[:, :3] @ (1, 1, 1), 1) for m in maps)  # and grey stays grey
    moved = np.array([m[:, :3] @ red[0, 0] for m in maps])
    assert np.allclose(moved @ luma, red[0, 0] @ luma)  # as bright as before
    photo = rng.integers(0, 256, (9, 7, 3), np.uint8)
    settings = ColourSettings()
    one, two = (change_colour(photo, settings, np.random.default_rng(5)) for _ in range(2))
    exact = colour_map(settings, np.random.default_rng(5), float(photo[::8, ::8].mean()))
    by_hand = np.clip(np.rint(photo @ exact[:, :3].T + exact[:, 3]), 0, 255)
    assert np.array_equal(one, two) and np.abs(one - by_hand).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (9, 7), (64, 48)])
def test_the_colour_map_is_the_formula(size):
    """Brightness times contrast about the mean of every eighth row and column; chroma turned in YIQ."""
    from pafpose.data.photos.colour import ColourSettings, change_colour, colour_map

    rng = np.random.default_rng(1)
    to_yiq = np.array(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
    settings = ColourSettings(brightness=0.2, contrast=0.1, saturation=0.5, hue=40)
    photo = rng.integers(0, 256, (*size, 3), np.uint8)
    mean = photo[::8, ::8].mean()
    for seed in range(20):
        light, contrast, saturation, turn = np.random.default_rng(seed).uniform(-1, 1, 4)
        light, contrast, saturation = 0.2 * light, 0.1 * contrast, 0.5 * saturation
        c, s = np.cos(np.radians(40 * turn)), np.sin(np.radians(40 * turn))
        chroma = np.array(((1, 0, 0), (0, c, -s), (0, s, c))) * np.array(
            [[1], [1 + saturation], [1 + saturation]]
        )
        gain = (1 + light) * (1 + contrast)
        wanted = np.column_stack(
            [gain * np.linalg.inv(to_yiq) @ chroma @ to_yiq, np.full(3, -contrast * (1 + light) * mean)]
        )
        assert np.allclose(colour_map(settings, np.random.default_rng(seed), mean), wanted)
        changed = change_colour(photo, settings, np.random.default_rng(seed))
        exact = np.clip(photo @ wanted[:, :3].T + wanted[:, 3], 0, 255)
        assert np.abs(changed - exact).max() <= 1  # OpenCV calculates in fixed point
