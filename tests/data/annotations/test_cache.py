"""Cached indices equal what was read, and are made again when they are outdated or damaged."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pafpose.data.annotations import cache
from pafpose.data.annotations.cache import load, open_index, save
from pafpose.data.annotations.index import PoseIndex
from tests.conftest import skeleton_config
from tests.data.coco_files import person, read_split, six_points, write_split

POLYGON = [12.5, 20.1, 50.3, 22.0, 48.0, 75.9, 15.2, 70.0]


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "MIN_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture
def annotations(tmp_path) -> Path:
    people = [
        person(six_points(20, 30), box=(10, 20, 50, 60), segmentation=[POLYGON]),
        person(six_points(40, 30), box=(30, 20, 50, 60)),
    ]
    photos = [(np.zeros((90, 120, 3), np.uint8), people[:n]) for n in (2, 0, 1)]
    return write_split(tmp_path / "set", photos)


def opened(annotations: Path, skeleton, *, where: str | None = "auto", reads: list | None = None):
    def read() -> PoseIndex:
        if reads is not None:
            reads.append(1)
        return read_split(annotations, photos, skeleton)

    photos = annotations.parent.parent / "train2017"
    return open_index(annotations, photos, skeleton, read=read, cache=where)


def assert_same(one: PoseIndex, other: PoseIndex) -> None:
    for field in fields(PoseIndex):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name
        assert not isinstance(a, np.ndarray) or a.dtype == b.dtype, field.name


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.is_dir() else []


def test_the_second_time_the_cache_gives_an_equal_index(annotations, coco18):
    reads: list[int] = []
    first = opened(annotations, coco18, reads=reads)
    second = opened(annotations, coco18, reads=reads)
    assert len(reads) == 1
    assert_same(first, second)
    assert_same(second, read_split(annotations, first.folder, coco18))
    assert second.has_mask().tolist() == [True, False, True]
    assert len(files(annotations.parent / ".pafpose")) == 1


def test_other_contents_and_skeletons_are_read_again(annotations, coco18):
    from pafpose.skeleton import Skeleton

    reads: list[int] = []
    opened(annotations, coco18, reads=reads)
    coco17 = Skeleton.from_config(skeleton_config("coco17"))
    assert opened(annotations, coco17, reads=reads).keypoints.shape[1] == 17
    assert len(reads) == 2 and len(files(annotations.parent / ".pafpose")) == 2
    stamp = annotations.stat()
    content = json.loads(annotations.read_text())
    content["annotations"][0]["keypoints"][0] += 1
    annotations.write_text(json.dumps(content))
    os.utime(annotations, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # content counts, dates do not
    assert opened(annotations, coco18, reads=reads).keypoints[0, 0, 0] == 21
    assert len(reads) == 3 and len(files(annotations.parent / ".pafpose")) == 1, "stale ones are gone"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:40],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: flip_bit(data, data.index(b"keypoints.npy") + 300),  # in the array itself
        lambda data: b"pafpose index 0\n" + data[16:],
        lambda data: data.replace(b"keypoints", b"keypointz"),
        lambda data: pickled(),
    ],
)
def test_a_damaged_cache_is_made_again(annotations, coco18, damage, caplog):
    whole = opened(annotations, coco18)
    (file,) = files(annotations.parent / ".pafpose")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(damage(content))
    with caplog.at_level(logging.WARNING):
        assert_same(opened(annotations, coco18), whole)
    assert "not a usable cache" in caplog.text
    index = load(file, whole.folder)
    assert index is not None
    assert_same(index, whole)


def flip_bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def pickled() -> bytes:
    """A cache file that would run code if pickles were read."""
    file = io.BytesIO()
    np.savez(file, **{key: np.array([{}], object) for key in cache._ARRAYS})
    return file.getvalue()


def test_an_interrupted_write_leaves_nothing(annotations, coco18, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    folder = annotations.parent / ".pafpose"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            opened(annotations, coco18)
    assert files(folder) == []


def test_what_a_killed_writer_left_is_never_opened_and_removed_when_old(annotations, coco18):
    code = f"""
