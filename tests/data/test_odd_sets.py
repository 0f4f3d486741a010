"""Sets as people really bring them give their right value: in training, in its log, and in the audit."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from omegaconf import DictConfig
from PIL import Image

import pafpose
from pafpose.config import conf_dir
from pafpose.data.annotations import ground_truth
from pafpose.data.folder import FolderDataModule
from pafpose.errors import PafposeError
from pafpose.tools.audit.findings import ERRORS
from pafpose.tools.audit.run import Audit, AuditSettings, run_audit
from tests.conftest import ROOT
from tests.data.coco_files import COCO_NAMES, person, write_split

ODD_SETS = Path(os.environ.get("PAFPOSE_ODD_SETS", ROOT.parent / "shared" / "data" / "odd-sets"))


class Right(NamedTuple):
    """The right value of a set."""

    samples: int | None = 3  # main people of the training split; None: training stops
    says: str = ""  # in the log or, where training stops, in the error
    audit: Mapping[str, int] = MappingProxyType({})
    like: str = ""  # the set that gives the same validation inputs
    keys: tuple[str, ...] = ()


LISTS = ("data.train_images=train.txt", "data.val_images=val.txt")
RIGHT = {
    "y_ok": Right(),
    "y_exif3": Right(audit={"turned": 4}, like="y_ok"),
    "exif_180": Right(audit={"turned": 4}),
    "exif_stored": Right(says="read upright", audit={"turned": 4}, like="y_ok"),
    "area0": Right(says="3 areas do not fit their boxes", audit={"odd_area": 2}, like="y_ok"),
    "y_list_abs": Right(like="y_ok", keys=LISTS),
    "abspath": Right(like="y_ok"),
    "flatseg": Right(like="y_ok"),
    "hugeids": Right(None, "at most 64 bits", {"unusable": 2}),
    "dictkp": Right(like="y_ok"),
    "rod": Right(6, audit={"duplicate_picture": 4}, keys=("skeleton=rod", "augment.flip=0")),
    "people40": Right(
        80, "2 photos show more than 20 people", {"duplicate_picture": 2}, keys=("evaluate.input_size=736",)
    ),
    "y_pixels": Right(None, r"000000000086\.txt, line 1: 216\.685 is no share", {"unusable": 2}),
    "y_nolabels": Right(None, r"looked for .*/labels/train/000000000086\.txt", {"unusable": 2}),
    "val_empty_people": Right(says="AP is undefined", audit={"empty": 1}),
    "catstr": Right(like="y_ok"),
    "allcrowd": Right(None, r"3 people in 2 photos: 3 are crowds", {"unusable": 1}),
    "twocats": Right(
        says="left out 1 annotations of category 'forklift'", audit={"other_category": 2}, like="y_ok"
    ),
    "bboxxyxy": Right(says="look like x1, y1, x2, y2", audit={"corner_boxes": 2, "box_outside_photo": 5}),
    "twin": Right(audit={"same_person": 6, "box_outside_photo": 2}),
    "y_bom": Right(like="y_ok"),
    "huge": Right(
        None, r"train\.png: 20000 x 10000 pixels, more than data\.max_pixels", {"unreadable_file": 2}
    ),
}


@pytest.fixture(scope="module")
def odd_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sets, with its own path where files hold absolute ones."""
    if not ODD_SETS.is_dir():
        pytest.skip("odd-sets is absent: set PAFPOSE_ODD_SETS to its folder")
    root = tmp_path_factory.mktemp("odd") / "sets"
    shutil.copytree(ODD_SETS, root, copy_function=shutil.copyfile)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.suffix in (".json", ".txt"):
            path.write_bytes(path.read_bytes().replace(b"@ROOT@", str(root).encode()))
    return root


