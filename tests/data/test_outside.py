"""Names in annotations stay inside the data, unless data.allow_outside=true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pafpose.errors import PafposeError
from pafpose.tools.audit.run import AuditSettings, run_audit
from tests.data.coco_files import person, six_points, write_split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set of two photos a split, and a photo outside it."""
    root = tmp_path / "set"
    for split, first in (("train", 1), ("val", 11)):
        photos = []
        for n in range(2):
            picture = np.full((90, 120, 3), 20 * (first + n), np.uint8)
            photos.append((picture, [person(six_points(20, 15), box=(10, 10, 60, 70))]))
        write_split(root, photos, split=split, first_id=first)
    secret = root / "train2017" / "000000000002.jpg"
    secret.rename(tmp_path / "secret.jpg")
    return root


def name_photo(root: Path, name: str) -> None:
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    content["images"][1]["file_name"] = name
    file.write_text(json.dumps(content))


def link(root: Path, target: Path) -> None:
    (root / "train2017" / "000000000002.jpg").symlink_to(target)


LEADS_OUT: dict[str, Callable[[Path], object]] = {
    "dots": lambda root: name_photo(root, "../../secret.jpg"),
    "dots in the middle": lambda root: name_photo(root, "../train2017/../../secret.jpg"),
    "absolute": lambda root: name_photo(root, str(root.parent / "secret.jpg")),
    "backslashes": lambda root: name_photo(root, "..\\..\\secret.jpg"),
    "symbolic link": lambda root: link(root, root.parent / "secret.jpg"),
    "relative link": lambda root: link(root, Path("../../secret.jpg")),
    "neighbour with the same start": lambda root: name_photo(
        root, str((root.parent / "secret.jpg").rename(root.parent / "set2.jpg"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", LEADS_OUT)
def test_names_that_lead_out_are_refused_unless_allowed(root: Path, make_data, way: str) -> None:
    LEADS_OUT[way](root)
    message = r"lies outside the data folder .*data\.allow_outside=true"
    with pytest.raises(PafposeError, match=message):
        list(make_data(root).train_dataloader())
    assert run_audit(make_data(root), AuditSettings(workers=1)).problems
    data = make_data(root, allow_outside=True)
    (batch,) = data.train_dataloader()
    assert sorted(batch.image_id.tolist()) == [1, 2]


def test_absolute_names_links_and_dots_that_stay_inside_are_read(root: Path, make_data) -> None:
    (root.parent / "secret.jpg").rename(root / "other.jpg")
    for name in ("../other.jpg", str(root / "other.jpg")):
        name_photo(root, name)
        (batch,) = make_data(root).train_dataloader()
        assert sorted(batch.image_id.tolist()) == [1, 2]
    name_photo(root, "000000000002.jpg")
    link(root, root / "other.jpg")
    assert len(list(make_data(root).train_dataloader())) == 1


def test_the_root_and_the_folders_of_photos_may_be_links(root: Path, make_data, tmp_path: Path) -> None:
    """The user chose these."""
    (root.parent / "secret.jpg").rename(root / "train2017" / "000000000002.jpg")
    (root / "train2017").rename(tmp_path / "disk")
    (root / "train2017").symlink_to(tmp_path / "disk")
    (tmp_path / "link").symlink_to(root)
    assert len(list(make_data(tmp_path / "link").train_dataloader())) == 1
    name_photo(root, str(tmp_path / "disk" / "000000000002.jpg"))
    assert len(list(make_data(tmp_path / "link").train_dataloader())) == 1


def test_a_home_folder_may_be_a_tilde(root: Path, make_data, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "secret.jpg").rename(root / "train2017" / "000000000002.jpg")
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(make_data(Path("~/set")).train_dataset) == 2
