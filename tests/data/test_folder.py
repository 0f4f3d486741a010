"""Loaders with and without a Trainer, loader processes, limits, and errors about missing data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from pafpose.data.folder import FolderDataModule
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from tests.data.coco_files import person, six_points, write_split

COLOUR = {"photometric": [{"name": "RandomBrightnessContrast", "p": 1.0}]}


def test_setup_raises_when_the_root_is_missing(tmp_path, make_data):
    data = make_data(tmp_path / "nowhere")
    with pytest.raises(PafposeError) as error:
        data.setup("fit")
    message = str(error.value)
    assert str(tmp_path / "nowhere" / "annotations" / "person_keypoints_train2017.json") in message
    for part in (
        "train2017/",
        "val2017/",
        "annotations/person_keypoints_val2017.json",
        "pafpose train",
    ):
        assert part in message


def test_a_missing_folder_is_named(two_splits, make_data):
    for path in (two_splits / "val2017").iterdir():
        path.unlink()
    (two_splits / "val2017").rmdir()
    with pytest.raises(
        PafposeError, match=f"folder of photos not found: looked for {two_splits / 'val2017'}"
    ):
        make_data(two_splits).setup()


def test_batches_without_a_trainer(two_splits, make_data):
    data = make_data(two_splits)
    batches = list(data.train_dataloader())
    assert len(batches) == 3  # six people in four photos, batches of two
    assert all(batch.image.shape == (2, 3, 64, 64) for batch in batches)
    assert sorted(i for batch in data.val_dataloader() for i in batch.image_id.tolist()) == [100, 101]
    assert len(data.test_dataloader()) == 1


def test_validation_alone_needs_no_training_split(two_splits, make_data):
    (two_splits / "annotations" / "person_keypoints_train2017.json").unlink()
    data = make_data(two_splits)
    data.setup("validate")
    assert len(data.val_index) == 2
    with pytest.raises(PafposeError, match="train2017"):
        data.setup("fit")


def test_limits_take_the_first_photos_by_id(two_splits, make_data):
    data = make_data(two_splits, limit_train=3, limit_val=1)
    assert data.train_index.ids.tolist() == [1, 2, 3]
    assert len(data.train_dataset) == 3  # of 0, 1 and 2 people
    truth = data.val_ground_truth()
    assert [image["id"] for image in truth["images"]] == [100]
    assert {a["image_id"] for a in truth["annotations"]} == {100}
    assert all(len(a["keypoints"]) == 51 for a in truth["annotations"])


def test_a_last_partial_batch_is_left_out_unless_it_is_the_only_one(two_splits, make_data):
    assert [len(b.image) for b in make_data(two_splits, batch_size=4).train_dataloader()] == [4]
    assert [len(b.image) for b in make_data(two_splits, batch_size=99).train_dataloader()] == [6]


def epoch(data: FolderDataModule) -> list[bytes]:
    return sorted(image.numpy().tobytes() for batch in data.train_dataloader() for image in batch.image)


def test_samples_do_not_depend_on_the_workers_and_differ_by_epoch_and_seed(two_splits, make_data):
    alone = make_data(two_splits, augment=COLOUR).train_dataloader()
    shared = make_data(two_splits, augment=COLOUR, num_workers=2).train_dataloader()
    epochs = [[batch.image for batch in loader] for loader in (alone, alone, shared, shared)]
    for one, two in zip(epochs[:2], epochs[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    samples = [image.numpy().tobytes() for batches in epochs[:2] for batch in batches for image in batch]
    assert len(set(samples)) == len(samples)
    assert epoch(make_data(two_splits, seed=1)) != epoch(make_data(two_splits, seed=2))
    assert epoch(make_data(two_splits, seed=1)) == epoch(make_data(two_splits, seed=1))


@pytest.mark.parametrize("persistent", [True, False])
def test_plain_loaders_of_the_dataset_differ_by_worker_and_epoch(two_splits, make_data, persistent):
    dataset = make_data(two_splits, augment=COLOUR).train_dataset
    loader = torch.utils.data.DataLoader(
        [0] * 8, batch_size=None, num_workers=2, persistent_workers=persistent, collate_fn=dataset.__getitem__
    )
    samples = [sample.image.numpy().tobytes() for _ in range(2) for sample in loader]
    assert len(set(samples)) == 16


def test_an_error_in_a_worker_keeps_its_message(two_splits, make_data):
    for path in (two_splits / "train2017").iterdir():
        path.write_bytes(b"")
    with pytest.raises(PafposeError, match=r"\.jpg: the picture file is empty"):
        list(make_data(two_splits, num_workers=1).train_dataloader())


def test_validation_photos_among_the_training_photos_are_refused(two_splits, make_data):
    both = {"val_images": "train2017", "val_annotations": "annotations/person_keypoints_train2017.json"}
    with pytest.raises(PafposeError, match=r"4 of 4 .*000000000001\.jpg.*allow_overlap"):
        make_data(two_splits, **both).setup()
    make_data(two_splits, **both, allow_overlap=True).setup()
    make_data(two_splits, **both).setup("validate")


def test_a_copy_counts_as_overlap_another_photo_of_the_same_name_does_not(two_splits, make_data):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    write_split(two_splits, [(image, [])], split="val", first_id=1)  # another 000000000001.jpg
    make_data(two_splits).setup()
    copy = (two_splits / "train2017" / "000000000001.jpg").read_bytes()
    (two_splits / "val2017" / "000000000001.jpg").write_bytes(copy)
    with pytest.raises(PafposeError, match="1 of 1 validation photos"):
        make_data(two_splits).setup()


def test_an_error_says_what_to_do_when_there_is_nobody_to_sample(tmp_path, make_data):
    photo = np.zeros((64, 64, 3), np.uint8)
    write_split(tmp_path, [(photo, [])])
    write_split(tmp_path, [(photo + 9, [])], split="val")
    with pytest.raises(PafposeError, match=r"data\.sample_by=image"):
        make_data(tmp_path).setup()
    assert len(make_data(tmp_path, sample_by="image").train_dataset) == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"augment": {"crop": 100}}, r"augment\.crop=100 .*head\.stride=8; choose 96"),
        ({"batch_size": 0}, r"data\.batch_size=0"),
        ({"limit_val": 0}, r"data\.limit_val=0"),
    ],
)
def test_bad_settings_are_refused_at_once(tmp_path, make_data, keys, message):
    with pytest.raises(PafposeError, match=message):
        make_data(tmp_path, **keys)


def test_flipping_needs_the_mirror_of_every_limb(tmp_path, make_data):
    config = {"name": "s", "keypoints": ["a", "l", "r"], "pairs": [["l", "r"]], "sigmas": [0.1] * 3}
    with pytest.warns(UserWarning, match="no limb reaches"):
        lopsided = Skeleton.from_config(config, limbs=[["a", "l"]])
    with pytest.raises(PafposeError, match="no mirror"):
        make_data(tmp_path, skeleton=lopsided)
    make_data(tmp_path, skeleton=lopsided, augment={"flip": 0})


def test_photos_of_similar_shape_share_validation_batches(tmp_path, make_data):
    shapes = [(40, 80), (80, 40), (40, 82), (82, 40)]
    photos = [(np.zeros((*shape, 3), np.uint8), []) for shape in shapes]
    write_split(tmp_path, photos, split="val")
    data = make_data(tmp_path)
    data.setup("validate")
    first, second = data.val_dataloader()
    assert sorted(first.image_id.tolist()) == [2, 4] and first.image.shape[2:] == (96, 48)
    assert sorted(second.image_id.tolist()) == [1, 3] and second.image.shape[2:] == (48, 96)


def test_a_subclass_makes_its_data_in_prepare_data(tmp_path, coco18, make_data):
    class Made(FolderDataModule):
        def prepare_data(self) -> None:
            image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            people = [person(six_points(20, 5, 40), box=(10, 2, 36, 60))]
            write_split(self.root, [(image, people)])
            write_split(self.root, [(image[::-1], people)], split="val")

    plain = make_data(tmp_path)
    made = Made(
        skeleton=coco18,
        augment=plain.augment,
        mask=plain.mask,
        evaluate=plain.evaluate,
        stride=8,
        seed=0,
        root=str(tmp_path / "made"),
        num_workers=0,
    )
    assert len(next(iter(made.train_dataloader())).image) == 1
    assert made.val_index.ids.tolist() == [1]


def test_datasets_travel_to_spawned_workers(two_splits, make_data):
    dataset = make_data(two_splits, augment=COLOUR).train_dataset
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0, 5].image, dataset[0, 5].image)
