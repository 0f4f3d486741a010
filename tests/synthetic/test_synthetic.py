"""Synthetic people: same seed same bytes, true annotations, keys that act, whole folders, any skeleton."""

from __future__ import annotations

import json
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
from pafpose.synthetic.annotate import annotate, owner_mask, run_lengths, visibility
from pafpose.synthetic.appearance import sample_look
from pafpose.synthetic.body import Bodies, J
from pafpose.synthetic.canvas import Canvas, ellipse, owner_tag, to_fixed
from pafpose.synthetic.person import HEAD, TORSO, Person
from pafpose.synthetic.picture import FIRST, make_cast, make_picture
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.sheet import contact_sheet
from pafpose.synthetic.statistics import measure
from pafpose.synthetic.write import MARKER, dataset_fingerprint, write_dataset
from tests.conftest import ROOT, skeleton_config

SMALL = SyntheticSettings(train_count=7, val_count=3, picture_size=96, crowd=0.5)
SKELETONS = sorted(path.stem for path in (ROOT / "conf" / "skeleton").glob("*.yaml"))
ANIMAL = {
    "name": "snail",
    "keypoints": ["shell", "left_horn", "right_horn", "tail"],
    "pairs": [["left_horn", "right_horn"]],
    "sigmas": [0.05] * 4,
    "default_limbs": "all",
    "limb_sets": {"all": [["shell", "left_horn"], ["shell", "right_horn"], ["shell", "tail"]]},
}


def annotations(settings: SyntheticSettings, skeleton: Skeleton, count: int) -> list[list[dict]]:
    cast = make_cast(skeleton)
    return [make_picture(settings, cast, "train", n).annotations for n in range(count)]


