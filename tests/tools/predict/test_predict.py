"""predict() finds people in photos and videos, draws them, and writes COCO json and CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.runtime.signals import Interrupted
from pafpose.tools.predict import predict as module
from pafpose.tools.predict.read_video import Video
from tests.known_people import PEOPLE, SIZES
from tests.tools.predict.conftest import Run, write_clip


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "predictions.json").read_text())


def test_people_overlays_and_json(run: Run, photos: Path, tmp_path: Path) -> None:
    summary = run(tmp_path)
    assert (summary.frames, summary.people, summary.left_out) == (3, 3, [])
    result, paths = read(tmp_path), sorted(photos.iterdir())
    assert [image["file_name"] for image in result["images"]] == [path.name for path in paths]
    assert [(image["width"], image["height"]) for image in result["images"]] == list(SIZES.values())
    for number, (path, image_id) in enumerate(zip(paths, SIZES, strict=True), start=1):
        drawn, photo = load_image(tmp_path / "images" / path.name), load_image(path)
        assert drawn.shape == photo.shape and bool((drawn != photo).any()) == bool(PEOPLE[image_id])
        found = [person for person in result["annotations"] if person["image_id"] == number]
        for person, xy in zip(sorted(found, key=lambda p: p["bbox"]), PEOPLE[image_id], strict=True):
            points = np.array(person["keypoints"]).reshape(-1, 3)
            assert np.abs(points[:, :2] - xy).mean() < 1 and (points[:, 2] > 0).all()
            corner, size = points[:, :2].min(0), np.ptp(points[:, :2], axis=0)
            np.testing.assert_allclose(person["bbox"], [*corner, *size], atol=2e-3)
            assert person["area"] == person["bbox"][2] * person["bbox"][3]
            assert (person["num_keypoints"], person["iscrowd"]) == (17, 0)
    assert [person["id"] for person in result["annotations"]] == [1, 2, 3]


def test_pycocotools_reads_the_json(run: Run, tmp_path: Path, coco18) -> None:
    run(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "predictions.json"))
    names = coco.cats[1]["keypoints"]
    assert names == [coco18.keypoints[k] for k in coco18.scored]
    limbs = {(names[a - 1], names[b - 1]) for a, b in coco.cats[1]["skeleton"]}
    assert ("left_hip", "left_knee") in limbs and not any("neck" in limb for limb in limbs)


def test_the_table_has_a_row_for_each_person(run: Run, tmp_path: Path) -> None:
    run(tmp_path)
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    people = read(tmp_path)["annotations"]
    assert [(row["file_name"][-7:-4], row["person"], row["frame"]) for row in rows] == [
        ("101", "1", ""), ("101", "2", ""), ("102", "1", "")
    ]  # fmt: skip
    for row, person in zip(rows, people, strict=True):
        assert float(row["score"]) == pytest.approx(person["score"], abs=1e-4)
        assert [float(row[key]) for key in ("x", "y", "width", "height")] == person["bbox"]
        nose = [float(row[f"nose_{part}"]) for part in ("x", "y", "confidence")]
        assert nose == person["keypoints"][:3]


def test_low_scores_are_not_drawn_but_kept(run: Run, photos: Path, tmp_path: Path, caplog) -> None:
    run(tmp_path / "all", "drawn_score=0")
    everybody = read(tmp_path / "all")
    low, high = sorted(a["score"] for a in everybody["annotations"] if a["image_id"] == 1)
    assert 0 < low < high <= 1
    with caplog.at_level("INFO"):
        summary = run(tmp_path / "best", f"drawn_score={(low + high) / 2}")
    expected = sum(a["score"] >= (low + high) / 2 for a in everybody["annotations"])
    assert 0 < summary.drawn == expected < summary.people
    assert f"{expected} drawn of {len(everybody['annotations'])} found" in caplog.text
    assert read(tmp_path / "best") == everybody
    name = f"{101:012d}.png"
    both, one = (load_image(tmp_path / folder / "images" / name) for folder in ("all", "best"))
    photo = load_image(photos / name)
    assert (both != photo).sum() > 1.5 * (one != photo).sum() > 0


@pytest.mark.parametrize(
    "choice", ["drawn_score=2", "draw=lines", "colours=red", "background=white", "batch_size=0"]
)
def test_choices_that_do_not_exist(run: Run, tmp_path: Path, choice: str) -> None:
    with pytest.raises(PafposeError, match=choice):
        run(tmp_path, choice)


def test_folders_within_folders_keep_their_names(run: Run, photos: Path, tmp_path: Path, caplog) -> None:
    source = tmp_path / "in"
    for folder in ("a", "b/c"):
        shutil.copytree(photos, source / folder)
    (source / "notes.txt").write_text("no picture")
    with caplog.at_level("INFO"):
        summary = run(tmp_path / "out", f"source={source}")
    assert (summary.frames, summary.people, summary.skipped) == (6, 6, 1)
    names = [image["file_name"] for image in read(tmp_path / "out")["images"]]
    assert names == sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    drawn = tmp_path / "out" / "images"
    assert sorted(path.relative_to(drawn).as_posix() for path in drawn.rglob("*.png")) == names
    assert f"skipped: {source / 'notes.txt'}" in caplog.text and "1 files that are neither" in caplog.text


def test_a_bad_photo_costs_that_photo_alone(run: Run, photos: Path, tmp_path: Path, caplog) -> None:
    """In the middle of good ones; and whatever ends the command leaves what was found until then."""
    folder = tmp_path / "mixed"
    shutil.copytree(photos, folder)
    good = sorted(path.name for path in folder.iterdir())
    whole = (folder / good[0]).read_bytes()
    bad = {"0a.jpg": b"", "0b.png": b"text", f"{good[0][:-4]}x.png": whole[: len(whole) // 2]}
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    summary = run(tmp_path / "out", f"source={folder}", "batch_size=2")
    result = read(tmp_path / "out")
    assert [image["file_name"] for image in result["images"]] == good
    assert sorted(photo["file_name"] for photo in result["left_out"]) == sorted(bad)
    assert summary.left_out == result["left_out"] and summary.people == 3
    assert "3 photos or videos that cannot be read" in caplog.text
    for name in good:
        (folder / name).unlink()
    with pytest.raises(PafposeError, match="nothing in it can be read"):
        run(tmp_path / "none", f"source={folder}")


def test_an_interrupted_command_goes_on_where_it_stopped(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    run(whole, "batch_size=1")
    shown: list[str] = []

    def interrupt(found: Any, *arguments: Any) -> Any:
        shown.append(found.frame.source)
        if len(shown) == 3:
            raise Interrupted(signal.SIGTERM)
        return draw(found, *arguments)

    draw = module.draw_overlay
    monkeypatch.setattr(module, "draw_overlay", interrupt)
    folder = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(folder, "batch_size=1")
    half = read(folder)
    assert half["images"] == read(whole)["images"][:2]
    assert sorted(path.name for path in folder.rglob("*.png")) == shown[:2]
    monkeypatch.setattr(module, "draw_overlay", draw)
    stamp = (folder / "images" / shown[0]).stat().st_mtime_ns
    journal = folder / "predictions.jsonl"
    journal.write_text(journal.read_text() + '{"file_name": "cut')  # as a kill leaves it
    again = run(folder, "batch_size=1")
    assert again.frames == 1 and (folder / "images" / shown[0]).stat().st_mtime_ns == stamp
    for name in ("predictions.json", "people.csv", "predictions.jsonl"):
        assert (folder / name).read_text().splitlines()[1:] == (whole / name).read_text().splitlines()[1:]
    with pytest.raises(PafposeError, match="overwrite=true"):
        run(folder, "batch_size=1", "drawn_score=0.3")


@pytest.mark.parametrize("name", ["known.ckpt", "model/model.safetensors"])
def test_other_weights_do_not_go_on(run: Run, tmp_path: Path, name: str) -> None:
    weights = tmp_path / name
    weights.parent.mkdir(exist_ok=True)
    (weights.parent / "config.json").write_text("{}")
    weights.write_bytes(b"weights")
    given = f"ckpt_path={weights.parent if weights.suffix == '.safetensors' else weights}"
    run(tmp_path / "out", given)
    assert run(tmp_path / "out", given).frames == 0
    weights.write_bytes(b"better weights")
    with pytest.raises(PafposeError, match="another checkpoint"):
        run(tmp_path / "out", given)


def test_new_photos_of_a_folder_are_added(run: Run, photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(photos, source)
    late = source / f"{101:012d}.png"
    content = late.read_bytes()
    late.unlink()
    (source / "bad.png").write_bytes(b"no picture")
    first = run(tmp_path / "out", f"source={source}")
    late.write_bytes(content)
    (source / "bad.png").write_bytes(content)
    second = run(tmp_path / "out", f"source={source}")
    assert (first.frames, len(first.left_out), second.frames, second.left_out) == (2, 1, 2, [])
    assert len(read(tmp_path / "out")["annotations"]) == 5


def test_pictures_may_be_left_undrawn(run: Run, tmp_path: Path) -> None:
    run(tmp_path, "draw=none")
    assert not list(tmp_path.rglob("*.png")) and not (tmp_path / "images").exists()
    assert {image["overlay"] for image in read(tmp_path)["images"]} == {None}


def test_black_shows_nothing_of_the_photo(run: Run, photos: Path, tmp_path: Path) -> None:
    for draw in ("skeleton", "fields", "both"):
        run(tmp_path / draw, "background=black", f"draw={draw}")
        images = {n: load_image(tmp_path / draw / "images" / f"{n:012d}.png") for n in SIZES}
        assert not images[103].any()  # a photo without people
        assert 0 < images[101].any(-1).mean() < 0.7


def test_a_videos_people_come_with_their_frames(run: Run, photos: Path, tmp_path: Path) -> None:
    images = {n: load_image(photos / f"{n:012d}.png") for n in (101, 102)}
    clip = write_clip(tmp_path / "clip.avi", [images[101]] * 5, rate=10)
    summary = run(tmp_path / "out", f"source={clip}", "batch_size=2")
    assert (summary.frames, summary.people, summary.left_out) == (5, 10, [])
    result = read(tmp_path / "out")
    assert [(image["frame"], image["seconds"]) for image in result["images"]] == [
        (n, n / 10) for n in range(5)
    ]
    assert {image["overlay"] for image in result["images"]} == {"videos/clip.mp4"}
    for person in result["annotations"]:
        points = np.array(person["keypoints"]).reshape(-1, 3)[:, :2]
        assert min(np.abs(points - xy).mean() for xy in PEOPLE[101]) < 1
    rows = (tmp_path / "out" / "people.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:4] for row in rows[:3]] == [
        ["clip.avi", "0", "0.0", "1"], ["clip.avi", "0", "0.0", "2"], ["clip.avi", "1", "0.1", "1"]
    ]  # fmt: skip
    assert [row.split(",")[4] for row in rows] == ["1", "2"] * 5
    assert [person["track_id"] for person in result["annotations"]] == [1, 2] * 5
    drawn = list(Video(tmp_path / "out" / "videos" / "clip.mp4", "clip"))
    difference = np.abs(drawn[4].image.astype(int) - images[101]).max(-1) > 60
    assert len(drawn) == 5 and drawn[0].image.shape == images[101].shape and 200 < difference.sum() < 20_000


def test_ids_are_for_videos_and_can_be_turned_off(run: Run, photos: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [load_image(photos / f"{101:012d}.png")] * 2)
    run(tmp_path / "photos")
    run(tmp_path / "off", f"source={clip}", "track.ids=false")
    for folder in ("photos", "off"):
        assert not any("track_id" in person for person in read(tmp_path / folder)["annotations"])
    with pytest.raises(PafposeError, match=r"track.max_missing=-1"):
        run(tmp_path / "bad", "track.max_missing=-1")


def test_a_video_that_is_cut_off_keeps_what_came_before(run: Run, photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    image = load_image(photos / f"{101:012d}.png")
    clip = write_clip(source / "b.avi", [image] * 20)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    write_clip(source / "c.avi", [image] * 2)
    (source / "a.mp4").write_bytes(b"no video")
    summary = run(tmp_path / "out", f"source={source}")
    assert [fault["file_name"] for fault in summary.left_out] == ["a.mp4", "b.avi"]
    assert "cannot be read as a video" in summary.left_out[0]["reason"]
    assert "ends too early, after" in summary.left_out[1]["reason"]
    frames = [image["file_name"] for image in read(tmp_path / "out")["images"]]
    assert frames.count("c.avi") == 2 and 5 < frames.count("b.avi") < 12
    assert len(list(Video(tmp_path / "out" / "videos" / "b.mp4", "b"))) == frames.count("b.avi")
    again = run(tmp_path / "out", f"source={source}")
    assert again.frames == 0 and len(again.left_out) == 2  # and is not read again


def test_an_interrupted_video_is_begun_anew(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.avi", [load_image(photos / f"{102:012d}.png")] * 12)

    def interrupt(found: Any, *arguments: Any) -> Any:
        if found.frame.number == 10:
            raise Interrupted(signal.SIGTERM)
        return draw(found, *arguments)

    draw = module.draw_overlay
    monkeypatch.setattr(module, "draw_overlay", interrupt)
    with pytest.raises(Interrupted):
        run(tmp_path / "out", f"source={clip}")
    assert not list((tmp_path / "out").rglob("*.mp4"))
    assert 0 < len(read(tmp_path / "out")["images"]) < 12
    monkeypatch.setattr(module, "draw_overlay", draw)
    run(tmp_path / "out", f"source={clip}")
    assert [image["frame"] for image in read(tmp_path / "out")["images"]] == [*range(12)]


def test_a_camera_ends_with_ctrl_c_and_keeps_what_it_saw(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = cv2.imread(str(photos / f"{102:012d}.png"))

    class Camera:
        """What OpenCV opens for a number."""

        shown = 0

        def __init__(self, number: int) -> None:
            assert number == 0

        def isOpened(self) -> bool:
            return True

        def get(self, key: int) -> float:
            return 30.0 if key == cv2.CAP_PROP_FPS else -1.0

        def read(self) -> tuple[bool, np.ndarray]:
            Camera.shown += 1
            if Camera.shown == 8:
                raise Interrupted(signal.SIGINT)
            return True, picture

        def release(self) -> None:
            pass

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr("pafpose.tools.predict.write_video.find_spec", lambda name: "av")
    pytest.importorskip("av")
    summary = run(tmp_path / "out", "source=0")
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    assert summary.left_out == [] and summary.frames >= 4
    drawn = list(Video(tmp_path / "out" / "videos" / "camera0.mp4", "camera"))
    assert len(drawn) == summary.frames == len(read(tmp_path / "out")["images"])


def test_a_camera_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="camera 97 cannot be opened"):
        run(tmp_path, "source=97")


def test_names_from_standard_input(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(map(str, photos.iterdir()))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{names[0]}\n\n{photos / 'gone.png'}\n{names[1]}\n"))
    summary = run(tmp_path, "source=-")
    assert summary.frames == 2 and summary.left_out[0]["file_name"].endswith("gone.png")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_leaves_finished_pictures(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{102:012d}.part.png").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, "batch_size=1")
    names = [path.name for path in (tmp_path / "images").iterdir()]
    assert f"{101:012d}.png" in names and f"{102:012d}.png" not in names
    assert [image["file_name"] for image in read(tmp_path)["images"]] == [f"{101:012d}.png"]