import os, pathlib
from pafpose.data.annotations import cache
from tests.conftest import skeleton_config
from pafpose.skeleton import Skeleton
from tests.data.annotations.test_cache import opened
cache.MIN_BYTES = 1
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)
opened(pathlib.Path({str(annotations)!r}), Skeleton.from_config(skeleton_config("coco18")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    (left,) = files(annotations.parent / ".pafpose")
    assert left.suffix == ".unfinished"
    reads: list[int] = []
    assert len(opened(annotations, coco18, reads=reads)) == 3 and reads == [1]
    assert left.exists(), "its writer may still be at work"
    os.utime(left, (time.time() - 7200,) * 2)
    content = json.loads(annotations.read_text())
    content["annotations"][0]["keypoints"][0] += 1
    annotations.write_text(json.dumps(content))
    opened(annotations, coco18)
    assert [path.suffix for path in files(left.parent)] == [".npz"]


def test_folders_that_cannot_be_written_are_passed_over(annotations, coco18, tmp_path, caplog):
    (annotations.parent / ".pafpose").write_text("a file in the way, as good as a read-only folder")
    reads: list[int] = []
    for _ in range(2):
        opened(annotations, coco18, reads=reads)
    assert len(reads) == 1 and len(files(tmp_path / "user" / "pafpose" / "index")) == 1
    for path in files(tmp_path / "user" / "pafpose" / "index"):
        path.unlink()
    (tmp_path / "user" / "pafpose" / "index").rmdir()
    (tmp_path / "user" / "pafpose" / "index").write_text("in the way too")
    with caplog.at_level(logging.WARNING):
        assert len(opened(annotations, coco18)) == 3
    assert sum("no cache can be written" in line for line in caplog.messages) == 1


def test_no_cache_a_chosen_folder_and_small_files(annotations, coco18, tmp_path, monkeypatch):
    opened(annotations, coco18, where=None)
    assert not (annotations.parent / ".pafpose").exists()
    opened(annotations, coco18, where=str(tmp_path / "mine"))
    assert len(files(tmp_path / "mine")) == 1
    monkeypatch.setattr(cache, "MIN_BYTES", 1 << 20)
    opened(annotations, coco18)
    assert not (annotations.parent / ".pafpose").exists()


def test_an_index_with_sizes_read_from_photos_is_not_cached(annotations, coco18):
    content = json.loads(annotations.read_text())
    del content["images"][0]["width"]
    annotations.write_text(json.dumps(content))
    assert opened(annotations, coco18).size(0) == (90, 120)
    assert not (annotations.parent / ".pafpose").exists()


def test_an_index_without_people_is_cached_too(tmp_path, coco18):
    file = write_split(tmp_path / "empty", [(np.zeros((8, 8, 3), np.uint8), [])])
    index = read_split(file, file.parent, coco18)
    save(index, tmp_path / "a.0.0.npz")
    assert_same(load(tmp_path / "a.0.0.npz", file.parent), index)


OPEN = """
import resource, sys, time
from pathlib import Path
from pafpose.data.annotations.cache import open_index
from pafpose.skeleton import Skeleton
from tests.conftest import skeleton_config
skeleton = Skeleton.from_config(skeleton_config("coco18"))
file = Path(sys.argv[1])
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
before, start = memory(), time.perf_counter()
index = open_index(file, file.parent, skeleton, read=lambda: sys.exit("read again"), cache="auto")
assert index.keypoints.sum() > 0 and index.mask_bytes.sum() > 0 and index.boxes.sum() > 0
print(time.perf_counter() - start, memory() - before)
"""


@pytest.mark.slow
def test_a_set_of_cocos_size_opens_quickly_and_is_small(tmp_path, coco18):
    """64,115 photos with 262,465 people, 30-point outlines: COCO's training people."""
    rng = np.random.default_rng(0)
    outline = np.stack([np.cos(np.linspace(0, 6.2, 30)), np.sin(np.linspace(0, 6.2, 30))], -1)
    file = write_split(tmp_path, [(np.zeros((8, 8, 3), np.uint8), [])])
    content = json.loads(file.read_text())
    content["images"] = [
        {"id": n, "file_name": f"{n:012d}.jpg", "height": 480, "width": 640} for n in range(64115)
    ]
    for n in range(262465):
        x, y, w, h = (float(v) for v in rng.uniform((150, 150, 30, 60), (450, 300, 100, 200)))
        shape = (outline * (w / 2, h / 2) + (x, y)).round(2).ravel().tolist()
        record = person(six_points(x, y), box=(x - w / 2, y - h / 2, w, h), segmentation=[shape])
        content["annotations"].append({"id": n + 1, "image_id": n % 64115} | record)
    file.write_text(json.dumps(content))
    del content
    start = time.perf_counter()
    opened(file, coco18)
    print(f"indexing {file.stat().st_size / 2**20:.0f} MB took {time.perf_counter() - start:.1f} s")
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(file)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    seconds, megabytes = (float(v) for v in done.stdout.split())
    print(f"opening: {seconds:.2f} s, {megabytes:.0f} MB")
    assert seconds < 5 and megabytes < 200
