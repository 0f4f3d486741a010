"""A clean set is clean; every planted error is found, and nothing else; page, report, exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.tools.audit.check_data import check_data
from pafpose.tools.audit.findings import ERRORS, KINDS, AuditSettings
from pafpose.tools.audit.run import Audit, statistics
from tests.conftest import ROOT
from tests.data.coco_files import person, write_split
from tests.tools.report.test_report import Checker

SIZE = (160, 200)  # height, width
FRONT = {  # a person seen from the front, in a box of 60 x 120
    "nose": (30, 16), "left_eye": (34, 12), "right_eye": (26, 12), "left_ear": (40, 15),
    "right_ear": (20, 15),
    "left_shoulder": (46, 34), "right_shoulder": (14, 34), "left_elbow": (52, 54), "right_elbow": (8, 54),
    "left_wrist": (54, 72), "right_wrist": (6, 72), "left_hip": (41, 74), "right_hip": (19, 74),
    "left_knee": (42, 96), "right_knee": (18, 96), "left_ankle": (42, 118), "right_ankle": (18, 118),
}  # fmt: skip
Change = Callable[[Path, dict], None]


def picture(seed: int) -> np.ndarray:
    """Coarse noise: every seed looks like nothing else."""
    small = np.random.default_rng(seed).integers(0, 255, (10, 12, 3), dtype=np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def someone(rng: np.random.Generator, x: int) -> dict:
    points = {k: (x + px + rng.normal(), 20 + py + rng.normal()) for k, (px, py) in FRONT.items()}
    return person(points, box=(x, 18, 62, 124))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty training and four validation photos with two people each, without a fault."""
    root = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(0)
    for split, first, count in (("train", 1, 20), ("val", 101, 4)):
        photos = [(picture(first + n), [someone(rng, 20), someone(rng, 110)]) for n in range(count)]
        write_split(root, photos, split=split, first_id=first)
    return root