def open_set(root: Path, name: str, *keys: str) -> FolderDataModule:
    """The data module of a set, with skeletons from ``my/``."""
    from hydra import compose, initialize_config_dir

    data = "yolo" if name.startswith("y_") else "coco"
    search = f"hydra.searchpath=[{root}/my]"
    common = ["data.num_workers=0", "augment.crop=64", "evaluate.input_size=368", "data.val_batch_size=1"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", [f"data={data}", f"data.root={root / name}", *common, search, *keys])
    return pafpose.build_datamodule(cfg)


def first_samples(data: FolderDataModule) -> list[Any]:
    """One sample of everybody in training, and every validation photo."""
    data.setup("fit")
    data.val_ground_truth()
    assert all(data.train_dataset[n].image.shape == (3, 64, 64) for n in range(len(data.train_dataset)))
    return sorted((data.val_dataset[n] for n in range(len(data.val_dataset))), key=lambda s: s.image_id)


@pytest.fixture
def fresh_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    ground_truth._warn_once.cache_clear()
    return caplog


@pytest.mark.parametrize("name", RIGHT)
def test_an_odd_set_gives_its_right_value(odd_sets: Path, name: str, fresh_log) -> None:
    right = RIGHT[name]
    data = open_set(odd_sets, name, *right.keys)
    if right.samples is None:
        with pytest.raises(PafposeError, match=right.says):
            first_samples(data)
    else:
        samples = first_samples(data)
        assert len(data.train_dataset) == right.samples
        assert re.search(right.says, fresh_log.text)
        if right.like:
            assert_alike(samples, first_samples(open_set(odd_sets, right.like)))
    audit = run_audit(open_set(odd_sets, name, *right.keys), AuditSettings(workers=1))
    assert audit.counts == dict(right.audit)
    stops = right.samples is None
    assert bool(audit.problems) == (stops or any(kind in ERRORS for kind in right.audit))


def assert_alike(samples: list[Any], others: list[Any]) -> None:
    """The same people at the same places of nearly the same pictures."""
    for sample, other in zip(samples, others, strict=True):
        difference = np.abs(sample.image.numpy().astype(int) - other.image.numpy())
        assert difference.mean() < 2
        np.testing.assert_allclose(sample.keypoints.numpy(), other.keypoints.numpy(), atol=0.02)
        np.testing.assert_allclose(sample.boxes.numpy(), other.boxes.numpy(), atol=0.02)


def test_every_odd_set_has_a_right_value(odd_sets: Path) -> None:
    assert {path.name for path in odd_sets.iterdir() if path.is_dir()} == {*RIGHT, "my"}


@pytest.mark.parametrize(("counted", "ap"), [(20, 0.505), (60, 1.0)])
def test_all_of_forty_people_count_if_one_asks_for_it(odd_sets: Path, counted: int, ap: float) -> None:
    from pafpose.tools.oracle.oracle import compute
    from pafpose.tools.oracle.settings import OracleSettings

    keys = ["data=coco", f"data.root={odd_sets / 'people40'}", "data.num_workers=0"]
    keys += ["evaluate.input_size=736", f"evaluate.max_detections={counted}"]
    metrics = compute(pafpose.load_config(keys, name="oracle"), OracleSettings(detail="total"))
    assert metrics["AP"] == pytest.approx(ap, abs=0.02)


# --- the same kinds and their siblings, small enough to be made here

SIZE = (96, 128)  # height, width
BOX = (30, 20, 60, 64)  # of the one person of a photo
POLYGON = [30.0, 20, 90, 20, 90, 84, 30, 84]


def someone(**more: Any) -> dict:
    points = {name: (32 + 3 * k, 22 + 3.5 * k) for k, name in enumerate(COCO_NAMES)}
    return person(points, box=BOX, segmentation=[POLYGON]) | more


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for split, first in (("train", 1), ("val", 11)):
        photos = [(picture(first + n), [someone()]) for n in range(2)]
        write_split(root, photos, split=split, first_id=first, suffix="png")
    return root


def edit(root: Path, change: Callable[[dict], object]) -> None:
    for file in (root / "annotations").iterdir():
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))


def each(change: Callable[[dict], object]) -> Callable[[dict], object]:
    return lambda content: [change(row) for row in content["annotations"]]


def by_name(row: dict) -> dict[str, list[float]]:
    points = np.reshape(row["keypoints"], (-1, 3)).tolist()
    return dict(zip(COCO_NAMES, points, strict=True))


