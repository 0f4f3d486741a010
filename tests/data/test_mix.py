"""Several sets in one training: weights give the shares, one set is validated, overlap is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import pafpose
from pafpose.data.loader import SeededSampler
from pafpose.data.mix import build_part, share_out
from pafpose.errors import PafposeError
from tests.data.coco_files import person, six_points, write_split

SMALL = ["augment=quickstart", "head.stride=8", "augment.crop=64", "data.num_workers=0", "data.batch_size=4"]


@pytest.fixture
def roots(tmp_path):
    """Two sets: 12 dark photos of one person each; 4 bright ones, and one of nobody."""
    rng = np.random.default_rng(0)
    people = [person(six_points(20, 20), box=(10, 10, 60, 80))]
    for name, light, count in (("dark", 50, 12), ("bright", 200, 4)):
        for split, first, photos in (("train", 1, count), ("val", 100, 2)):
            pictures = [
                np.full((100, 90, 3), light, np.uint8) + rng.integers(0, 9, (100, 90, 3), np.uint8)
            ] * photos
            shown = [(picture - n, people) for n, picture in enumerate(pictures)]
            if name == "bright" and split == "train":
                shown.append((pictures[0] + 20, []))
            write_split(tmp_path / name, shown, split=split, first_id=first)
    return tmp_path


def mix(roots, *more: str):
    return pafpose.build_datamodule(
        pafpose.load_config(
            [
                "data=mix", "data@data.sets.first=coco", "data@data.sets.second=coco_mini", *SMALL,
                f"data.sets.first.root={roots / 'dark'}", f"data.sets.second.root={roots / 'bright'}", *more,
            ]
        )
    )  # fmt: skip


def lights(data) -> list[bool]:
    """Return which samples of an epoch are bright."""
    images = torch.cat([batch.image for batch in data.train_dataloader()]).float()
    return (images.amax((1, 2, 3)) > 150).tolist()


@pytest.mark.parametrize(
    ("weights", "bright"), [("null", 4), ("{first: 1, second: 1}", 8), ("{first: 1, second: 3}", 12)]
)
def test_shares_follow_the_weights(roots, weights, bright):
    data = mix(roots, f"data.weights={weights}")
    epoch = lights(data)
    assert len(epoch) == 16 and sum(epoch) == bright
    assert data.samples_per_epoch() == {"first": 16 - bright, "second": bright}
    assert len(data.val_index) == 2 and str(roots / "dark") in str(data.val_index.folder)


def test_the_other_set_can_be_validated_and_a_third_added(roots):
    shutil.copytree(roots / "dark", roots / "third")
    (roots / "third" / "val2017").rename(roots / "third" / "other")  # only its training split is needed
    data = mix(
        roots, "data.validate=second", "+data@data.sets.third=coco", "+data.weights.third=2",
        f"data.sets.third.root={roots / 'third'}", "data.sets.third.val_images=other",
    )  # fmt: skip
    assert "bright" in str(data.val_index.folder)
    assert data.samples_per_epoch() == {"first": 7, "second": 7, "third": 14}


def test_the_second_set_can_be_removed(roots):
    cfg = pafpose.load_config(
        [
            "data=mix", "~data@data.sets.second", "~data.weights.second", "data@data.sets.first=coco", *SMALL,
            f"data.sets.first.root={roots / 'dark'}",
        ]
    )  # fmt: skip
    assert pafpose.build_datamodule(cfg).samples_per_epoch() == {"first": 12}


def test_keys_of_a_set_apply_within_its_share(roots):
    data = mix(
        roots, "data.sets.second.background_fraction=0.5", "data.sets.first.subset=0.5", "data.batch_size=7"
    )
    epoch = [sample for batch in data.train_dataloader() for sample in batch.keypoints]
    assert data.samples_per_epoch() == {"first": 7, "second": 7}
    empty = sum(int((keypoints[..., 2] > 0).sum() == 0) for keypoints in epoch)
    assert empty in (3, 4)
    assert len(data.sets["first"].train_index) == 6


def test_samples_do_not_depend_on_workers(roots):
    alone = [batch.image for batch in mix(roots).train_dataloader()]
    shared = [batch.image for batch in mix(roots, "data.num_workers=2").train_dataloader()]
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_photos_that_another_set_validates_on_are_refused(roots):
    (roots / "bright" / "train2017" / "000000000100.jpg").write_bytes(
        (roots / "dark" / "val2017" / "000000000100.jpg").read_bytes()
    )
    file = roots / "bright" / "annotations" / "person_keypoints_train2017.json"
    file.write_text(file.read_text().replace("000000000001.jpg", "000000000100.jpg"))
    with pytest.raises(PafposeError, match="1 of 2 validation photos are training photos"):
        mix(roots).setup("fit")
    mix(roots, "data.allow_overlap=true").setup("fit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.validate=third", r"data\.validate='third': choose one of first, second"),
        ("~data.weights.second", r"data\.weights=.*each of first, second"),
        ("data.weights.second=0", r"data\.weights=.*above 0"),
        ("data.sets.first._target_=os.system", r"os\.system"),
    ],
)
def test_bad_mixes_are_refused(roots, change, message):
    with pytest.raises(PafposeError, match=message):
        mix(roots, change)


def test_only_data_modules_can_be_mixed():
    draw = {
        "_target_": "pafpose.data.photos.augment.AffineParams",
        "scale": 1.0,
        "degrees": 0.0,
        "shift": (0, 0),
    }
    with pytest.raises(PafposeError, match=r"data\.sets\.first: a AffineParams cannot be mixed"):
        build_part("first", draw, flip=False)


def test_a_mix_has_no_training_annotations_of_its_own(roots):
    data = mix(roots)
    assert len(data.read_split("val", need_photos=False)) == 2
    with pytest.raises(PafposeError, match="choose one of them"):
        data.read_split("train")
    with pytest.raises(IndexError):
        data.train_dataset[len(data.train_dataset)]
    assert data.train_dataset[0].image.shape == (3, 64, 64)
    assert data.train_dataset.image_ids.tolist() == [*range(1, 13), *range(1, 5)]


def test_limits_and_errors_reach_every_set(roots, caplog):
    data = mix(roots, "data.limit_train=2", "data.limit_val=1", "data.on_error=skip", "data.batch_size=1")
    assert data.samples_per_epoch() == {"first": 2, "second": 2} and len(data.val_index) == 1
    (roots / "bright" / "train2017" / "000000000001.jpg").unlink()
    assert len(lights(data)) == 4
    assert data.report_skipped("train") >= 1 and data.report_skipped("val") == 0


def test_share_out_keeps_the_total():
    rng = np.random.default_rng(0)
    for _ in range(100):
        weights, total = rng.random(rng.integers(1, 6)) + 1e-3, int(rng.integers(0, 1000))
        shares = share_out(total, weights.tolist())
        assert sum(shares) == total
        assert np.abs(np.array(shares) - total * weights / weights.sum()).max() < 1


def test_an_epoch_draws_the_samples_of_a_group_equally_often():
    from pafpose.data.sampling import SampleGroup

    sampler = SeededSampler([SampleGroup(0, 10, 10), SampleGroup(10, 4, 6), SampleGroup(14, 0, 0)], seed=0)
    order = [index for index, _ in sampler]
    assert len(sampler) == 16 and sorted(order[:16]) == sorted(order)
    assert sorted(i for i in order if i < 10) == list(range(10))
    counts = np.bincount([i - 10 for i in order if i >= 10], minlength=4)
    assert counts.sum() == 6 and set(counts.tolist()) == {1, 2}
    assert [i >= 10 for i in order] != sorted(i >= 10 for i in order)  # mixed, not one after the other
