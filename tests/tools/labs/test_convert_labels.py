"""Labels written by sleap-io are converted to photos, annotations and a skeleton that train."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pafpose import factory
from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools.labs import labels as reading
from pafpose.tools.labs.convert import annotation, convert_labels, free_name
from pafpose.tools.labs.skeleton import joining_limbs, sides_by_name, skeleton_config

NAMES = ["head", "thorax", "wingL", "wingR"]
FLY = np.array([[20, 10], [20, 20], [12, 26], [28, 26]], float)


def make_labels(folder: Path, *, frames: int = 4, **more) -> Path:
    """Write grey pictures of two flies each, and labels in a .slp beside them."""
    sio = pytest.importorskip("sleap_io", reason="sleap-io, extra labs")
    (folder / "pictures").mkdir(parents=True)
    names = []
    for n in range(frames):
        file = folder / "pictures" / f"{n}.png"
        cv2.imwrite(str(file), np.full((64, 96, 3), 40 * n + 10, np.uint8))
        names.append(str(file))
    skeleton = sio.Skeleton(list(NAMES), edges=[("head", "thorax"), ("thorax", "wingL")], name="fly", **more)
    video = sio.load_video(names)
    labelled = []
    for n in range(frames):
        missing = FLY.copy()
        missing[0] = np.nan
        animals = [
            sio.Instance.from_numpy(p, skeleton=skeleton) for p in (FLY + n, missing + np.array([50, 10]))
        ]
        labelled.append(sio.LabeledFrame(video=video, frame_idx=n, instances=animals))
    path = folder / "flies.v1.slp"
    sio.Labels(labelled).save(str(path), embed=False, verbose=False)
    return path


def converted(labels: Path, tmp_path: Path, *overrides: str) -> Path:
    typed = [f"labels={labels}", f"output={tmp_path / 'out'}", f"paths.output_dir={tmp_path}", *overrides]
    return convert_labels(load_config(typed, name="convert"))


def test_pictures_and_animals_arrive(tmp_path):
    out = converted(make_labels(tmp_path / "lab"), tmp_path)
    content = json.loads((out / "annotations.json").read_text())
    assert [photo["width"] for photo in content["images"]] == [96] * 4
    assert len(content["annotations"]) == 8 and content["categories"][0]["keypoints"] == NAMES
    photo = content["images"][2]
    assert (out / "images" / photo["file_name"]).read_bytes() == (
        tmp_path / "lab/pictures/2.png"
    ).read_bytes()
    first, second = [a for a in content["annotations"] if a["image_id"] == photo["id"]]
    assert first["keypoints"][:3] == [22, 12, 2] and first["num_keypoints"] == 4
    assert second["keypoints"][:3] == [0, 0, 0] and second["keypoints"][3:6] == [70, 30, 2]


def test_what_was_written_trains_as_the_log_says(tmp_path):
    """``--config-dir DIR data=NAME``, with the skeleton of the labels."""
    out = converted(make_labels(tmp_path / "lab"), tmp_path)
    yaml = load_yaml(out / "skeleton" / "flies.yaml")
    assert yaml["pairs"] == [["wingL", "wingR"]] and yaml["sigmas"] == [0.05] * 4
    assert yaml["limb_sets"]["labels"] == [["head", "thorax"], ["thorax", "wingL"], ["thorax", "wingR"]]
    config = load_config(["hydra.searchpath=[" + str(out) + "]", "data=flies", "data.index_cache=null"])
    data = factory.build_datamodule(config)
    data.setup("fit")
    assert data.skeleton.name == "flies" and len(data.train_index) == 3
    assert sorted(np.unique(data.train_index.keypoints[..., 2])) == [0, 2]


def load_yaml(path: Path):
    import yaml

    return yaml.safe_load(path.read_text())


def test_pictures_in_the_file_of_the_labels(tmp_path):
    """A package of SLEAP holds its pictures."""
    sio = pytest.importorskip("sleap_io", reason="sleap-io, extra labs")

    source = make_labels(tmp_path / "lab")
    package = tmp_path / "flies.pkg.slp"
    sio.load_slp(str(source)).save(str(package), embed="user", verbose=False)
    (tmp_path / "lab").rename(tmp_path / "gone")
    out = converted(package, tmp_path)
    content = json.loads((out / "annotations.json").read_text())
    pictures = [cv2.imread(str(out / "images" / photo["file_name"])) for photo in content["images"]]
    assert [int(picture.mean()) for picture in pictures] == [10, 50, 90, 130]


def test_frames_of_a_video_are_those_that_were_labelled(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="sleap-io, extra labs")
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for n in range(6):
        writer.write(np.full((64, 96, 3), 40 * n + 10, np.uint8))
    writer.release()
    skeleton = sio.Skeleton(list(NAMES), edges=[("head", "thorax")])
    fly = sio.Instance.from_numpy(FLY, skeleton=skeleton)
    frames = [sio.LabeledFrame(video=sio.load_video(str(film)), frame_idx=n, instances=[fly]) for n in (4, 1)]
    sio.Labels(frames).save(str(tmp_path / "film.slp"), embed=False, verbose=False)
    out = converted(tmp_path / "film.slp", tmp_path)
    pictures = {file.name: cv2.imread(str(file)).mean() for file in (out / "images").rglob("*.png")}
    assert pictures == {"000001.png": pytest.approx(50, abs=3), "000004.png": pytest.approx(170, abs=3)}
    film.write_bytes(film.read_bytes()[:100])
    (tmp_path / "again").mkdir()
    with pytest.raises(PafposeError, match=r"film\.slp: (its video|frame).*film\.avi"):
        converted(tmp_path / "film.slp", tmp_path / "again")


def test_a_missing_video_is_named(tmp_path):
    labels = make_labels(tmp_path / "lab")
    (tmp_path / "lab/pictures").rename(tmp_path / "elsewhere")
    with pytest.raises(PafposeError, match=r"0\.png.*not there: looked for .*videos=FOLDER"):
        converted(labels, tmp_path)
    assert not (tmp_path / "out").exists()
    assert converted(labels, tmp_path, f"videos={tmp_path / 'elsewhere'}").is_dir()


def test_pictures_outside_are_refused(tmp_path):
    labels = make_labels(tmp_path / "far")
    (tmp_path / "near").mkdir()
    moved = labels.rename(tmp_path / "near" / labels.name)
    with pytest.raises(PafposeError, match=r"outside of .*near.*allow_outside=true"):
        converted(moved, tmp_path)
    assert converted(moved, tmp_path, "allow_outside=true").is_dir()


def test_pictures_of_too_many_pixels_are_refused(tmp_path):
    with pytest.raises(PafposeError, match="max_pixels=100"):
        converted(make_labels(tmp_path / "lab"), tmp_path, "max_pixels=100")


def test_labels_that_cannot_be_used(tmp_path, monkeypatch):
    pytest.importorskip("sleap_io", reason="sleap-io, extra labs")
    import h5py  # which sleap-io brings

    labels = make_labels(tmp_path / "lab")
    with pytest.raises(PafposeError, match="no such file"):
        converted(tmp_path / "nothing.slp", tmp_path)
    (tmp_path / "damaged.slp").write_bytes(b"no labels")
    with pytest.raises(PafposeError, match=r"damaged.slp: sleap-io .* cannot read it .*pip install -U"):
        converted(tmp_path / "damaged.slp", tmp_path)
    with h5py.File(labels, "r+") as file:
        file["metadata"].attrs["format_id"] = 99.0
    with pytest.raises(PafposeError, match=r"cannot read it .*format 99.*pip install -U"):
        converted(labels, tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(PafposeError, match="exists already"):
        converted(labels, tmp_path)


def test_predictions_are_no_labels(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="sleap-io, extra labs")
    labels = sio.load_slp(str(make_labels(tmp_path / "lab")))
    for frame in labels:
        frame.instances = [
            sio.PredictedInstance.from_numpy(one.numpy(), skeleton=one.skeleton) for one in frame.instances
        ]
    labels.save(str(tmp_path / "lab/predicted.slp"), embed=False, verbose=False)
    with pytest.raises(PafposeError, match="nobody labelled an animal in its 4 frames"):
        converted(tmp_path / "lab/predicted.slp", tmp_path)


def test_without_sleap_io_the_install_line_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sleap_io", None)
    with pytest.raises(PafposeError, match=r'pip install "pafpose\[labs\]"'):
        reading.read_labels(tmp_path / "x.slp")


def test_pairs_by_name():
    assert sides_by_name(["a", "legL4", "legR4", "left_eye", "right_eye", "Lip", "l_ear", "r_ear"]) == [
        (1, 2), (3, 4), (6, 7),
    ]  # fmt: skip
    assert sides_by_name(["tail", "tair", "nose"]) == []


def test_keypoints_without_edges_are_joined_by_the_shortest_limbs():
    line = np.array([[[0, 0], [30, 0], [10, 0], [20, 0]]], float)
    assert sorted(joining_limbs([], line)) == [(0, 2), (1, 3), (2, 3)]
    assert sorted(joining_limbs([(0, 1)], line)) == [(0, 2), (1, 3)]
    assert joining_limbs([(0, 1), (1, 2), (2, 3)], line) == []
    never_together = np.array([[[0, 0], [np.nan] * 2], [[np.nan] * 2, [5, 5]]], float)
    assert joining_limbs([], never_together) == [(0, 1)]


def test_a_skeleton_needs_two_keypoints_and_gets_mirrored_limbs():
    with pytest.raises(PafposeError, match="a limb joins two"):
        skeleton_config("dot", ["a"], [], [], np.zeros((1, 1, 2)))
    config = skeleton_config("fly", NAMES, [(0, 1), (1, 2), (2, 3)], [(2, 3)], FLY[None])
    assert config["limb_sets"]["labels"] == [
        ["head", "thorax"], ["thorax", "wingL"], ["thorax", "wingR"], ["wingL", "wingR"],
    ]  # fmt: skip
    assert Skeleton.from_config(config).flip_limbs == ((0, 2, 1, 3), (False, False, False, True))


def test_animals_of_two_skeletons_are_refused(tmp_path):
    sio = pytest.importorskip("sleap_io", reason="sleap-io, extra labs")
    labels = sio.load_slp(str(make_labels(tmp_path / "lab")))
    other = sio.Skeleton(["a", "b"], edges=[("a", "b")], name="other")
    labels[0].instances.append(sio.Instance.from_numpy(FLY[:2], skeleton=other))
    labels.update()
    labels.save(str(tmp_path / "lab/two.slp"), embed=False, verbose=False)
    with pytest.raises(PafposeError, match="its animals have 2 skeletons"):
        converted(tmp_path / "lab/two.slp", tmp_path)


def test_boxes_have_an_area_and_stay_in_the_photo():
    person = annotation(np.array([[10, 5], [30, 5], [np.nan, np.nan]]), 50, 32)
    assert person["bbox"] == [8.5, 3.5, 23.5, 4] and person["area"] == 94
    assert person["num_keypoints"] == 2


def test_names_do_not_hide_our_own_configs(tmp_path):
    assert free_name(Path("coco.slp")) == "coco_labels"
    assert free_name(Path("My Mice-2.v3.slp")) == "my_mice_2"
