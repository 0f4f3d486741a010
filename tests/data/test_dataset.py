"""Samples: a dot drawn into the photo lands on its keypoint, on every path through the code."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from pafpose.data.photos.images import reduction
from pafpose.errors import PafposeError
from tests.data.coco_files import (
    COCO_NAMES,
    STILL,
    person,
    six_points,
    write_noise_people,
    write_split,
)

H, W = 481, 643  # odd: reduced JPEGs round up


def dot(x: float, y: float, *, sd: float, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """A soft white dot on black."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    blob = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sd**2))
    return np.repeat(blob[..., None], 3, -1).round().astype(np.uint8)


def centroid(image: torch.Tensor, around: np.ndarray, *, radius: float) -> np.ndarray:
    """Centre of brightness of (3, H, W) within a window; NaN when the window leaves the picture."""
    grey = image.float().mean(0).numpy()
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    if (around < radius).any() or (around[::-1] > np.array(grey.shape) - 1 - radius).any():
        return np.full(2, np.nan)
    weight = grey * (np.hypot(columns - around[0], rows - around[1]) <= radius)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def dot_photo(root, x, y, *, sd, height, suffix="jpg", split="train"):
    """A photo whose only mark is the left wrist of a person of the given height."""
    points = {"left_wrist": (x, y)} | dict.fromkeys(("nose", "left_hip", "right_hip", "left_knee"), (1, 1))
    box = (x - height / 3, y - height / 2, height / 1.5, height)
    write_split(root, [(dot(x, y, sd=sd), [person(points, box=box, area=99999)])], suffix=suffix, split=split)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    "case",  # person height, crop, a reduction that its scales make
    [(90, 128, 1), (200, 128, 2), (330, 256, 1), (380, 192, 2), (470, 104, 4)],
)
def test_white_dot_through_the_training_affine(tmp_path, make_data, suffix, case):
    height, crop, factor = case
    scale = 0.6 * crop / height
    dot_photo(tmp_path, 310.3, 241.7, sd=2 / scale, height=height, suffix=suffix)
    augment = {"crop": crop, "scale": (0.75, 1.1), "rotation": 40, "shift": crop / 8}
    data = make_data(tmp_path, augment=augment)
    data._train = data._make_train(data.read_split("train"))
    assert {reduction(scale), reduction(scale * 0.75), reduction(scale * 1.1)} & {factor}
    errors, flips = [], set()
    for seed in range(40):
        sample = data.train_dataset[0, seed]
        flipped = np.linalg.det(sample.matrix[:, :2]) < 0
        name = "right_wrist" if flipped else "left_wrist"
        x, y, v = sample.keypoints[0, COCO_NAMES.index(name)].double().numpy()
        assert v == 2
        own = np.sqrt(abs(np.linalg.det(sample.matrix[:, :2])))
        errors.append(centroid(sample.image, np.array([x, y]), radius=10 * own / scale) - (x, y))
        flips.add(bool(flipped))
    errors = np.array(errors)
    assert np.isfinite(errors[:, 0]).sum() > 20
    assert flips == {True, False}
    assert np.nanmax(np.abs(errors)) <= 0.05
    assert np.abs(np.nanmean(errors, 0)).max() <= 0.02


@pytest.mark.parametrize(("fit", "input_size"), [("long", 368), ("height", 368), ("long", 97), ("long", 900)])
def test_white_dot_through_the_evaluation_resize(tmp_path, make_data, fit, input_size):
    dot_photo(tmp_path, 400.25, 150.6, sd=12, height=200, split="val")
    data = make_data(tmp_path, fit=fit, input_size=input_size)
    sample = data.val_dataset[0]
    x, y, _ = sample.keypoints[0, COCO_NAMES.index("left_wrist")].double().numpy()
    radius = 5 * 12 * float(sample.matrix[0, 0])
    assert np.abs(centroid(sample.image, np.array([x, y]), radius=radius) - (x, y)).max() <= 0.05
    assert sample.original == (H, W)
    height, width = sample.valid
    assert (height if fit == "height" else width) == input_size
    assert all(side % 8 == 0 for side in sample.image.shape[1:])
    assert (sample.image[:, height:] == 128).all() and (sample.image[:, :, width:] == 128).all()
    assert abs(width / height - W / H) < 0.01  # never squashed


