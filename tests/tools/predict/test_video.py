"""Videos are read whole, or their fault is known; those written are whole, and browsers play them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pafpose.errors import PafposeError
from pafpose.tools.predict import write_video as module
from pafpose.tools.predict.read_video import Video, is_cut_off
from pafpose.tools.predict.write_video import write_video
from tests.tools.predict.conftest import write_clip

CONTAINERS = {"mp4": "mp4v", "mov": "mp4v", "avi": "MJPG", "mkv": "mp4v", "webm": "VP80"}


def pictures(count: int = 12, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    shades = np.linspace(20, 220, count).astype(np.uint8)
    return [np.full((*size, 3), (shade, 100, 255 - shade), np.uint8) for shade in shades]


@pytest.fixture(params=CONTAINERS)
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"clip.{request.param}"
    code = cv2.VideoWriter.fourcc(*CONTAINERS[request.param])
    writer = cv2.VideoWriter(str(path), code, 20, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(30):
        writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_a_whole_video(clip: Path) -> None:
    video = Video(clip, "a/clip")
    frames = list(video)
    assert (video.total, video.rate, video.fault, len(frames)) == (30, 20, None, 30)
    assert [frame.number for frame in frames] == [*range(30)] and frames[20].seconds == 1
    assert frames[0].source == "a/clip" and frames[0].image.shape == (48, 64, 3)
    assert is_cut_off(clip) is False


@pytest.mark.parametrize("missing", [0.5, 0.05, 1])
def test_a_video_that_ends_in_the_middle_of_a_frame(clip: Path, missing: float) -> None:
    content = clip.read_bytes()
    clip.write_bytes(content[: -int(missing if missing == 1 else missing * len(content))])
    assert is_cut_off(clip)
    try:
        video = Video(clip, "clip")
    except PafposeError as error:  # the table of frames is at the end of the file
        assert clip.suffix in (".mp4", ".mov") and str(clip) in str(error)
        return
    count = len(list(video))
    assert count <= 30 and video.fault is not None and f"after {count} frames" in video.fault


def test_colours_and_frames_to_come(tmp_path: Path) -> None:
    shown = pictures()
    video = Video(write_clip(tmp_path / "clip.avi", shown), "clip", max_frames=5)
    frames = list(video)
    assert len(frames) == video.total == 5 and video.fault is None
    for frame, picture in zip(frames, shown, strict=False):
        assert (frame.image == picture).all()


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"text")
    with pytest.raises(PafposeError, match=r"clip\.mp4: cannot be read as a video.*ffmpeg"):
        Video(tmp_path / "clip.mp4", "clip.mp4")


@pytest.mark.parametrize("encoder", ["av", "cv2"])
@pytest.mark.parametrize("size", [(48, 64), (49, 63)])
def test_a_written_video_shows_what_was_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, size: tuple[int, int]
) -> None:
    """With even sides, as H.264 needs, and nothing cut off."""
    pytest.importorskip(encoder)
    monkeypatch.setattr(module, "find_spec", lambda name: encoder == "av" or None)
    path = tmp_path / "new" / "clip.mp4"
    with write_video(path, rate=29.97, size=size) as write:
        for picture in pictures(size=size):
            write(picture)
            assert not path.exists()
    video = Video(path, "clip")
    frames = list(video)
    assert video.rate == pytest.approx(29.97, abs=1e-3) and len(frames) == 12
    for frame, picture in zip(frames, pictures(size=(48 + size[0] % 2 * 2, 64)), strict=True):
        assert frame.image.shape == picture.shape
        assert np.abs(frame.image.astype(int) - picture).mean() < 6
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_browsers_play_what_pyav_writes(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with write_video(path, rate=25, size=(48, 64)) as write:
        for picture in pictures():
            write(picture)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before all of it has arrived


def test_an_interrupted_video_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        write_video(tmp_path / "clip.mp4", rate=25, size=(48, 64)) as write,
    ):
        write(pictures()[0])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
@pytest.mark.parametrize("encoder", ["av", "cv2"])
def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    pytest.importorskip(encoder)
    monkeypatch.setattr(module, "find_spec", lambda name: encoder == "av" or None)
    (tmp_path / "clip.part.mp4").symlink_to("/dev/full")
    with (
        pytest.raises((OSError, PafposeError)) as caught,
        write_video(tmp_path / "clip.mp4", rate=25, size=(48, 64)) as write,
    ):
        for picture in pictures():
            write(picture)
    assert "No space left" in str(caught.value) or "could not be written" in str(caught.value)
    assert not (tmp_path / "clip.mp4").exists()
