"""The same people written in every format give the same index; errors of each format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import pafpose
from pafpose.data.annotations.formats import find_reader, read_index
from pafpose.data.annotations.formats.yolo import keypoint_names
from pafpose.data.annotations.tidy import BODY, FEET
from pafpose.data.folder import FolderDataModule
from pafpose.data.photo_file import read_header
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from tests.conftest import skeleton_config

SIZES = [(120, 160), (96, 64)]  # height, width of the two photos of a split
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def skeleton(name: str) -> Skeleton:
    return Skeleton.from_config(skeleton_config(name))


def people(count: int, names: tuple[str, ...], size: tuple[int, int], seed: int = 0) -> list[dict]:
    """``count`` people with whole coordinates, boxes of their own, v of 0, 1 and 2."""
    rng = np.random.default_rng(seed)
    height, width = size
    found = []
    for _ in range(count):
        xy = np.c_[rng.integers(4, width - 4, len(names)), rng.integers(4, height - 4, len(names))]
        v = rng.integers(0, 3, len(names))
        v[:8] = 2
        keypoints = np.where(v[:, None] > 0, np.c_[xy, v], 0)
        low, high = xy[v > 0].min(0) - 2, xy[v > 0].max(0) + 2
        found.append(
            {"keypoints": keypoints.ravel().tolist(), "bbox": [*low.tolist(), *(high - low).tolist()]}
        )
    return found


def photos(folder: Path, first: int = 1, suffix: str = "png") -> list[dict]:
    """Write two pictures of noise; return their entries for a COCO json."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(first)
    records = []
    for n, (height, width) in enumerate(SIZES):
        name = f"{first + n:012d}.{suffix}"
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / name)
        records.append({"id": first + n, "file_name": name, "height": height, "width": width})
    return records


def content(images: list[dict], names: tuple[str, ...], categories: int = 1) -> dict:
    """A COCO dictionary with one and two people in the photos, over several categories."""
    annotations = []
    for n, image in enumerate(images):
        for person in people(n + 1, names, (image["height"], image["width"]), seed=image["id"]):
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "image_id": image["id"], "category_id": 1 + number % categories, **person}
            )
    kinds = [{"id": c + 1, "name": f"kind{c}", "keypoints": list(names)} for c in range(categories)]
    return {"images": images, "annotations": annotations, "categories": kinds}


def write(path: Path, value: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def build(root: Path, *overrides: str) -> FolderDataModule:
    """The data module that the command line would make, small enough for a test."""
    small = [
        "augment=none",
        "augment.crop=64",
        "evaluate.input_size=64",
        "data.num_workers=0",
        "data.batch_size=2",
    ]
    data = pafpose.build_datamodule(pafpose.load_config([f"data.root={root}", *small, *overrides]))
    data.setup()
    return data


def check_batches(data: FolderDataModule, count: int) -> None:
    """Check that batches have ``count`` keypoints and that the ground truth is complete."""
    train, val = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
    assert train.keypoints.shape[2] == val.keypoints.shape[2] == count
    assert (train.keypoints[..., 2] > 0).any() and (val.keypoints[..., 2] > 0).any()
    truth = data.val_ground_truth()
    assert len(truth["annotations"]) == 3 and all(a["area"] > 0 for a in truth["annotations"])


def yolo_set(root: Path, *, numbers: int = 3, **description: object) -> dict[str, dict]:
    """images/, labels/ and data.yaml; returns the COCO dictionary of the same people."""
    truth = {}
    for split, first in (("train", 1), ("val", 11)):
        images = photos(root / "images" / split, first)
        truth[split] = content(images, BODY)
        (root / "labels" / split).mkdir(parents=True)
        for image in images:
            lines = []
            for person in truth[split]["annotations"]:
                if person["image_id"] == image["id"]:
                    lines.append(yolo_line(person, image["width"], image["height"], numbers))
            name = Path(image["file_name"]).with_suffix(".txt")
            (root / "labels" / split / name).write_text("\n".join(lines) + "\n\n")
    Image.new("RGB", (50, 40)).save(root / "images" / "train" / "99.png")  # nobody: no label file
    truth["train"]["images"].append({"id": 99, "file_name": "99.png", "height": 40, "width": 50})
    written = {
        "train": "images/train",
        "val": "images/val",
        "kpt_shape": [17, numbers],
        "names": {0: "person"},
    }
    (root / "data.yaml").write_text(yaml.safe_dump({**written, "flip_idx": FLIP, **description}))
    return truth


def yolo_line(person: dict, width: int, height: int, numbers: int) -> str:
    x, y, w, h = person["bbox"]
    values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    for px, py, v in np.reshape(person["keypoints"], (-1, 3)):
        values += [px / width, py / height, v][:numbers]
    return "0 " + " ".join(f"{value:.6f}" for value in values)


def test_yolo_labels_give_the_same_people_as_coco(tmp_path, coco18):
    truth = yolo_set(tmp_path / "yolo")
    for split in ("train", "val"):
        folder = tmp_path / "yolo" / "images" / split
        expected = read_index("coco", write(tmp_path / f"{split}.json", truth[split]), folder, coco18)
        found = read_index("yolo", tmp_path / "yolo" / "data.yaml", folder, coco18)
        assert found.ids.tolist() == expected.ids.tolist() and found.files.tolist() == expected.files.tolist()
        assert (
            found.sizes.tolist() == expected.sizes.tolist()
            and found.offsets.tolist() == expected.offsets.tolist()
        )
        np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=2e-4)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=4e-4)
    data = build(tmp_path / "yolo", "data=yolo")
    assert data.train_index.ids.tolist() == [1, 2, 99] and len(data.train_index.keypoints) == 3
    assert data.train_index.areas[0] == pytest.approx(0.53 * np.prod(data.train_index.boxes[0, 2:]))
    check_batches(data, 18)