def people(pictures: list[list[dict]]) -> list[dict]:
    return [a for picture in pictures for a in picture if not a["iscrowd"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, coco18):
    return write_dataset(tmp_path_factory.mktemp("drawn") / "people", SMALL, skeleton=coco18, workers=1)


def contents(root) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_same_seed_same_bytes_for_any_number_of_workers(folder, tmp_path, coco18):
    again = write_dataset(tmp_path / "again", SMALL, skeleton=coco18, workers=2)
    assert contents(again) == contents(folder)
    assert len(contents(folder)) == 7 + 3 + 2 + 1


def test_seeds_splits_and_pictures_differ(coco18):
    cast = make_cast(coco18)
    variants = [(SMALL, "train", 0), (SMALL, "train", 1), (SMALL, "val", 0)]
    variants.append((replace(SMALL, generator_seed=1), "train", 0))
    variants.append((replace(SMALL, generator_seed=1 << 40), "train", 0))
    images = [make_picture(s, cast, split, n).image.tobytes() for s, split, n in variants]
    assert len(set(images)) == len(variants)


@pytest.mark.filterwarnings("ignore:.*__array__ implementation.*:DeprecationWarning")  # pycocotools 2.0.11
def test_loads_with_pycocotools(folder, capsys):
    for split, count in (("train", 7), ("val", 3)):
        coco = COCO(folder / "annotations" / f"person_keypoints_{split}2017.json")
        assert len(coco.imgs) == count
        assert coco.cats[1]["keypoints"][0] == "nose"
        assert len(coco.cats[1]["keypoints"]) == 17
        for image in coco.imgs.values():
            photo = load_image(folder / f"{split}2017" / image["file_name"])
            assert photo.shape == (image["height"], image["width"], 3) == (96, 96, 3)
        for record in coco.anns.values():
            mask = coco.annToMask(record)
            x, y, w, h = record["bbox"]
            inside = mask[int(y) : int(y + h), int(x) : int(x + w)].sum()
            assert inside == mask.sum()
            assert abs(float(mask.sum()) - record["area"]) <= 0.2 * record["area"] + 3
            assert len(record["keypoints"]) == 51
            assert record["num_keypoints"] == sum(v > 0 for v in record["keypoints"][2::3])


def test_ids_and_names_of_the_splits_never_meet(folder):
    images = {}
    for split in ("train", "val"):
        coco = json.loads((folder / "annotations" / f"person_keypoints_{split}2017.json").read_text())
        images[split] = {(i["id"], i["file_name"]) for i in coco["images"]}
    assert not images["train"] & images["val"]


def test_keypoints_are_inside_or_zero(coco18):
    pictures = annotations(replace(SMALL, cut=1.0, picture_size=128), coco18, 40)
    points = np.array([a["keypoints"] for a in people(pictures)], float).reshape(-1, 3)
    outside = points[points[:, 2] == 0]
    inside = points[points[:, 2] > 0, :2]
    assert len(outside) and not outside.any()
    assert (inside >= -0.5).all() and (inside <= 127.5).all()


def test_people_per_picture_and_heights_as_configured(coco18):
    settings = replace(
        SMALL, people=(2, 3), height=(0.5, 0.6), cut=0, crowd=0, occlusion=0, overlap=0, clutter=0
    )
    pictures = annotations(settings, coco18, 60)
    counts = np.bincount([len(p) for p in pictures], minlength=4)
    assert counts[2] > 15 and counts[3] > 15 and counts[2] + counts[3] >= 58  # one may be hidden whole
    tops = np.array([a["bbox"][3] for a in people(pictures)]) / 96
    assert np.quantile(tops, 0.98) < 0.66
    assert np.median(tops) > 0.47


def test_default_sizes_spread_from_a_third_to_the_whole_picture(coco18):
    settings = SyntheticSettings(people=(1, 1), cut=0, occlusion=0, crowd=0, clutter=0)
    heights = np.array([a["bbox"][3] / 192 for a in people(annotations(settings, coco18, 150))])
    assert 0.28 < heights.min() < 0.42
    assert 0.9 < heights.max() <= 1.0
    assert 0.55 < heights.mean() < 0.75


def test_nobody(coco18):
    settings = replace(SMALL, people=(0, 0), crowd=0)
    assert annotations(settings, coco18, 3) == [[], [], []]


def mean_overlap(pictures: list[list[dict]]) -> float:
    shares = []
    for picture in pictures:
        boxes = np.array([a["bbox"] for a in picture])
        for n, (x, y, w, h) in enumerate(boxes):
            rest = np.delete(boxes, n, 0)
            wide = np.clip(np.minimum(x + w, rest[:, 0] + rest[:, 2]) - np.maximum(x, rest[:, 0]), 0, None)
            tall = np.clip(np.minimum(y + h, rest[:, 1] + rest[:, 3]) - np.maximum(y, rest[:, 1]), 0, None)
            shares.append((wide * tall).max() / (w * h))
    return float(np.mean(shares))


def test_overlap_grows_with_its_key(coco18):
    base = replace(SMALL, people=(2, 2), height=(0.4, 0.6), crowd=0, cut=0, occlusion=0, clutter=0)
    low, middle, high = (
        mean_overlap([p for p in annotations(replace(base, overlap=o), coco18, 60) if len(p) == 2])
        for o in (0.0, 0.2, 0.5)
    )
    assert low < 0.05
    assert 0.1 < middle < high


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.4])
def test_where_there_is_room_the_overlap_is_the_one_asked_for(tmp_path, coco18, overlap):
    settings = replace(
        SMALL, train_count=80, val_count=0, people=(2, 3), height=(0.3, 0.6), cut=0, occlusion=0
    )
    settings = replace(settings, overlap=overlap, picture_size=192)
    figures = measure(write_dataset(tmp_path / "set", settings, skeleton=coco18, workers=1))
    assert abs(figures["overlap"] - overlap) < 0.05
    assert 2.3 < figures["people"] < 2.7 and 0.3 < figures["height"] < 0.6


