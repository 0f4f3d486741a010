"""Bad photos and annotations: by default an error names file, reason and way out; data.on_error=skip goes on.

Every case runs in this process and in two workers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pafpose.data.folder import FolderDataModule
from pafpose.data.photo_file import PhotoLimits
from pafpose.data.photos import images as pictures
from pafpose.errors import PafposeError
from tests.data.coco_files import person, six_points, write_split

BAD = "000000000002.jpg"
COUNT = 6  # photos of the training split, two people each


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    people = [person(six_points(20 + 60 * n, 20), box=(10 + 60 * n, 10, 50, 80)) for n in range(2)]
    for split, first, count in (("train", 1, COUNT), ("val", 101, 4)):
        photos = [(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8), people) for _ in range(count)]
        write_split(tmp_path, photos, split=split, first_id=first)
    for name in ("000000000102.jpg",):  # in the middle of the validation split
        (tmp_path / "val2017" / name).rename(tmp_path / "val2017" / BAD)
    change(tmp_path, "val", lambda c: c["images"][1].update(file_name=BAD))
    return tmp_path


def change(root: Path, split: str, edit: Callable[[dict], object]) -> None:
    file = root / "annotations" / f"person_keypoints_{split}2017.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def other_size(path: Path) -> None:
    Image.new("RGB", (90, 70)).save(path)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
    "truncated": (truncate, "truncated JPEG"),
    "text": (lambda path: path.write_text("<html>404</html>"), "not a picture"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "cannot read the picture"),
    "header alone": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "truncated JPEG"),
    "other size": (other_size, r"90 x 70 pixels, but its annotation file says 160 x 120"),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split", ["train", "val"])
def test_by_default_an_unreadable_photo_raises_with_file_reason_and_way_out(root, make_data, split, workers):
    for spoil, reason in UNREADABLE.values() if workers == 0 else [UNREADABLE["truncated"]]:
        path = root / f"{split}2017" / BAD
        kept = path.read_bytes()
        spoil(path)
        with pytest.raises(PafposeError, match=reason) as error:
            loader(make_data(root, num_workers=workers), split)
        assert BAD in str(error.value) and (
            "on_error=skip" in str(error.value) or "use the picture" in str(error.value)
        )
        assert str(error.value).startswith(str(path)), "one sentence, from loader processes too"
        assert "Traceback" not in str(error.value) and "\n" not in str(error.value)
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(kept)


def loader(data: FolderDataModule, split: str) -> list:
    batches = data.train_dataloader() if split == "train" else data.val_dataloader()
    try:
        return list(batches)
    finally:  # a traceback would keep it until garbage is collected, whose order lets workers wait in vain
        if data.num_workers:
            batches._iterator._shutdown_workers()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split", ["train", "val"])
def test_skipping_replaces_unreadable_photos_and_counts_them(root, make_data, caplog, split, workers):
    for spoil, reason in UNREADABLE.values() if workers == 0 else [UNREADABLE["missing"]]:
        path = root / f"{split}2017" / BAD
        kept = path.read_bytes()
        spoil(path)
        data = make_data(root, on_error="skip", num_workers=workers)
        caplog.clear()
        batches = loader(data, split)
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(kept)
        bad, samples = (2, 12) if split == "train" else (102, 4)
        assert sum(len(batch.image) for batch in batches) == samples
        assert bad not in {i for batch in batches for i in batch.image_id.tolist()}
        dataset = data.train_dataset if split == "train" else data.val_dataset
        assert dataset.skipped >= 1
        if workers == 0:  # what workers log goes to their own stderr
            assert BAD in caplog.text and re.search(reason, caplog.text)
        count = dataset.skipped
        assert data.report_skipped(split) == count
        assert f"coco {split}: {count} unreadable samples were replaced" in caplog.text
        assert data.report_skipped(split) == 0 and dataset.skipped == 0


def test_each_reason_is_logged_once(root, make_data, caplog):
    (root / "train2017" / BAD).unlink()
    data = make_data(root, on_error="skip")
    for _ in range(3):
        loader(data, "train")
    assert caplog.text.count("skipped a photo") == 1 and data.train_dataset.skipped >= 6


@pytest.mark.parametrize("workers", [0, 2])
def test_skipping_raises_when_no_photo_can_be_read(root, make_data, workers):
    for path in (root / "train2017").iterdir():
        path.unlink()
    with pytest.raises(PafposeError, match=r"none of the 12 samples in .*train2017 can be read"):
        loader(make_data(root, on_error="skip", num_workers=workers), "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_unexpected_errors_name_the_photo(root, make_data, monkeypatch, workers):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("pafpose.data.dataset.ignored_cells", fail)
    with pytest.raises(PafposeError, match=r"\.jpg: no sample can be made .*ValueError: odd.*on_error=skip"):
        loader(make_data(root, num_workers=workers), "train")


def save_exif(path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    with Image.open(path) as image:
        image.save(path, quality=95, exif=tags)


READABLE: dict[str, Callable[[Path], object]] = {
    "png called jpg": lambda path: Image.new("RGB", (160, 120)).save(path, "png"),
    "cmyk": lambda path: Image.new("CMYK", (160, 120)).save(path),
    "grey": lambda path: Image.new("L", (160, 120)).save(path),
    "16 bit": lambda path: Image.fromarray(np.full((120, 160), 40000, np.uint16)).save(path, "png"),
    "palette": lambda path: Image.new("P", (160, 120)).save(path, "png"),
    "exif": save_exif,
    "trailing bytes": lambda path: path.write_bytes(path.read_bytes() + b"\0" * 99),
}


@pytest.mark.parametrize("kind", READABLE)
def test_odd_but_good_photos_are_read(root, make_data, kind):
    READABLE[kind](root / "train2017" / BAD)
    data = make_data(root)
    assert {i for batch in loader(data, "train") for i in batch.image_id.tolist()} == set(range(1, COUNT + 1))
    assert data.train_dataset.skipped == 0


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (300, 20000)])
def test_tiny_and_very_long_photos(tmp_path, make_data, size, suffix):
    height, width = size
    people = [person(six_points(width / 2, height / 2, min(60, width)), box=(0, 0, width, height))]
    photo = np.full((*size, 3), 200, np.uint8)
    write_split(tmp_path, [(photo, people)], suffix=suffix)
    write_split(tmp_path, [(photo[::-1] // 2, people)], split="val", suffix=suffix, first_id=9)
    for sample_by in ("person", "image"):
        data = make_data(tmp_path, sample_by=sample_by, mask={"min_area": 0}, batch_size=1)
        assert loader(data, "train")[0].image.shape == (1, 3, 64, 64)
        batch = loader(data, "val")[0]
        assert max(batch.image.shape[2:]) == 96 and torch.isfinite(batch.keypoints).all()


def test_values_that_are_not_finite_count_as_not_given_when_skipping(root, make_data, caplog):
    def spoil(content: dict) -> None:
        rows = content["annotations"]
        rows[0]["keypoints"][:3] = [float("nan"), 5, 2]
        rows[1]["bbox"] = [float("inf"), 0, 5, 5]
        rows[2]["area"] = float("nan")
        rows[3]["keypoints"][0] = None
        rows[4]["segmentation"] = [[float("nan")] * 8]
        rows[5]["segmentation"] = [[1, 2, 3, 4, 5, 6, 7]]
        rows[6]["bbox"] = [-500, -500, 3000, 3000]

    change(root, "train", spoil)
    mask = {"min_area": 0, "small_people": "both", "min_keypoints": 1}
    for sample_by in ("person", "image"):
        data = make_data(root, mask=mask, sample_by=sample_by, on_error="skip")
        for batch in loader(data, "train"):
            assert torch.isfinite(batch.keypoints).all() and torch.isfinite(batch.boxes).all()
    assert "keypoint nose is [nan, 5.0, 2.0]; 2 such values count as not given" in caplog.text
    assert "bbox is [inf, 0.0, 5.0, 5.0]; 1 such values" in caplog.text
    assert data.train_index.boxes[1, 2:].tolist() == [15, 37.5], "that of the keypoints"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda p: p["keypoints"].__setitem__(slice(3), [float("nan"), 5, 2]), r"nose is \[nan, 5.0, 2.0\]"),
        (lambda p: p["keypoints"].__setitem__(slice(3), [1, 5, float("nan")]), r"nose is \[1.0, 5.0, nan\]"),
        (lambda p: p["keypoints"].__setitem__(1, float("inf")), r"is \[\d+.0, inf, 2.0\]"),
        (lambda p: p["bbox"].__setitem__(2, float("nan")), r"bbox is \[.*nan"),
    ],
)
def test_by_default_values_that_are_not_finite_raise(root, make_data, edit, what):
    change(root, "train", lambda content: edit(content["annotations"][4]))
    with pytest.raises(
        PafposeError, match=rf"train2017\.json: annotation 5 of image 3: .*{what}.*on_error=skip"
    ):
        make_data(root).setup()


def test_unlabelled_keypoints_may_be_nan(root, make_data, caplog):
    change(
        root,
        "train",
        lambda c: c["annotations"][4]["keypoints"].__setitem__(slice(3), [float("nan")] * 2 + [0]),
    )
    assert make_data(root).train_index.keypoints[4, 0].tolist() == [0, 0, 0]
    assert "not given" not in caplog.text


@pytest.mark.parametrize("box", [[700, 700, 50, 50], [-90, 10, 50, 80], [10, 120, 50, 80]])
def test_keypoints_give_the_box_when_that_of_the_file_is_outside_the_photo(root, make_data, caplog, box):
    change(root, "train", lambda content: content["annotations"][4].update(bbox=box))
    people = make_data(root).train_index
    xy = people.keypoints[4, people.keypoints[4, :, 2] > 0, :2]
    assert people.boxes[4].tolist() == [*xy.min(0), *np.ptp(xy, axis=0)]
    assert "1 boxes lie outside their photos (the first is that of annotation 5)" in caplog.text
    assert people.boxes[5].tolist() == [69.5, 9.5, 50, 80], "the others keep theirs"


@pytest.mark.slow
def test_ten_thousand_people_in_one_photo(tmp_path, make_data):
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 700, (10_000, 2))
    people = [person(six_points(x, y), box=(x, y, 40, 60)) for x, y in places]
    photo = rng.integers(0, 255, (800, 800, 3), dtype=np.uint8)
    for split, first in (("train", 1), ("val", 2)):
        write_split(tmp_path, [(photo // first, people)], split=split, first_id=first)
    start = time.perf_counter()
    data = make_data(tmp_path, sample_by="image")
    batch = loader(data, "train")[0]
    assert batch.keypoints.shape == (1, 10_000, 18, 3)
    assert len(make_data(tmp_path, batch_size=1).train_dataset) > 50
    assert len(data.val_ground_truth()["annotations"]) == 10_000
    assert time.perf_counter() - start < 60


def test_pasting_into_and_out_of_very_long_photos(tmp_path, make_data):
    """Masks and background patches of such photos, as well as the photos themselves."""
    outline = [9900.0, 20, 10100, 20, 10100, 280, 9900, 280]
    people = [person(six_points(10000, 150), box=(9900, 20, 200, 260), segmentation=[outline])]
    photo = np.full((300, 20000, 3), 200, np.uint8)
    write_split(tmp_path, [(photo, people), (photo // 2, [])])
    overlays = {key: {"p": 1.0} for key in ("paste", "occlusion", "cutout")}
    data = make_data(tmp_path, augment=overlays, batch_size=1)
    data._train = data._make_train(data.read_split("train"))
    seen = [data.train_dataset[0, seed] for seed in range(10)]
    assert all(torch.isfinite(sample.keypoints).all() for sample in seen)
    assert max(len(sample.keypoints) for sample in seen) > 1


def test_a_slow_disk_changes_no_sample(root, make_data, monkeypatch):
    read = pictures.read_bytes

    def slowly(path: str, limits: PhotoLimits) -> np.ndarray:
        time.sleep(0.1 * int(Path(path).stem) % 0.3)  # photos come in another order than they were asked for
        return read(path, limits)

    monkeypatch.setattr(pictures, "read_bytes", slowly)
    images = [
        [batch.image for batch in loader(make_data(root, num_workers=workers), "train")] for workers in (0, 2)
    ]
    assert len(images[0]) > 1
    assert all(torch.equal(a, b) for a, b in zip(*images, strict=True))


def test_unreadable_photos_without_a_stated_size(root, make_data, caplog):
    change(root, "train", lambda c: [image.pop("height") for image in c["images"]])
    (root / "train2017" / BAD).write_bytes(b"")
    with pytest.raises(PafposeError, match=f"{BAD}: cannot read the size"):
        make_data(root).setup()
    data = make_data(root, on_error="skip")
    assert data.train_index.ids.tolist() == [1, 3, 4, 5, 6] and "left out" in caplog.text
    assert len(data.train_dataset) == 10  # the people of the lost photo are not there either


def test_nothing_is_written_below_the_data_and_odd_paths_are_fine(root, make_data, tmp_path_factory):
    moved = tmp_path_factory.mktemp("données 写真 [1]")
    root.rename(moved / "coco")
    folder = moved / "coco"
    files = sorted(folder.rglob("*"))
    paths = [folder, *(path for path in files if path.is_dir())]
    for path in paths:
        path.chmod(0o555)
    try:
        data = make_data(folder)
        assert loader(data, "train") and loader(data, "val")
    finally:
        for path in paths:
            path.chmod(0o755)
    assert sorted(folder.rglob("*")) == files