def test_yolo_photos_may_be_listed_in_a_file(tmp_path, coco18):
    yolo_set(tmp_path)
    (tmp_path / "some.txt").write_text("./images/train/000000000002.png\n")
    found = read_index("yolo", tmp_path / "data.yaml", tmp_path / "some.txt", coco18)
    assert found.ids.tolist() == [2] and len(found.keypoints) == 2
    assert found.path(0) == tmp_path / "images" / "train" / "000000000002.png" and found.path(0).is_file()


def test_yolo_without_visibility(tmp_path, coco18):
    truth = yolo_set(tmp_path, numbers=2)["train"]
    found = read_index("yolo", tmp_path / "data.yaml", tmp_path / "images" / "train", coco18)
    v = np.reshape(truth["annotations"][0]["keypoints"], (-1, 3))[:, 2]
    assert found.keypoints[0, :17, 2].tolist() == np.where(v > 0, 2, 0).tolist()


def test_yolo_labels_belong_to_the_upright_photo(tmp_path, coco18):
    yolo_set(tmp_path)
    file = tmp_path / "images" / "train" / "000000000001.png"
    tags = Image.Exif()
    tags[0x0112] = 6
    with Image.open(file) as picture:
        picture.rotate(90, expand=True).save(file.with_suffix(".jpg"), exif=tags)
    file.unlink()
    assert read_header(file.with_suffix(".jpg")).upright_size == SIZES[0]
    found = read_index("yolo", tmp_path / "data.yaml", tmp_path / "images" / "train", coco18)
    assert found.size(0) == SIZES[0]
    assert build(tmp_path, "data=yolo").train_dataset[0].original == SIZES[0]


