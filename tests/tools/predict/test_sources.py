"""What source= may name, and the names that results have."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pafpose.errors import PafposeError
from pafpose.tools.predict.sources import find_sources, overlay_names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = "b.jpg a.PNG notes.txt sub/b.jpg sub/deep/c.webp clip.MP4 .hidden/d.jpg .e.jpg sub/.f.png"
    for name in files.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_with_its_subfolders(folder: Path) -> None:
    found = find_sources(folder)
    assert [photo.name for photo in found.photos] == ["a.PNG", "b.jpg", "sub/b.jpg", "sub/deep/c.webp"]
    assert [video.name for video in found.videos] == ["clip.MP4"]
    assert found.skipped == [folder / "notes.txt"]
    assert [photo.overlay for photo in found.photos] == [
        "images/a.png", "images/b.png", "images/sub/b.png", "images/sub/deep/c.png"
    ]  # fmt: skip
    assert found.videos[0].overlay == "videos/clip.mp4"
    assert [str(photo.path) for photo in find_sources("sub").photos] == ["sub/b.jpg", "sub/deep/c.webp"]


def test_the_output_folder_is_no_source(folder: Path) -> None:
    found = find_sources(".", leave_out=folder / "sub")
    assert [photo.name for photo in found.photos] == ["a.PNG", "b.jpg"]


def test_globs_and_single_files(folder: Path) -> None:
    assert [photo.name for photo in find_sources("*.jpg").photos] == ["b.jpg"]
    assert [photo.name for photo in find_sources(folder / "**" / "*.jpg").photos] == ["b.jpg", "sub/b.jpg"]
    assert [photo.name for photo in find_sources("sub/b.jpg").photos] == ["b.jpg"]
    assert find_sources("clip.MP4").videos[0].name == "clip.MP4"
    assert find_sources("notes.txt").photos[0].name == "notes.txt"  # named by itself, so it is tried
    assert find_sources("*").skipped == [Path("notes.txt")]
    (folder / "odd [1].jpg").write_bytes(b"x")
    assert [photo.name for photo in find_sources("odd [1].jpg").photos] == ["odd [1].jpg"]


@pytest.mark.parametrize("number", [2024, "2024"])
def test_a_number_is_a_camera_unless_it_is_a_name(folder: Path, number: object) -> None:
    assert find_sources(number).camera == 2024 and not find_sources(number).photos
    (folder / "sub").rename(folder / "2024")
    assert [photo.name for photo in find_sources(number).photos] == ["b.jpg", "deep/c.webp"]


def test_a_list_on_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"sub/b.jpg\n\n{folder / 'b.jpg'}\nsub/b.jpg\nnone.jpg\nclip.MP4\nsub/deep\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    found = find_sources("-")
    assert [photo.name for photo in found.photos] == ["sub/b.jpg", "b.jpg", "sub/deep/c.webp"]
    assert [video.name for video in found.videos] == ["clip.MP4"] and found.missing == ["none.jpg"]
    monkeypatch.setattr("sys.stdin", io.StringIO("none.jpg\n"))
    with pytest.raises(PafposeError, match="standard input"):
        find_sources("-")


@pytest.mark.parametrize("nothing", [None, "", "none", "*.gif", "empty", "-1"])
def test_nothing_to_look_at(folder: Path, nothing: str | None) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(PafposeError, match="source"):
        find_sources(nothing)


def test_no_two_photos_have_the_same_overlay() -> None:
    names = ["a.jpg", "a.png", "a.jpg.png", "b", "b.png", "c.jpg", "x/A.jpg", "x/a.JPG", "x/d.e.jpg"]
    overlays = overlay_names(names, "images", ".png")
    assert len({overlay.lower() for overlay in overlays.values()}) >= len(names) - 1  # A.jpg and a.JPG
    assert len({*overlays.values()}) == len(names)
    assert overlays["c.jpg"] == "images/c.png" and overlays["x/d.e.jpg"] == "images/x/d.e.png"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs fifos")
def test_a_fifo_in_a_folder_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    assert "pipe.jpg" not in [photo.name for photo in find_sources(folder).photos]