def test_measured_figures_by_hand(tmp_path):
    (tmp_path / "annotations").mkdir()
    sizes = [{"id": n, "height": 100, "width": 100} for n in (1, 2)]
    boxes = [(1, [0, 0, 20, 40]), (1, [10, 0, 20, 20]), (2, [0, 0, 10, 60])]
    people = [
        {"image_id": i, "bbox": b, "iscrowd": 0, "keypoints": [5, 5, n, 0, 0, 0]}
        for n, (i, b) in enumerate(boxes)
    ]
    crowd = {"image_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1, "keypoints": [0] * 6}
    content = {"images": sizes, "annotations": [*people, crowd]}
    path = tmp_path / "annotations" / "person_keypoints_train2017.json"
    path.write_text(json.dumps(content))
    wanted = {"people": 1.5, "height": 0.4, "overlap": 0.5, "hidden": 0.5, "unlabelled": 1 / 3, "crowd": 0.5}
    assert measure(tmp_path) == pytest.approx(wanted)
    path.write_text(json.dumps({**content, "annotations": [crowd]}))
    assert measure(tmp_path) == {}


def test_shares_of_occluded_unlabelled_and_crowds(coco18):
    base = replace(SMALL, people=(1, 1), crowd=0, cut=0, occlusion=0, unlabelled=0, clutter=0)

    def hidden(settings: SyntheticSettings) -> float:
        v = np.array([a["keypoints"][2::3] for a in people(annotations(settings, coco18, 60))])
        return float((v == 1).sum() / (v > 0).sum())

    assert hidden(replace(base, occlusion=1.0)) > hidden(base) + 0.05
    unlabelled = people(annotations(replace(base, unlabelled=1.0), coco18, 10))
    assert len(unlabelled) == 10
    assert all(a["num_keypoints"] == 0 and not any(a["keypoints"]) and a["area"] > 0 for a in unlabelled)
    crowds = [p for p in annotations(replace(base, crowd=1.0), coco18, 10) if any(a["iscrowd"] for a in p)]
    assert len(crowds) >= 9
    assert not any(a["iscrowd"] for p in annotations(base, coco18, 10) for a in p)


def test_a_key_changes_its_own_matter_only(coco18):
    """Noise moves annotations, not pixels; obstacles and clutter leave the people where they stand."""
    cast = make_cast(coco18)
    plain, noisy = (make_picture(replace(SMALL, noise=n), cast, "train", 4) for n in (0.0, 1.0))
    assert (plain.image == noisy.image).all()
    first, second = (np.array(p.annotations[0]["keypoints"]).reshape(-1, 3) for p in (plain, noisy))
    assert (first[:, 2] == second[:, 2]).all()
    moved = np.linalg.norm(first - second, axis=1)[first[:, 2] > 0]
    assert 0 < moved.mean() < 0.3 * plain.annotations[0]["area"] ** 0.5
    calm = replace(SMALL, occlusion=0.0, clutter=0.0, people=(1, 1), cut=0)
    busy = replace(calm, occlusion=1.0, clutter=9.0)
    for n in range(5):
        a, b = (np.array(make_picture(s, cast, "train", n).annotations[0]["keypoints"]) for s in (calm, busy))
        both = (a[2::3] > 0) & (b[2::3] > 0)
        np.testing.assert_array_equal(a.reshape(-1, 3)[both, :2], b.reshape(-1, 3)[both, :2])


def test_left_is_right_in_front_views_and_left_from_behind(rng):
    bodies = Bodies(rng, 300, sides=0.3)
    across = bodies.joints[:, J["left_shoulder"], 0] - bodies.joints[:, J["right_shoulder"], 0]
    front, back = bodies.chest[:, 2] > 0.5, bodies.chest[:, 2] < -0.5
    assert front.sum() > 90 and back.sum() > 50 and (~front & ~back).sum() > 40
    assert (across[front] > 0).all()
    assert (across[back] < 0).all()


def test_faces_show_in_front_views_only(rng):
    bodies = Bodies(rng, 200)
    for n in range(200):
        v, parts = Person(bodies, n, sample_look(rng)).shown(("nose", "left_eye", "left_wrist"))
        assert v[2] == 2 and parts[0] == 1 << HEAD
        if bodies.face[n, 2] > 0.5:
            assert v[0] == v[1] == 2
        if bodies.face[n, 2] < -0.8:
            assert v[0] == 0 and v[1] < 2


def test_bones_keep_their_length(rng):
    bodies = Bodies(rng, 50)
    arm = bodies.joints[:, J["left_elbow"]] - bodies.joints[:, J["left_shoulder"]]
    np.testing.assert_allclose(np.linalg.norm(arm, axis=1), bodies.shape["upper_arm"])
    shin = bodies.joints[:, J["right_ankle"]] - bodies.joints[:, J["right_knee"]]
    np.testing.assert_allclose(np.linalg.norm(shin, axis=1), bodies.shape["shin"])


class Disc:
    """A figure of one part and two keypoints, for exact answers."""

    def keypoints(self, names):
        return np.array([[10.0, 12.0], [30.4, 12.0]])

    def shown(self, names):
        return [2, 2], [1 << TORSO, 1 << TORSO]


def test_visibility_by_hand():
    canvas = Canvas(np.zeros((32, 32, 3), np.uint8))
    canvas.fill(ellipse((10, 12), 6, 6), (9.0, 9.0, 9.0), owner_tag(FIRST, TORSO))
    names = ("a", "b")

    def labels(points: np.ndarray) -> list[int]:
        own, parts = (np.array(t)[None] for t in Disc().shown(names))
        return visibility(points[None], np.array([FIRST]), canvas.owner, own=own, parts=parts)[0].tolist()

    assert labels(Disc().keypoints(names)) == [2, 1]  # the second lies off the disc
    canvas.fill(ellipse((10, 12), 3, 3), (9.0, 9.0, 9.0), owner_tag(1))
    assert labels(Disc().keypoints(names)) == [1, 1]
    far = np.array([[-0.6, 5.0], [31.6, 5.0]])
    assert labels(far) == [0, 0]


def test_a_hidden_figure_has_no_record():
    errors = np.zeros((1, 2, 2))
    assert (
        annotate([Disc()], 5, np.zeros((8, 8), np.uint16), ("a", "b"), errors=errors, unlabelled=[False])
        == []
    )


def test_owner_map_matches_the_drawn_pixels():
    canvas = Canvas(np.zeros((20, 20, 3), np.uint8))
    square = to_fixed(np.array([[4.0, 4.0], [9.0, 4.0], [9.0, 7.0], [4.0, 7.0]]))
    canvas.fill(square, (255.0, 255.0, 255.0), owner_tag(3, 2))
    mask = owner_mask(canvas.owner, 3) > 0
    assert mask.sum() == 6 * 4 and mask[4:8, 4:10].all()
    assert (canvas.image[mask] == 255).all()
    assert run_lengths(mask)[:2] == [4 * 20 + 4, 4]


def test_a_crowd_is_nobody_of_many_people(coco18):
    """Owner numbers of 70 people and of the crowd stay apart."""
    settings = replace(SMALL, people=(70, 70), height=(0.05, 0.06), crowd=1.0, overlap=0, clutter=0, cut=0)
    for picture in annotations(settings, coco18, 3):
        assert max(a["area"] for a in people([picture])) < 96 * 96 * 0.06**2 * 2


def test_outlines_stay_within_half_a_pixel(coco18):
    """Thinned outlines cover what the figure's pixels do."""
    settings = replace(SMALL, picture_size=192, crowd=0, people=(2, 4))
    for record in people(annotations(settings, coco18, 20)):
        drawn = np.zeros((192, 192), np.uint8)
        for polygon in record["segmentation"]:
            corners = np.array(polygon).reshape(-1, 1, 2) - 0.5
            cv2.fillPoly(drawn, [np.rint(corners * 16).astype(np.int32)], (1,), shift=4)
        rim = sum(cv2.arcLength(np.float32(p).reshape(-1, 1, 2), True) for p in record["segmentation"])
        assert abs(int(drawn.sum()) - record["area"]) <= 0.75 * rim


@pytest.mark.parametrize("name", SKELETONS)
def test_every_shipped_skeleton_can_be_drawn(name):
    skeleton = Skeleton.from_config(skeleton_config(name))
    pictures = annotations(replace(SMALL, people=(1, 2)), skeleton, 12)
    v = np.array([a["keypoints"][2::3] for a in people(pictures)])
    assert v.shape[1] == len(skeleton.scored)
    assert ((v > 0).sum(0) > 0).all(), "every keypoint is labelled somewhere"


def test_a_made_up_animal_keeps_its_parts_apart():
    skeleton = Skeleton.from_config(ANIMAL)
    settings = replace(SMALL, people=(1, 1), cut=0, occlusion=0, clutter=0, crowd=0, unlabelled=0)
    points = np.array([p[0]["keypoints"] for p in annotations(settings, skeleton, 10)]).reshape(10, 4, 3)
    assert (points[..., 2] > 0).mean() > 0.95
    spread = np.linalg.norm(points[:, :, None, :2] - points[:, None, :, :2], axis=-1)
    assert np.median(spread[:, 1, 2]) > 5, "left and right horn apart"


def test_fingerprints(coco18):
    tree = Skeleton.from_config(skeleton_config("coco18"), "tree")
    ring = Skeleton.from_config(skeleton_config("toy5"), "ring")
    star = Skeleton.from_config(skeleton_config("toy5"), "star")
    assert dataset_fingerprint(SMALL, coco18) == dataset_fingerprint(SMALL, tree)
    assert dataset_fingerprint(SMALL, ring) != dataset_fingerprint(SMALL, star)
    assert dataset_fingerprint(SMALL, coco18) != dataset_fingerprint(replace(SMALL, crowd=0.4), coco18)


def test_nothing_is_drawn_twice(folder, coco18, monkeypatch):
    monkeypatch.setattr(writing, "_fill", lambda *_: pytest.fail("drew again"))
    assert write_dataset(folder, SMALL, skeleton=coco18) == folder


def test_interrupted_drawing_leaves_nothing(tmp_path, coco18, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "encode", fail)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path / "people", SMALL, skeleton=coco18, workers=1)
    assert list(tmp_path.iterdir()) == []
    assert (write_dataset(tmp_path / "people", SMALL, skeleton=coco18, workers=1) / MARKER).is_file()