def test_yolo_keypoint_names(coco18):
    toy, path = skeleton("toy5"), Path("data.yaml")
    own = [toy.keypoints[k] for k in toy.scored]
    flip = [toy.flip_keypoints[k] for k in toy.scored]
    assert keypoint_names({"kpt_names": {0: ["a", "b"]}}, 2, toy, path) == ["a", "b"]
    assert keypoint_names({"kpt_names": ["a", "b"]}, 2, toy, path) == ["a", "b"]
    assert keypoint_names({"flip_idx": FLIP}, 17, toy, path) == list(BODY)
    assert keypoint_names({"flip_idx": flip}, 5, toy, path) == own
    for wrong in ({"flip_idx": flip[::-1]}, {}):
        with pytest.raises(PafposeError, match=r"data\.yaml: does not name its .*kpt_names"):
            keypoint_names(wrong, 5 if wrong else 6, toy, path)
    with pytest.raises(PafposeError, match="kpt_names has 1 names"):
        keypoint_names({"kpt_names": ["a"]}, 2, toy, path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda root: (root / "data.yaml").write_text("a: 1"), r"data\.yaml: lacks kpt_shape"),
        (lambda root: (root / "data.yaml").write_text("a: [1"), r"data\.yaml: not a readable YOLO data yaml"),
        (lambda root: (root / "data.yaml").write_text("kpt_shape: 17"), "kpt_shape is 17"),
        (lambda root: label(root).write_text("\n0 0.5 x"), r"000000000001\.txt, line 2: .*numbers only"),
        (lambda root: label(root).write_text("0 0.5 0.5"), r"line 1: 3 numbers, .* need 56"),
        (lambda root: label(root).write_bytes(b"\xff\xfe"), r"000000000001\.txt: cannot read"),
        (lambda root: (root / "data.yaml").unlink(), "annotation file not found"),
    ],
)
def test_broken_yolo_sets_say_why(tmp_path, edit, message):
    yolo_set(tmp_path)
    edit(tmp_path)
    with pytest.raises(PafposeError, match=message):
        build(tmp_path, "data=yolo")


def label(root: Path) -> Path:
    return root / "labels" / "train" / "000000000001.txt"


def test_crowdpose_as_published(tmp_path):
    body = skeleton("crowdpose14")
    names = tuple(body.keypoints)
    for split, first in (("train", 1), ("val", 11)):
        images = [image | {"crowdIndex": 0.4} for image in photos(tmp_path / "images", first, "jpg")]
        value = content(images, names)
        for person in value["annotations"]:
            person |= {"num_keypoints": 14, "iscrowd": 0}  # no area, no segmentation
        write(tmp_path / "json" / f"crowdpose_{split}.json", value)
    data = build(tmp_path, "data=crowdpose", "skeleton=crowdpose14", "paf.limbs=crowdpose")
    index = data.train_index
    np.testing.assert_allclose(index.areas, 0.53 * index.boxes[:, 2] * index.boxes[:, 3])
    check_batches(data, 14)


def test_ap10k_as_published(tmp_path):
    body = skeleton("animal17")
    limbs = [f"{side}_{part}" for side in "LR" for part in ("Shoulder", "Elbow", "F_Paw")]
    limbs += [f"{side}_{part}" for side in "LR" for part in ("Hip", "Knee", "B_Paw")]
    spelt = ("L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", *limbs)
    indices = []
    for names in (tuple(body.keypoints), spelt):
        for split, first in (("train", 1), ("val", 11)):
            images = photos(tmp_path / "data", first, "jpg")
            value = content(images, names, categories=3)  # species
            write(tmp_path / "annotations" / f"ap10k-{split}-split1.json", value)
        data = build(tmp_path, "data=ap10k", "skeleton=animal17", "paf.limbs=ap10k")
        indices.append(data.train_index)
        check_batches(data, 17)
    assert len(indices[0].keypoints) == 3
    np.testing.assert_array_equal(indices[0].keypoints, indices[1].keypoints)


def foot_set(root: Path, *, feet_alone: bool = False) -> dict[str, dict]:
    """COCO's files and the foot files beside them; the last person of each split has no foot annotation."""
    whole = {}
    for split, first in (("train", 1), ("val", 11)):
        images = photos(root / f"{split}2017", first)
        whole[split] = content(images, (*BODY, *FEET))
        rows = whole[split]["annotations"]
        body = [person | {"keypoints": person["keypoints"][:51]} for person in rows]
        part = slice(51, None) if feet_alone or split == "val" else slice(None)
        feet = [person | {"keypoints": person["keypoints"][part]} for person in rows[:-1]]
        kind = {"id": 1, "name": "person", "keypoints": list(BODY)}
        extra = {"id": 500 + first, "file_name": "elsewhere.jpg", "height": 9, "width": 9}
        folder = root / "annotations"
        file = f"person_keypoints_{split}2017"
        write(
            folder / f"{file}.json", {"images": [*images, extra], "annotations": body, "categories": [kind]}
        )
        write(folder / f"{file}_foot_v1.json", {"images": images, "annotations": feet, "categories": kind})
        rows[-1]["keypoints"][51:] = [0] * 18
    return whole


