"""Folders of pictures: the same bytes for a seed, COCO's layout, complete or absent."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from pafpose import build_datamodule, load_config
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.synthetic import write as writing
from pafpose.synthetic.picture import FigureSampler, draw_picture
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.sheet import contact_sheet, save_sheets
from pafpose.synthetic.statistics import dataset_statistics
from pafpose.synthetic.write import MARKER, dataset_fingerprint, write_dataset
from tests.conftest import skeleton_config
from tests.synthetic.helpers import SMALL, SNAIL

SPLITS = (("train", 7), ("val", 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, coco18: Skeleton) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn") / "people", SMALL, skeleton=coco18, workers=1)


def annotation_file(folder: Path, split: str) -> Path:
    return folder / "annotations" / f"person_keypoints_{split}2017.json"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_bytes_for_any_number_of_workers(folder: Path, tmp_path: Path, coco18: Skeleton) -> None:
    """Also after OpenCV's thread pool has started, which would hang processes that are forked with it."""
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 0)
    again = write_dataset(tmp_path / "again", SMALL, skeleton=coco18, workers=2)
    assert contents(again) == contents(folder)
    assert len(contents(folder)) == 7 + 3 + 2 + 1


@pytest.mark.parametrize(("split", "count"), SPLITS)
def test_files_hold_the_pictures_and_their_annotations(
    folder: Path, coco18: Skeleton, split: str, count: int
) -> None:
    coco = json.loads(annotation_file(folder, split).read_text())
    assert len(coco["images"]) == count
    ids = [annotation.pop("id") for annotation in coco["annotations"]]
    assert len(set(ids)) == len(ids)
    for n, image in enumerate(coco["images"]):
        drawn = draw_picture(SMALL, FigureSampler.of(coco18), split, n)
        own = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        assert own == [{"image_id": image["id"], **annotation} for annotation in drawn.annotations]
        photo = load_image(folder / f"{split}2017" / image["file_name"])
        assert photo.shape == (image["height"], image["width"], 3) == (96, 96, 3)
        assert np.abs(photo.astype(int) - drawn.image).mean() < 6  # JPEG; far more with red and blue swapped
        assert np.abs(photo.mean((0, 1)) - drawn.image.mean((0, 1))).max() < 1


@pytest.mark.filterwarnings("ignore:.*__array__ implementation.*:DeprecationWarning")  # pycocotools 2.0.11
@pytest.mark.parametrize(("split", "count"), SPLITS)
def test_loads_with_pycocotools(folder: Path, split: str, count: int) -> None:
    coco = COCO(annotation_file(folder, split))
    assert len(coco.imgs) == count
    category = coco.cats[1]
    assert category["keypoints"][0] == "nose" and len(category["keypoints"]) == 17
    limbs = {frozenset(category["keypoints"][k - 1] for k in limb) for limb in category["skeleton"]}
    assert {"left_hip", "left_knee"} in limbs and all(len(limb) == 2 for limb in limbs)
    for record in coco.anns.values():
        mask = coco.annToMask(record)
        x, y, w, h = (int(side) for side in record["bbox"])
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert abs(float(mask.sum()) - record["area"]) <= 0.2 * record["area"] + 3
        assert record["num_keypoints"] == sum(v > 0 for v in record["keypoints"][2::3])


def test_ids_and_names_of_the_splits_never_meet(folder: Path) -> None:
    images, ids = [], []
    for split, _ in SPLITS:
        coco = json.loads(annotation_file(folder, split).read_text())
        images.append({(image["id"], image["file_name"]) for image in coco["images"]})
        ids.append({annotation["id"] for annotation in coco["annotations"]})
    assert not images[0] & images[1] and not ids[0] & ids[1]


def test_creatures_have_a_category_of_their_own(tmp_path: Path) -> None:
    settings = replace(SMALL, train_count=1, val_count=0)
    coco = json.loads(
        annotation_file(write_dataset(tmp_path / "s", settings, skeleton=SNAIL), "train").read_text()
    )
    (category,) = coco["categories"]
    assert (category["name"], category["supercategory"]) == ("snail", "creature")
    assert category["skeleton"] == [[1, 2], [1, 3], [1, 4]]