def test_foreign_folders_are_left_alone(tmp_path, folder, coco18):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").write_bytes(b"x")
    with pytest.raises(PafposeError, match="holds something else"):
        write_dataset(tmp_path / "photos", SMALL, skeleton=coco18)
    assert (tmp_path / "photos" / "dear.jpg").read_bytes() == b"x"
    with pytest.raises(PafposeError, match="other settings"):
        write_dataset(folder, replace(SMALL, crowd=0.1), skeleton=coco18)


def test_the_loser_of_a_race_takes_the_winners_folder(tmp_path, coco18):
    root = write_dataset(tmp_path / "people", SMALL, skeleton=coco18, workers=1)
    late = tmp_path / "late"
    late.mkdir()
    writing._move(late, root, dataset_fingerprint(SMALL, coco18))
    with pytest.raises(OSError, match="not empty"):
        writing._move(late, root, "another")


def test_data_module_draws_on_first_use(tmp_path):
    size = ["data.train_count=6", "data.val_count=2", "data.picture_size=96", "data.num_workers=0"]
    cfg = load_config([f"data.root={tmp_path}", "data.generator_workers=1", "data.batch_size=2", *size])
    data = build_datamodule(cfg)
    assert not any(tmp_path.iterdir()), "nothing is drawn before prepare_data"
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape[:2] == (2, 3) and batch.keypoints.shape[2:] == (18, 3)
    assert len(data.val_ground_truth()["images"]) == 2
    data.prepare_data()
    assert len(list(tmp_path.iterdir())) == 1


def test_contact_sheet(folder, coco18):
    bare = contact_sheet(folder, coco18, count=5, columns=3)
    drawn = contact_sheet(folder, coco18, count=5, columns=3, overlay=True)
    assert bare.shape == drawn.shape == (2 * 96, 3 * 96, 3)
    assert (bare != drawn).any() and not bare[96:, 192:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": [3, 1]}, r"data\.people=\[3, 1\]: give \[lowest, highest\]"),
        ({"people": [-1, 1]}, "must not be negative"),
        ({"height": [0.0, 1]}, r"data\.height"),
        ({"overlap": 1.5}, r"data\.overlap=1\.5: is a share"),
        ({"clutter": -1}, r"data\.clutter"),
        ({"picture_size": 8}, r"data\.picture_size=8: must be at least 32"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(PafposeError, match=message):
        SyntheticSettings(**change)


def test_drawing_children_do_not_wait_for_threads_of_their_parent(tmp_path: Path, coco18: Skeleton) -> None:
    """OpenCV's thread pool, once used, must not hang the processes forked after it."""
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 0)  # starts the pool
    write_dataset(tmp_path / "set", SyntheticSettings(train_count=4, val_count=2), skeleton=coco18, workers=2)
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 6