def test_matrix_takes_photo_keypoints_to_sample_keypoints_and_back(tmp_path, make_data):
    points = six_points(300, 200, 100)
    write_split(
        tmp_path, [(np.zeros((H, W, 3), np.uint8), [person(points, box=(280, 180, 80, 120))])], suffix="png"
    )
    data = make_data(tmp_path, augment={"flip": 1.0})
    data._train = data._make_train(data.read_split("train"))
    sample = data.train_dataset[0, 5]
    xy = data.train_index.keypoints[0][list(data.skeleton.flip_keypoints)]
    moved = xy[:, :2] @ sample.matrix[:, :2].numpy().T + sample.matrix[:, 2].numpy()
    labelled = xy[:, 2] > 0
    assert np.allclose(sample.keypoints[0, labelled, :2], moved[labelled], atol=1e-4)
    assert (sample.keypoints[0, ~labelled] == 0).all()
    neck = data.skeleton.index("neck")
    shoulders = [data.skeleton.index(f"{side}_shoulder") for side in ("left", "right")]
    assert np.allclose(sample.keypoints[0, neck, :2], sample.keypoints[0, shoulders, :2].mean(0), atol=1e-4)


def test_boxes_and_keypoints_of_samples_are_in_one_frame(tmp_path, make_data):
    """The whole photo has the box (-0.5, -0.5, W, H), and so has the part of the input that it takes."""
    corners = {"nose": (0, 0), "left_hip": (W - 1, H - 1)}
    photo = np.zeros((H, W, 3), np.uint8)
    write_split(tmp_path, [(photo, [person(corners, box=(0, 0, W, H))])], suffix="png", split="val")
    for input_size in (W, 2 * W):
        sample = make_data(tmp_path, input_size=input_size).val_dataset[0]
        height, width = sample.valid
        assert sample.boxes[0].tolist() == [-0.5, -0.5, width, height]
        nose, hip = sample.keypoints[0, [0, COCO_NAMES.index("left_hip")], :2].tolist()
        edge = input_size / W / 2  # half a photo pixel
        assert nose == pytest.approx([-0.5 + edge] * 2)
        assert hip == pytest.approx([width - 0.5 - edge, height - 0.5 - edge])


def test_ignored_cells_follow_the_picture(tmp_path, make_data):
    """A crowd is painted white, so cells are ignored exactly where the moved picture is white."""
    photo = np.zeros((H, W, 3), np.uint8)
    photo[120:330, 300:520] = 255
    outline = [300, 120, 520, 120, 520, 330, 300, 330]
    crowd = person({}, box=(300, 120, 220, 210), segmentation=[outline], iscrowd=1)
    people = [crowd, person(six_points(180, 150), box=(150, 100, 120, 240))]
    for split in ("train", "val"):
        write_split(tmp_path, [(photo, people)], suffix="png", split=split)
    data = make_data(tmp_path, augment={"crop": 128, "shift": 20}, allow_overlap=True)
    samples = [data.val_dataset[0], *(data.train_dataset[0, seed] for seed in range(20))]
    for sample in samples:
        grey = sample.image[0, 4::8, 4::8]
        white, black = grey == 255, grey == 0
        assert sample.ignore[white].all() and not sample.ignore[black].any()
    assert sum(int(sample.ignore.sum()) for sample in samples) > 200


def test_a_person_is_centred_and_scaled_to_target_dist(tmp_path, make_data):
    write_split(
        tmp_path,
        [(np.zeros((H, W, 3), np.uint8), [person(six_points(300, 200), box=(280, 150, 80, 160))])],
        suffix="png",
    )
    data = make_data(tmp_path, augment=STILL | {"crop": 96, "target_dist": 0.5})
    data._train = data._make_train(data.read_split("train"))
    x, y, w, h = data.train_dataset[0, 0].boxes[0].tolist()
    assert (x + w / 2, y + h / 2, h) == pytest.approx((47.5, 47.5, 48))