def corners(row: dict) -> None:
    x, y, w, h = row["bbox"]
    row["bbox"] = [x, y, x + w, y + h]


def as_records(row: dict) -> None:
    row["keypoints"] = {name: {"x": x, "y": y, "v": v} for name, (x, y, v) in by_name(row).items()}


READ_LIKE_CLEAN: dict[str, Callable[[dict], object]] = {
    "area 0": each(lambda row: row.update(area=0)),
    "area 1": each(lambda row: row.update(area=1)),
    "area in quotes": each(lambda row: row.update(area=str(row["area"]))),
    "area as a share": each(lambda row: row.update(area=0.3)),
    "area far above": each(lambda row: row.update(area=1e7)),
    "area below 0": each(lambda row: row.update(area=-5)),
    "one area 0": lambda c: c["annotations"][0].update(area=0),
    "flat polygon": each(lambda row: row.update(segmentation=POLYGON)),
    "polygon too deep": each(lambda row: row.update(segmentation=[[POLYGON]])),
    "polygon of points": each(lambda row: row.update(segmentation=[np.reshape(POLYGON, (-1, 2)).tolist()])),
    "keypoints by name": each(lambda row: row.update(keypoints=by_name(row))),
    "keypoints as records": each(as_records),
    "keypoints in rows": each(lambda row: row.update(keypoints=list(by_name(row).values()))),
    "keypoints in quotes": each(lambda row: row.update(keypoints=[str(v) for v in row["keypoints"]])),
    "box by name": each(lambda row: row.update(bbox=dict(zip("xywh", row["bbox"], strict=True)))),
    "box in quotes": each(lambda row: row.update(bbox=[str(v) for v in row["bbox"]])),
    "category in quotes": each(lambda row: row.update(category_id="1")),
    "crowd in quotes": each(lambda row: row.update(iscrowd="0")),
    "no crowd flag": each(lambda row: row.pop("iscrowd")),
    "ids in quotes": lambda c: [row.update(id=str(row["id"])) for row in c["images"]],
    "size in quotes": lambda c: [row.update(height=str(row["height"])) for row in c["images"]],
    "annotation ids beyond 64 bits": each(lambda row: row.update(id=row["id"] + 2**70)),
    "names as LShoulder": lambda c: c["categories"][0].update(
        keypoints=[re.sub("^(l|r)[a-z]+_", r"\1_", name).title().replace("_", "") for name in COCO_NAMES]
    ),
    "names as shoulder-left": lambda c: c["categories"][0].update(
        keypoints=["-".join(reversed(name.split("_"))) for name in COCO_NAMES]
    ),
    "names as lshoulder": lambda c: c["categories"][0].update(
        keypoints=[name.replace("left_", "l").replace("right_", "r") for name in COCO_NAMES]
    ),
    "backslashes": lambda c: [row.update(file_name=f".\\{row['file_name']}") for row in c["images"]],
}  # fmt: skip


@functools.cache
def config(data: str) -> DictConfig:
    small = ["data.num_workers=0", "augment=none", "augment.crop=64", "evaluate.input_size=128"]
    return pafpose.load_config([f"data={data}", *small])


def module(root: Path, data: str = "coco", **keys: Any) -> FolderDataModule:
    cfg = config(data).copy()
    cfg.data.update(root=str(root), **keys)
    return pafpose.build_datamodule(cfg)


def audited(root: Path, data: str = "coco", **keys: Any) -> Audit:
    return run_audit(module(root, data, **keys), AuditSettings(workers=1))


@pytest.mark.parametrize("kind", READ_LIKE_CLEAN)
def test_home_made_forms_are_read_like_clean_ones(clean: Path, kind: str) -> None:
    expected = first_samples(module(clean))
    edit(clean, READ_LIKE_CLEAN[kind])
    data = module(clean)
    assert_alike(first_samples(data), expected)
    np.testing.assert_allclose(data.train_index.areas, BOX[2] * BOX[3])
    assert data.train_index.has_mask().all()
    assert audited(clean).problems == 0


