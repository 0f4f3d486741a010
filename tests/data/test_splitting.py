"""One annotation file split into training and validation, and several read as one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pafpose.data.annotations.merge import merge
from pafpose.errors import PafposeError
from pafpose.tools.audit.run import AuditSettings, run_audit
from tests.data.coco_files import COCO_NAMES, person, six_points, write_split

PERSON = person(six_points(20, 10, 40), box=(10, 5, 40, 50))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty photos with one person each."""
    photo = np.zeros((60, 80, 3), np.uint8)
    write_split(tmp_path, [(photo, [PERSON]) for _ in range(40)], suffix="png")
    return tmp_path


def rename(root: Path, names: list[str], **more: list) -> None:
    """Give the photos other names, and files of those names."""
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    for n, (image, name) in enumerate(zip(content["images"], names, strict=True)):
        target = root / "train2017" / name
        target.parent.mkdir(exist_ok=True)
        (root / "train2017" / image["file_name"]).rename(target)
        image.update({"file_name": name} | {key: values[n] for key, values in more.items()})
    file.write_text(json.dumps(content))


def split(make_data, root: Path, **keys) -> tuple[list[str], list[str]]:
    """The names of training and of validation photos."""
    data = make_data(root, mask={"min_area": 0}, **{"val_annotations": None} | keys)
    data.setup()
    return data.train_index.files.tolist(), data.val_index.files.tolist()


def test_a_fraction_of_the_photos_is_for_validation_and_the_seed_chooses_them(root, make_data):
    train, val = split(make_data, root)
    assert len(train) == 36 and len(val) == 4 and not set(train) & set(val)
    assert split(make_data, root) == (train, val)
    assert split(make_data, root, split_seed=1)[1] != val
    assert len(split(make_data, root, val_fraction=0.25)[1]) == 10
    assert len(split(make_data, root, subset=0.5)[0]) == 18, "of the training photos"
    data = make_data(root, mask={"min_area": 0}, val_annotations=None)
    assert sorted(i for batch in data.val_dataloader() for i in batch.image_id.tolist()) == sorted(
        int(name[:-4]) for name in val
    )


@pytest.mark.parametrize(
    "name",
    [
        lambda n: f"clip{n // 8}/{n:04d}.png",
        lambda n: f"clip{n // 8}_frame_{n:04d}.png",
        lambda n: f"clip{n // 8}-{n}.png",
    ],
)
def test_frames_of_one_folder_or_video_stay_together(root, make_data, name):
    rename(root, [name(n) for n in range(40)])
    for seed in range(4):
        train, val = split(make_data, root, split_seed=seed, val_fraction=0.3)
        assert len(val) == 16 or len(val) == 8
        assert not {n[:5] for n in train} & {n[:5] for n in val}


def test_video_ids_come_first(root, make_data):
    rename(root, [f"{n % 4}/{n:04d}.png" for n in range(40)], video_id=[n // 10 for n in range(40)])
    _, val = split(make_data, root)
    assert len(val) == 10 and len({int(name[2:6]) // 10 for name in val}) == 1


def test_one_large_folder_does_not_become_the_validation_split(root, make_data):
    rename(root, [("large" if n < 36 else "small") + f"/{n:04d}.png" for n in range(40)])
    for seed in range(4):
        assert len(split(make_data, root, split_seed=seed)[1]) == 4


@pytest.mark.parametrize(("key", "value"), [("val_fraction", 0), ("val_fraction", 1), ("val_fraction", 1.5)])
def test_fractions_leave_something_on_both_sides(root, make_data, key, value):
    with pytest.raises(PafposeError, match=rf"data\.{key}={value}"):
        split(make_data, root, **{key: value})


def test_the_audit_of_one_file_looks_at_all_its_photos(root, make_data):
    audit = run_audit(make_data(root, mask={"min_area": 0}, val_annotations=None), AuditSettings(workers=1))
    assert list(audit.splits) == ["train"] and len(audit.splits["train"].photos) == 40


# --- several files


def part(root: Path, name: str, images: list[tuple[int, str]], category: int = 1, **more) -> str:
    """Write a file with one person in each photo; return its name below the root."""
    content = {
        "images": [{"id": n, "file_name": file, "height": 60, "width": 80} for n, file in images],
        "annotations": [{"id": n, "image_id": n, **PERSON, "category_id": category} for n, _ in images],
        "categories": [{"id": category, "name": "person", "keypoints": COCO_NAMES}],
    } | more
    (root / name).write_text(json.dumps(content))
    return name


def test_a_list_of_files_is_read_as_one(root, make_data, caplog):
    first = part(root, "a.json", [(1, "000000000001.png"), (2, "000000000002.png")])
    second = part(root, "b.json", [(1, "000000000003.png"), (2, "000000000002.png")], category=7)
    train, val = split(make_data, root, train_annotations=[first, second], val_fraction=0.3)
    assert sorted(train + val) == [f"{n:012d}.png" for n in (1, 2, 3)]
    data = make_data(root, mask={"min_area": 0}, train_annotations=[first, second], val_annotations=second)
    index = data.read_split("train")
    assert index.ids.tolist() == [1, 2, 3] and np.diff(index.offsets).tolist() == [1, 2, 1]
    assert index.annotation_ids.tolist() == [1, 2, 4, 3] or len(set(index.annotation_ids.tolist())) == 4
    assert (index.keypoints == index.keypoints[0]).all()


def test_errors_name_the_file_of_the_list(root, make_data):
    good = part(root, "good.json", [(1, "000000000001.png")])
    bad = part(root, "bad.json", [(2, "000000000002.png")], annotations=5)
    with pytest.raises(PafposeError, match=r"bad\.json: its annotation list is a int"):
        split(make_data, root, train_annotations=[good, bad])
    with pytest.raises(PafposeError, match=r"none\.json"):
        split(make_data, root, train_annotations=[good, "none.json"])


def test_merging_keeps_people_with_their_photos_and_categories():
    def file(photo: int, name: str, category: int) -> dict:
        return {
            "images": [{"id": photo, "file_name": name}],
            "annotations": [{"image_id": photo, "category_id": category, "mark": name}, {"image_id": 99}],
            "categories": [{"id": category, "name": name, "keypoints": ["nose"]}],
        }

    merged = merge([(Path(f"{n}.json"), file(5, f"{n}.jpg", 3)) for n in range(3)])
    names = {row["id"]: row["file_name"] for row in merged["images"]}
    kinds = {row["id"]: row["name"] for row in merged["categories"]}
    assert len(names) == 3 and len(kinds) == 3
    marked = [row for row in merged["annotations"] if "mark" in row]
    assert all(names[row["image_id"]] == kinds[row["category_id"]] == row["mark"] for row in marked)