def test_fingerprints(coco18: Skeleton) -> None:
    tree = Skeleton.from_config(skeleton_config("coco18"), "tree")
    ring, star = (Skeleton.from_config(skeleton_config("toy5"), limbs) for limbs in ("ring", "star"))
    base = dataset_fingerprint(SMALL, coco18)
    assert base == dataset_fingerprint(SMALL, tree)
    assert dataset_fingerprint(SMALL, ring) != dataset_fingerprint(SMALL, star)
    assert base != dataset_fingerprint(replace(SMALL, crowd=0.4), coco18)
    wide = replace(coco18, sigmas=tuple(2 * sigma for sigma in coco18.sigmas))
    assert base == dataset_fingerprint(SMALL, wide)
    noisy = replace(SMALL, noise=1.0)
    assert dataset_fingerprint(noisy, coco18) != dataset_fingerprint(noisy, wide)


def test_nothing_is_drawn_twice(folder: Path, coco18: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_fill", lambda *_: pytest.fail("drew again"))
    assert write_dataset(folder, SMALL, skeleton=coco18) == folder


def test_interrupted_drawing_leaves_nothing(
    tmp_path: Path, coco18: Skeleton, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_jpeg", fail)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path / "people", SMALL, skeleton=coco18, workers=1)
    assert list(tmp_path.iterdir()) == []
    assert (write_dataset(tmp_path / "people", SMALL, skeleton=coco18, workers=1) / MARKER).is_file()


def test_abandoned_folders_are_removed_and_fresh_ones_kept(tmp_path: Path, coco18: Skeleton) -> None:
    old, fresh = tmp_path / ".people.a.part", tmp_path / ".people.b.part"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, 0))
    write_dataset(tmp_path / "people", replace(SMALL, train_count=1, val_count=0), skeleton=coco18, workers=1)
    assert fresh.is_dir() and not old.exists()


def test_drawing_that_takes_hours_is_not_abandoned(tmp_path: Path, coco18: Skeleton) -> None:
    """The folder itself changes only at the start; the pictures go into folders below it."""
    busy, dead = tmp_path / ".people.a.part", tmp_path / ".people.b.part"
    for folder in (busy, dead):
        (folder / "train2017").mkdir(parents=True)
        os.utime(folder / "train2017", (0, 0))
        os.utime(folder, (0, 0))
    (busy / "train2017" / "000000000001.jpg").write_bytes(b"just drawn")
    os.utime(busy, (0, 0))
    write_dataset(tmp_path / "people", replace(SMALL, train_count=1, val_count=0), skeleton=coco18, workers=1)
    assert busy.is_dir() and not dead.exists()


def test_validation_draws_its_own_pictures_alone_and_the_same(tmp_path: Path) -> None:
    """Unless the whole set is there, which is then read."""
    words = ["data.train_count=3", "data.val_count=2", "data.generator_workers=1", "data.picture_size=64"]
    data = build_datamodule(load_config([*words, f"data.root={tmp_path / 'a'}"]))
    data.prepare_validation()
    data.setup("validate")
    assert len(data.val_dataset) == 2 and not [*data.root.glob("train2017/*")]
    whole = build_datamodule(load_config([*words, f"data.root={tmp_path / 'a'}"]))
    whole.prepare_data()
    assert data.root != whole.root
    pictures = [{p.name: p.read_bytes() for p in d.root.glob("val2017/*")} for d in (data, whole)]
    assert len(pictures[0]) == 2 and pictures[0] == pictures[1]
    assert annotation_file(data.root, "val").read_text() == annotation_file(whole.root, "val").read_text()
    again = build_datamodule(load_config([*words, f"data.root={tmp_path / 'a'}"]))
    again.prepare_validation()
    assert again.root == whole.root
    itself = build_datamodule(load_config([*words, f"data.root={whole.root}"]))
    itself.prepare_validation()
    assert itself.root == whole.root and len([*(tmp_path / "a").iterdir()]) == 2
    other = build_datamodule(load_config([*words, f"data.root={whole.root}", "data.crowd=0.9"]))
    with pytest.raises(PafposeError, match="names other settings"):
        other.prepare_validation()


def test_foreign_folders_are_left_alone(tmp_path: Path, folder: Path, coco18: Skeleton) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").write_bytes(b"x")
    with pytest.raises(PafposeError, match="does not hold these synthetic pictures"):
        write_dataset(tmp_path / "photos", SMALL, skeleton=coco18)
    assert (tmp_path / "photos" / "dear.jpg").read_bytes() == b"x"
    with pytest.raises(PafposeError, match="other settings"):
        write_dataset(folder, replace(SMALL, crowd=0.1), skeleton=coco18)