def test_by_image_the_long_side_fills_the_crop(tmp_path, make_data):
    photo = np.full((60, 120, 3), 255, np.uint8)
    write_split(tmp_path, [(photo, [])], suffix="png")
    data = make_data(tmp_path, augment=STILL | {"crop": 96}, sample_by="image")
    data._train = data._make_train(data.read_split("train"))
    sample = data.train_dataset[0, 0]
    assert sample.keypoints.shape == (0, 18, 3) and sample.boxes.shape == (0, 4)
    assert (sample.image[:, 25:71] == 255).all()
    assert (sample.image[:, :23] == 128).all() and (sample.image[:, 73:] == 128).all()


def test_samples_depend_on_the_seed_which_torch_draws_by_default(two_splits, make_data):
    data = make_data(two_splits, augment={"photometric": [{"name": "RandomBrightnessContrast", "p": 1.0}]})
    dataset = data.train_dataset
    assert torch.equal(dataset[0, 7].image, dataset[0, 7].image)
    assert not torch.equal(dataset[0, 7].image, dataset[0, 8].image)
    torch.manual_seed(3)
    one, two = dataset[0], dataset[0]
    torch.manual_seed(3)
    assert torch.equal(dataset[0].matrix, one.matrix)
    assert not torch.equal(one.matrix, two.matrix)
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "text"])
def test_a_bad_photo_stops_with_file_and_way_out_or_is_skipped(two_splits, make_data, damage, caplog):
    path = two_splits / "train2017" / "000000000002.jpg"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"hello"}[damage])
    item = next(i for i, (photo, _) in enumerate(make_data(two_splits).train_dataset.samples) if photo == 1)
    with pytest.raises(PafposeError, match=r"000000000002\.jpg.*data\.on_error=skip"):
        make_data(two_splits).train_dataset[item, 0]
    skipping = make_data(two_splits, on_error="skip").train_dataset
    with caplog.at_level(logging.WARNING):
        assert skipping[item, 0].image_id != 2
    assert skipping.skipped == 1
    assert "000000000002.jpg" in caplog.text


def test_all_photos_bad_is_an_error_even_when_skipping(two_splits, make_data):
    for path in (two_splits / "val2017").iterdir():
        path.write_bytes(b"")
    with pytest.raises(PafposeError, match="none of the 2 samples"):
        make_data(two_splits, on_error="skip").val_dataset[0]


def test_coco_mini_opens_and_its_samples_are_sound(coco_mini, coco18, make_data):
    data = make_data(coco_mini, augment={"crop": 224, "shift": 40}, input_size=368)
    index = data.train_index
    assert (len(index), len(data.val_index)) == (755, 70)
    assert int((~index.crowd).sum()) == 3006 and int(index.crowd.sum()) == 69
    assert len(data.train_dataset) > 1000
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 3, 224, 224) and batch.ignore.shape == (2, 28, 28)
    sample = data.val_dataset[0]
    photo = index_of(data.val_index, sample.image_id)
    assert sample.original == data.val_index.size(photo)


def index_of(index, image_id: int) -> int:
    return int(np.flatnonzero(index.ids == image_id)[0])


def test_unknown_choices_are_refused(two_splits, coco18, make_data):
    with pytest.raises(PafposeError, match=r"data\.on_error='ignore'"):
        make_data(two_splits, on_error="ignore").setup()
    with pytest.raises(PafposeError, match=r"data\.sample_by='people'"):
        make_data(two_splits, sample_by="people").setup()


def test_all_augmentations_depend_on_the_seed_alone(tmp_path, make_crops):
    write_noise_people(tmp_path)
    everything = {key: {"p": 1.0} for key in ("paste", "occlusion", "cutout", "colour")}
    dataset = make_crops(tmp_path, everything)
    one, two, other = dataset[0, 3], dataset[0, 3], dataset[0, 4]
    assert torch.equal(one.image, two.image) and torch.equal(one.keypoints, two.keypoints)
    assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": {"p": 1.0}},
        {"photometric": [{"name": "ToGray", "p": 1.0}, {"name": "InvertImg", "p": 1.0}]},
    ],
)
def test_colour_changes_reach_the_picture_and_nothing_else(tmp_path, make_crops, change):
    write_noise_people(tmp_path)
    plain, changed = make_crops(tmp_path, {})[0, 1], make_crops(tmp_path, change)[0, 1]
    assert (plain.image != changed.image).float().mean() > 0.5
    for key in ("keypoints", "boxes", "ignore", "matrix"):
        assert torch.equal(getattr(plain, key), getattr(changed, key)), key