@pytest.mark.parametrize("feet_alone", [False, True])
def test_foot_annotations_are_added_to_cocos_people(tmp_path, feet_alone):
    whole = foot_set(tmp_path, feet_alone=feet_alone)
    data = build(tmp_path, "data=coco_foot", "skeleton=body25", "paf.limbs=openpose")
    for split, index in (("train", data.train_index), ("val", data.val_index)):
        file = write(tmp_path / f"{split}.json", whole[split])
        expected = read_index("coco", file, tmp_path / f"{split}2017", data.skeleton)
        assert len(index) == 2 and len(index.keypoints) == 3  # nobody is lost, no photo is added
        np.testing.assert_array_equal(index.keypoints, expected.keypoints)
        assert (index.keypoints[:2, data.skeleton.index("left_heel"), 2] >= 0).all()
    check_batches(data, 25)


def test_foot_files_without_cocos_own(tmp_path, caplog):
    foot_set(tmp_path)
    body = skeleton("body25")
    for split in ("train", "val"):
        (tmp_path / "annotations" / f"person_keypoints_{split}2017.json").unlink()
    train, val = (
        tmp_path / "annotations" / f"person_keypoints_{s}2017_foot_v1.json" for s in ("train", "val")
    )
    index = read_index("coco_foot", train, tmp_path / "train2017", body)
    assert len(index.keypoints) == 2 and "better put it there" in caplog.text
    with pytest.raises(PafposeError, match="has feet but no bodies"):
        read_index("coco_foot", val, tmp_path / "val2017", body)
    plain = read_index("coco", train, tmp_path / "train2017", body)  # its 23 numbers are known without names
    np.testing.assert_array_equal(plain.keypoints, index.keypoints)


OWN = '''
def read(annotations, photos, skeleton):
    """One line per person: file, then name=x,y pairs."""
    images, people, names = {}, [], list(skeleton.keypoints)
    for line in annotations.read_text().splitlines():
        file, *points = line.split()
        number = images.setdefault(file, len(images) + 1)
        keypoints = [[0, 0, 0] for _ in names]
        for point in points:
            name, xy = point.split("=")
            keypoints[names.index(name)] = [*map(float, xy.split(",")), 2]
        people.append({"image_id": number, "keypoints": keypoints})
    return {
        "images": [{"id": n, "file_name": file} for file, n in images.items()],
        "annotations": people,
        "categories": [{"id": 1, "keypoints": names}],
    }


def broken(annotations, photos, skeleton):
    return 1 / 0


def listed(annotations, photos, skeleton):
    return []
'''


def test_a_reader_of_the_users_own(tmp_path, coco18):
    (tmp_path / "mine.py").write_text(OWN)
    for split, first in (("train", 1), ("val", 11)):
        files = [image["file_name"] for image in photos(tmp_path / split, first)]
        points = " ".join(f"{name}={20 + 3 * n},{10 + 4 * n}" for n, name in enumerate(BODY))
        (tmp_path / f"{split}.txt").write_text("\n".join(f"{file} {points}" for file in [*files, files[1]]))
    own = f"data.format={tmp_path}/mine.py:read"
    where = [
        f"data.{s}_{kind}={s}{end}"
        for s in ("train", "val")
        for kind, end in (("images", ""), ("annotations", ".txt"))
    ]
    data = build(tmp_path, "data=coco", own, *where)
    assert data.train_index.keypoints[0, 3].tolist() == [29, 22, 2]
    assert data.train_index.boxes[0].tolist() == [20, 10, 48, 64] and data.train_index.size(0) == SIZES[0]
    check_batches(data, 18)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("csv", r"data\.format='csv': choose one of coco, coco_foot, yolo, or name a function"),
        ("nowhere.at.all", "cannot import it"),
        ("{}/mine.py:nothing", "cannot import it"),
        ("{}/none.py:read", "cannot import it"),
        ("{}/mine.py:broken", r"mine\.py:broken' failed on .*ZeroDivisionError"),
        ("{}/mine.py:listed", "returned list; a dictionary"),
    ],
)
def test_bad_format_names_and_readers(tmp_path, name, message):
    (tmp_path / "mine.py").write_text(OWN)
    with pytest.raises(PafposeError, match=message):
        find_reader(name.format(tmp_path))(tmp_path, tmp_path, None)