def test_odd_areas_are_told_once_a_file(clean: Path, caplog) -> None:
    edit(clean, READ_LIKE_CLEAN["one area 0"])
    module(clean).setup()
    assert caplog.text.count("1 areas do not fit their boxes") == 2
    assert "0.53 times" not in caplog.text
    assert audited(clean).counts == {"odd_area": 2}


def test_boxes_of_two_corners_are_told_and_others_are_not(clean: Path, caplog) -> None:
    module(clean).setup()
    assert "look like" not in caplog.text
    edit(clean, each(corners))
    module(clean).setup()
    assert caplog.text.count("2 of 2 boxes look like x1, y1, x2, y2") == 2
    assert audited(clean).counts["corner_boxes"] == 2


STOPS: dict[str, tuple[Callable[[dict], object], str]] = {
    "list as area": (each(lambda row: row.update(area=[5.0, 4])), r"annotation 1 of image \d+: area is"),
    "odd polygon": (each(lambda row: row.update(segmentation=[POLYGON[:-1]])), "annotation 1 .*lacks its y"),
    "mask of text": (each(lambda row: row.update(segmentation="x")), "annotation 1 .*neither polygons"),
    "words as keypoints": (each(lambda row: row.update(keypoints="nose")), "annotation 1 .*no numbers"),
    "keypoints by other names": (each(lambda row: row.update(keypoints={"tail": [1]})), "no numbers"),
    "crowd of words": (each(lambda row: row.update(iscrowd="many")), r"iscrowd is 'many'; 0 or 1"),
    "category of words": (each(lambda row: row.update(category_id="person")), "category_id='person'"),
    "image ids beyond 64 bits": (
        lambda c: [row.update(id=row["id"] + 2**64) for row in c["images"]], "at most 64 bits"
    ),
    "fractions as ids": (lambda c: [row.update(id=row["id"] / 3) for row in c["images"]], "whole number"),
    "size below 0": (lambda c: [row.update(height=-5) for row in c["images"]], "height=-5; give a size"),
    "name of a mapping": (lambda c: [row.update(file_name={}) for row in c["images"]], "no file can"),
    "most names unknown": (
        lambda c: c["categories"][0].update(keypoints=[f"k{n}" for n in range(16)] + ["nose"]),
        r"only 1 of its keypoints \['nose', .*it names \['k0'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STOPS)
def test_what_cannot_be_read_stops_training_with_its_place_and_the_audit_says_so(
    clean: Path, kind: str
) -> None:
    change, message = STOPS[kind]
    edit(clean, change)
    with pytest.raises(PafposeError, match=message):
        module(clean).setup()
    assert audited(clean).problems


NOBODY: dict[str, tuple[Callable[[dict], object], str]] = {
    "crowds": (each(lambda row: row.update(iscrowd=1)), r"2 people in 2 photos: 2 are crowds"),
    "crowds in quotes": (each(lambda row: row.update(iscrowd="1")), r"2 are crowds"),
    "categories off by one": (
        each(lambda row: row.update(category_id=0)), "0 people .*left out 2 annotations of .*listed: 1"
    ),
    "nothing labelled": (each(lambda row: row.update(keypoints=[0] * 51)), r"2 have no labelled keypoint"),
    "three labelled": (
        each(lambda row: row.update(keypoints=row["keypoints"][:9] + [0] * 42)), "2 have fewer than 5 "
    ),
    "nobody": (lambda c: c["annotations"].clear(), r"0 people in 2 photos: the file lists no people"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOBODY)
def test_the_error_about_nobody_counts_the_reasons(clean: Path, kind: str) -> None:
    change, message = NOBODY[kind]
    edit(clean, change)
    with pytest.raises(PafposeError, match=message):
        module(clean).setup()
    assert audited(clean).problems


def test_two_reasons_are_both_counted(clean: Path) -> None:
    def change(content: dict) -> None:
        content["annotations"][0].update(iscrowd=1)
        content["annotations"][1].update(bbox=[40, 30, 9, 9], area=80)

    edit(clean, change)
    with pytest.raises(PafposeError, match=r"1 are crowds.*; 1 are smaller than 1024 px\^2"):
        module(clean).setup()


# --- YOLO labels


def yolo_set(
    root: Path, *, orientation: int = 1, size: tuple[int, int] = SIZE, lines: str | None = None
) -> Path:
    """One photo a split, stored so that ``orientation`` turns it upright, with the labels of the latter."""
    flip = [0, *(k + 1 if k % 2 else k - 1 for k in range(1, 17))]
    root.mkdir(parents=True)
    (root / "data.yaml").write_text(
        json.dumps({"kpt_shape": [17, 3], "flip_idx": flip, "names": {0: "person"}})
    )
    scale = np.array(size[::-1])
    for split, seed in (("train", 1), ("val", 2)):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        upright = Image.fromarray(picture(seed, size))
        undo = {
            2: 0,
            3: 3,
            4: 1,
            5: 5,
            6: 2,
            7: 6,
            8: 4,
        }  # Pillow's transpositions, each its own inverse but 2 and 4
        stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
        tags = Image.Exif()
        tags[0x0112] = orientation
        stored.save(root / "images" / split / f"{seed}.png", exif=tags)
        points = np.reshape(someone()["keypoints"], (-1, 3)) / (*scale, 1)
        x, y, w, h = (np.array(BOX).reshape(2, 2) / scale).ravel().tolist()
        line = " ".join(f"{v:.6f}" for v in (x + w / 2, y + h / 2, w, h, *points.ravel()))
        (root / "labels" / split / f"{seed}.txt").write_text(f"0 {line}\n" if lines is None else lines)
    return root


@pytest.mark.parametrize("size", [SIZE, (112, 112)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_yolo_photos_are_used_upright_whatever_their_exif_rotation(
    tmp_path: Path, orientation: int, size
) -> None:
    plain = first_samples(module(yolo_set(tmp_path / "plain", size=size), data="yolo"))
    root = yolo_set(tmp_path / "turned", orientation=orientation, size=size)
    turned = first_samples(module(root, data="yolo"))
    assert_alike(turned, plain)
    assert audited(root, data="yolo").counts == {"turned": 2}


@pytest.mark.parametrize("value", ["31", "-3", "nan", "inf"])
@pytest.mark.parametrize("place", [1, 4, 5, 6])
def test_yolo_labels_in_pixels_are_refused_with_file_and_line(tmp_path: Path, place: int, value: str) -> None:
    root = yolo_set(tmp_path / "set")
    label = root / "labels" / "train" / "1.txt"
    words = label.read_text().split()
    words[place] = value
    label.write_text(label.read_text() + " ".join(words))
    with pytest.raises(PafposeError, match=rf"1\.txt, line 2: {value} is no share"):
        module(root, data="yolo").setup()
    assert audited(root, data="yolo").problems


def test_yolo_labels_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    plain = first_samples(module(yolo_set(tmp_path / "plain"), data="yolo"))
    root = yolo_set(tmp_path / "set")
    for path in [*root.rglob("*.txt"), root / "data.yaml"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert_alike(first_samples(module(root, data="yolo")), plain)


def test_yolo_photos_without_label_files_are_counted_and_none_at_all_is_an_error(
    tmp_path: Path, caplog
) -> None:
    root = yolo_set(tmp_path / "set")
    Image.fromarray(picture(9)).save(root / "images" / "train" / "9.png")
    caplog.set_level("INFO")
    module(root, data="yolo").setup()
    assert "1 of 2 photos have no label file" in caplog.text
    (root / "labels" / "val" / "2.txt").unlink()
    with pytest.raises(
        PafposeError, match=r"images/val: none of its 1 photos .*looked for .*labels/val/2\.txt"
    ):
        module(root, data="yolo").setup()
    assert audited(root, data="yolo").problems


def test_a_class_that_the_yaml_does_not_name_is_counted(tmp_path: Path) -> None:
    root = yolo_set(tmp_path / "set")
    label = root / "labels" / "train" / "1.txt"
    label.write_text("7" + label.read_text()[1:])
    with pytest.raises(
        PafposeError, match=r"nobody to train on.*left out 1 annotations of categories .*first: 7"
    ):
        module(root, data="yolo").setup()