def test_the_loser_of_a_race_takes_the_winners_folder(tmp_path: Path, folder: Path, coco18: Skeleton) -> None:
    late = tmp_path / "late"
    late.mkdir()
    writing._rename(late, folder, dataset_fingerprint(SMALL, coco18))
    with pytest.raises(OSError, match="not empty"):
        writing._rename(late, folder, "another")


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="could not write"):
        writing.write_jpeg(tmp_path / "absent" / "a.jpg", np.zeros((8, 8, 3), np.uint8))


def test_the_data_module_draws_on_first_use(tmp_path: Path) -> None:
    size = ["data.train_count=6", "data.val_count=2", "data.picture_size=96", "data.num_workers=0"]
    cfg = load_config([f"data.root={tmp_path}", "data.generator_workers=1", "data.batch_size=2", *size])
    data = build_datamodule(cfg)
    assert not any(tmp_path.iterdir())
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape[:2] == (2, 3) and batch.keypoints.shape[2:] == (18, 3)
    assert len(data.val_ground_truth()["images"]) == 2
    data.prepare_data()
    assert len(list(tmp_path.iterdir())) == 1


def test_contact_sheets(folder: Path, coco18: Skeleton, tmp_path: Path) -> None:
    bare = contact_sheet(folder, coco18, count=5, columns=3)
    drawn = contact_sheet(folder, coco18, count=5, columns=3, overlay=True)
    assert bare.shape == drawn.shape == (2 * 96, 3 * 96, 3)
    assert not bare[96:, 192:].any()
    first = sorted((folder / "train2017").iterdir())[0]
    assert (bare[:96, :96] == load_image(first)).all()
    coco = json.loads(annotation_file(folder, "train").read_text())
    shown = [a for a in coco["annotations"] if a["image_id"] == coco["images"][0]["id"] and not a["iscrowd"]]
    changed = (drawn[:96, :96] != bare[:96, :96]).any(-1)
    points = np.array([a["keypoints"] for a in shown]).reshape(-1, 3)
    x, y, _ = np.rint(points[points[:, 2] == 2]).astype(int).clip(0, 95).T
    assert len(x) > 5 and changed[y, x].all() and changed.mean() < 0.5
    paths = save_sheets(folder, coco18, tmp_path / "new", count=3)
    assert [load_image(path).shape for path in paths] == [(96, 3 * 96, 3)] * 2


def test_statistics_by_hand(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    images = [{"id": n, "height": 100, "width": 100} for n in (1, 2)]
    boxes = [(1, [0, 0, 20, 40]), (1, [10, 0, 20, 20]), (2, [0, 0, 10, 60])]
    people = [
        {"image_id": i, "bbox": b, "iscrowd": 0, "keypoints": [5, 5, n, 0, 0, 0]}
        for n, (i, b) in enumerate(boxes)
    ]
    crowd = {"image_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1, "keypoints": [0] * 6}
    path = annotation_file(tmp_path, "train")
    path.write_text(json.dumps({"images": images, "annotations": [*people, crowd]}))
    wanted = {"people": 1.5, "height": 0.4, "overlap": 0.5, "hidden": 0.5, "unlabelled": 1 / 3, "crowd": 0.5}
    assert dataset_statistics(tmp_path) == pytest.approx(wanted)
    path.write_text(json.dumps({"images": images, "annotations": [crowd]}))
    assert dataset_statistics(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": [3, 1]}, r"data\.people=\[3, 1\]: give \[lowest, highest\]"),
        ({"people": [1]}, r"data\.people=\[1\]: give \[lowest, highest\]"),
        ({"people": [-1, 1]}, "must not be negative"),
        ({"height": [0.0, 1]}, r"data\.height"),
        ({"overlap": 1.5}, r"data\.overlap=1\.5: is a share"),
        ({"clutter": -1}, r"data\.clutter"),
        ({"picture_size": 8}, r"data\.picture_size=8: must be at least 32"),
    ],
)
def test_bad_settings(change: dict, message: str) -> None:
    with pytest.raises(PafposeError, match=message):
        SyntheticSettings(**change)