@pytest.fixture
def broken(clean: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """A copy of the clean set with one change to the training split."""

    def make(change: Change) -> Path:
        for folder in ("train2017", "val2017", "annotations"):
            (tmp_path / "set" / folder).mkdir(parents=True)
            for file in (clean / folder).iterdir():
                (tmp_path / "set" / folder / file.name).write_bytes(file.read_bytes())
        file = tmp_path / "set" / "annotations" / "person_keypoints_train2017.json"
        content = json.loads(file.read_text())
        change(tmp_path / "set", content)
        file.write_text(json.dumps(content))
        return tmp_path / "set"

    return make


def run(root: Path, folder: Path, *overrides: str) -> Audit:
    keys = ["data=coco", f"data.root={root}", f"paths.output_dir={folder}", *overrides]
    return check_data(load_config(keys, name="check_data"))


def photo(root: Path, number: int, split: str = "train") -> Path:
    return root / f"{split}2017" / f"{number:012d}.jpg"


def set_point(content: dict, row: int, k: int, values: list[float]) -> None:
    content["annotations"][row]["keypoints"][3 * k : 3 * k + 3] = values


def swap(content: dict, row: int, *pairs: tuple[int, int]) -> None:
    points = np.reshape(content["annotations"][row]["keypoints"], (-1, 3))
    for left, right in pairs:
        points[[left, right]] = points[[right, left]]
    content["annotations"][row]["keypoints"] = points.ravel().tolist()


def collapse(content: dict, row: int) -> None:
    points = np.reshape(content["annotations"][row]["keypoints"], (-1, 3))
    points[:, :2] = (50, 80)
    content["annotations"][row]["keypoints"] = points.ravel().tolist()


def recompress(root: Path) -> None:
    with Image.open(photo(root, 3)) as image:
        image.save(photo(root, 4), quality=80)


def turn(root: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    with Image.open(photo(root, 5)) as image:
        image.save(photo(root, 5), quality=95, exif=tags)


def forget(content: dict, k: int) -> None:
    for row, annotation in enumerate(content["annotations"]):
        set_point(content, row, k, [0, 0, 0])
        del annotation["num_keypoints"]


def save_with_12_bits(file: Path) -> None:
    """As a microscope's 12-bit camera does: a 16-bit picture whose values end at 4095."""
    with Image.open(file) as stored:
        grey = np.array(stored.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 16).save(file, "png")


PLANTED: dict[str, Change] = {
    "duplicate_image_id": lambda root, c: c["images"].append(dict(c["images"][0])),
    "duplicate_annotation_id": lambda root, c: c["annotations"][3].update(id=1),
    "unknown_image": lambda root, c: c["annotations"].append(
        c["annotations"][0] | {"id": 999, "image_id": 77}
    ),
    "unknown_category": lambda root, c: c["annotations"][0].update(category_id=4),
    "wrong_length": lambda root, c: c["annotations"][0]["keypoints"].pop(),
    "not_finite": lambda root, c: set_point(c, 0, 9, [float("nan"), float("inf"), 2]),
    "bad_mask": lambda root, c: c["annotations"][0].update(segmentation={"size": [9, 9], "counts": [81]}),
    "missing_file": lambda root, c: photo(root, 2).unlink(),
    "unreadable_file": lambda root, c: photo(root, 2).write_bytes(photo(root, 2).read_bytes()[:900]),
    "wrong_size": lambda root, c: c["images"][1].update(width=300),
    "overlap": lambda root, c: photo(root, 101, "val").write_bytes(photo(root, 6).read_bytes()),
    "no_area": lambda root, c: c["annotations"][0].update(bbox=[20, 18, 0, 124]),
    "collapsed": lambda root, c: collapse(c, 0),
    "swapped_sides": lambda root, c: swap(c, 4, (11, 12)),
    "outside_photo": lambda root, c: set_point(c, 0, 10, [-4, 90, 2]),
    "box_outside_photo": lambda root, c: c["annotations"][0].update(bbox=[-30, 18, 112, 124]),
    "far_from_box": lambda root, c: set_point(c, 0, 9, [170, 90, 2]),
    "bad_visibility": lambda root, c: set_point(c, 0, 9, [60, 90, 3]),
    "wrong_num_keypoints": lambda root, c: c["annotations"][0].update(num_keypoints=3),
    "same_person": lambda root, c: c["annotations"].append(c["annotations"][0] | {"id": 999}),
    "duplicate_file": lambda root, c: c["images"].append(c["images"][0] | {"id": 888}),
    "duplicate_picture": lambda root, c: recompress(root),
    "turned": lambda root, c: turn(root),
    "wrong_suffix": lambda root, c: Image.fromarray(picture(3)).save(photo(root, 3), "png"),
    "dark_picture": lambda root, c: save_with_12_bits(photo(root, 3)),
    "unlisted_file": lambda root, c: Image.fromarray(picture(900)).save(photo(root, 900)),
    "never_labelled": lambda root, c: forget(c, 3),
}
BESIDE = {"collapsed": {"swapped_sides"}, "dark_picture": {"wrong_suffix"}}  # what necessarily comes along


def test_a_clean_set_is_clean(clean: Path, tmp_path: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in clean.rglob("*"))
    audit = run(clean, tmp_path)
    assert audit.counts == {} and audit.problems == 0
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["status"] == "clean" and report["kinds"] == {}
    train = report["splits"]["train"]
    assert (train["photos"], train["people"], train["people_with_keypoints"]) == (20, 40, 40)
    assert train["keypoints_per_person"] == 17 and train["photo_width_px"] == [200, 200, 200]
    assert set(train["labelled_share"].values()) == {1.0} and len(train["labelled_share"]) == 17
    assert sorted(path.stat().st_mtime_ns for path in clean.rglob("*")) == before  # nothing is written there


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_errors_are_found(kind: str, broken, tmp_path: Path) -> None:
    root = broken(PLANTED[kind])
    audit = run(root, tmp_path / "out", "check.pictures=2")
    assert audit.counts.get(kind), audit.counts
    if kind != "never_labelled":
        assert audit.counts[kind] == 1
    assert set(audit.counts) - {kind} <= BESIDE.get(kind, set()), audit.counts
    assert bool(audit.problems) == (kind in ERRORS)
    check_page(tmp_path / "out" / "audit.html", kind)


def check_page(path: Path, kind: str) -> None:
    """Whole, self-contained, links lead somewhere, the kind has its section."""
    text = path.read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in checker.addresses)
    assert {a[1:] for a in checker.addresses if a.startswith("#")} <= set(checker.ids)
    assert not re.search(r"https?://|@import|url\(", text)
    assert f'id="{kind}"' in text and f"<h2>{escape(KINDS[kind].title)}</h2>" in text
    drawn = kind not in ("duplicate_image_id", "duplicate_annotation_id", "never_labelled", "missing_file",
                         "unreadable_file", "unknown_image")  # fmt: skip
    assert ("<img" in text) == drawn


def test_names_cannot_break_the_page(broken, tmp_path: Path) -> None:
    """The name of the set, a file that is there and one that is not."""

    def rename(root: Path, content: dict) -> None:
        content["images"][0]["file_name"] = "<script>alert(1)<.jpg"
        photo(root, 2).rename(root / "train2017" / "<script>alert(2)<.jpg")
        content["images"][1] |= {"file_name": "<script>alert(2)<.jpg", "width": 7}

    run(broken(rename), tmp_path / "out", "data.name='<script>alert(3)'")
    text = (tmp_path / "out" / "audit.html").read_text()
    assert "<script>" not in text
    assert all(f"&lt;script&gt;alert({n})" in text for n in (1, 2, 3))


def test_findings_say_where(broken, tmp_path: Path) -> None:
    root = broken(PLANTED["swapped_sides"])
    finding = run(root, tmp_path / "out").of("swapped_sides")[0]
    assert (finding.split, finding.image_id, finding.annotation_id) == ("train", 3, 5)
    assert finding.text == "left hip/right hip"


def test_a_person_swapped_as_a_whole_shows_in_the_face(broken, tmp_path: Path) -> None:
    pairs = [(k, k + 1) for k in range(1, 17, 2)]
    root = broken(lambda root, c: swap(c, 7, *pairs))
    found = run(root, tmp_path / "out").of("swapped_sides")
    assert [f.annotation_id for f in found] == [8]


def test_a_face_that_cannot_be_seen_is_no_evidence(broken, tmp_path: Path) -> None:
    def change(root: Path, content: dict) -> None:
        swap(content, 7, *[(k, k + 1) for k in range(1, 17, 2)])
        content["annotations"][7]["keypoints"][2:15:3] = [1] * 5

    assert run(broken(change), tmp_path / "out", "check.files=false").of("swapped_sides") == []


def test_the_box_of_a_whole_photo_is_no_finding(broken, tmp_path: Path) -> None:
    root = broken(lambda root, c: c["annotations"][0].update(bbox=[0, 0, SIZE[1], SIZE[0]]))
    assert run(root, tmp_path / "out", "check.margin=0", "check.files=false").counts == {}


def test_the_stated_size_may_be_that_after_the_exif_rotation(broken, tmp_path: Path) -> None:
    def change(root: Path, content: dict) -> None:
        turn(root)
        content["images"][4] |= {"width": SIZE[0], "height": SIZE[1]}

    audit = run(broken(change), tmp_path / "out")
    assert audit.counts["turned"] == 1 and "wrong_size" not in audit.counts


def test_splits_that_cannot_be_read_are_findings(clean: Path, tmp_path: Path) -> None:
    audit = run(clean, tmp_path, "data.train_annotations=annotations/no.json")
    assert audit.counts == {"unusable": 1} and list(audit.splits) == ["val"]
    assert "annotation file not found" in audit.of("unusable")[0].text
    audit = run(tmp_path / "nowhere", tmp_path)
    assert audit.counts == {"unusable": 2} and audit.problems == 2
    assert "No split could be read" in (tmp_path / "audit.html").read_text()


def test_the_wrong_skeleton_and_nobody_at_all(clean: Path, tmp_path: Path) -> None:
    audit = run(clean, tmp_path, "skeleton=hand21", "paf.limbs=fingers", "augment.flip=0")
    assert audit.counts == {"unusable": 2} and "none of its keypoints" in audit.findings[0].text
    empty = tmp_path / "empty"
    for split, first in (("train", 1), ("val", 5)):
        write_split(empty, [(picture(first), [])], split=split, first_id=first)
    assert run(empty, tmp_path).counts == {"empty": 2}


def test_which_kinds_are_fatal_is_a_choice(broken, tmp_path: Path) -> None:
    root = broken(PLANTED["outside_photo"])
    assert run(root, tmp_path / "out").problems == 0
    assert run(root, tmp_path / "out", "check.fatal=[outside_photo]").problems == 1
    assert run(root, tmp_path / "out", "check.fatal=all").problems == 1
    assert run(root, tmp_path / "out", "check.margin=20", "check.fatal=outside_photo").problems == 0
    alone = run(root, tmp_path / "out", "check.split=val", "check.files=false", "check.fatal=all")
    assert alone.problems == 0 and list(alone.splits) == ["val"]


@pytest.mark.parametrize(("key", "value"), [("split", "test"), ("fatal", ["wrong"]), ("pictures", -1)])
def test_bad_keys_are_explained(key: str, value: object) -> None:
    with pytest.raises(PafposeError, match=rf"check\.{key}="):
        AuditSettings(**{key: value})  # type: ignore[arg-type]


def test_coco_mini_has_no_errors(coco_mini: Path, tmp_path: Path) -> None:
    audit = run(coco_mini, tmp_path, "check.files=false", "check.pictures=0")
    assert audit.problems == 0 and set(audit.counts) <= {"swapped_sides", "far_from_box", "same_person"}
    assert audit.counts["swapped_sides"] < 0.05 * statistics(audit.splits["train"])["people_with_keypoints"]


@pytest.mark.slow
def test_the_scripts_exit_status(clean: Path, tmp_path: Path) -> None:
    script = [
        sys.executable,
        str(ROOT / "scripts" / "check_data.py"),
        "data=coco",
    ]

    def check(root: Path, name: str) -> subprocess.CompletedProcess[str]:
        words = (f"data.root={root}", f"hydra.run.dir={tmp_path / name}")
        return subprocess.run([*script, *words], capture_output=True, text=True, check=False)

    done = check(clean, "first")
    assert done.returncode == 0 and "clean" in done.stdout, done.stderr
    done = check(tmp_path, "second")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "2 problems" in done.stdout


def test_findings_come_first_and_what_is_sound_is_folded(broken, tmp_path: Path) -> None:
    """Problems, then what to look at, then figures; checks without findings stand in one folded list."""
    root = broken(lambda root, c: (PLANTED["swapped_sides"](root, c), PLANTED["no_area"](root, c)))
    audit = run(root, tmp_path / "out")
    text = (tmp_path / "out" / "audit.html").read_text()
    places = [text.index(f'<section id="{kind}">') for kind in ("no_area", "swapped_sides")]
    assert [*places, text.index("<h2>Figures</h2>")] == sorted([*places, text.index("<h2>Figures</h2>")])
    first, folded = text.index("<details>"), text.index("</details>")
    assert f"{len(KINDS) - len(audit.counts)} checks found nothing" in text[first:folded]
    assert first < text.index("<code>missing_file</code>") < folded < places[0]
