"""Find people in photos, videos and cameras with a checkpoint; write overlays, COCO json and CSV."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from pafpose.config import settings
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import find_weights
from pafpose.inference.predictor import Found, Frame, Predictor
from pafpose.inference.tracking import Tracker, TrackSettings
from pafpose.runtime.ahead import map_ahead, read_ahead
from pafpose.runtime.cores import usable_cores
from pafpose.runtime.log import quiet_known_warnings
from pafpose.runtime.run_status import digest
from pafpose.runtime.signals import Interrupted
from pafpose.tools.overrides import load_checkpoint
from pafpose.tools.predict.journal import Journal, write_coco, write_csv
from pafpose.tools.predict.overlay import OverlaySettings, draw_overlay
from pafpose.tools.predict.progress import Progress
from pafpose.tools.predict.read_video import Video
from pafpose.tools.predict.sources import File, Sources, find_sources
from pafpose.tools.predict.write_video import Write, explain_writer, write_video
from pafpose.viz import save_picture

log = logging.getLogger(__name__)

THREADS = min(4, usable_cores())  # that read photos, and as many that draw


@dataclass
class Summary:
    """What a prediction came to."""

    folder: Path
    frames: int = 0  # photos, and pictures of videos
    people: int = 0  # found
    drawn: int = 0  # of them
    skipped: int = 0  # files that are neither pictures nor videos
    left_out: list[dict[str, str]] = field(default_factory=list)  # file_name and reason of what failed

    def leave_out(self, name: str, error: object) -> None:
        """Log and note that a photo or video could not be read, or not to its end."""
        reason = str(error).partition(";")[0]  # what follows is advice for training
        log.warning("left out: %s", reason)
        self.left_out.append({"file_name": name, "reason": reason})


def predict(cfg: DictConfig, overrides: Sequence[str] | None = None) -> Summary:
    """Find the people in everything that ``cfg.source`` names, and write them to the output folder.

    Each overlay and each line of the journal is written at once. What cannot be read costs itself alone: the
    log and ``left_out`` name it. A second call for the same folder does what is left.
    """
    quiet_known_warnings()
    folder = Path(cfg.paths.output_dir)
    look = OverlaySettings(cfg.draw, cfg.colours, cfg.background, cfg.drawn_score)
    track = settings(TrackSettings, cfg.track, "track")
    sources = find_sources(cfg.source, leave_out=folder)
    predictor = Predictor(load_checkpoint(cfg, overrides))
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "predictions.jsonl", _fingerprint(cfg))
    run = Prediction(predictor, journal, look, Summary(folder), cfg.batch_size, cfg.max_frames, track)
    try:
        run.find_all(sources)
    finally:
        journal.close()
        write_coco(journal.path, folder / "predictions.json", predictor.skeleton, run.summary.left_out)
        write_csv(journal.path, folder / "people.csv", predictor.skeleton)
    if not journal.done:
        raise PafposeError(f"source={cfg.source}: nothing in it can be read; see the log")
    _report(run.summary, look)
    return run.summary


def _fingerprint(cfg: DictConfig) -> str:
    """Return a text that differs for another config and for another state of the weights."""
    checkpoint = find_weights(cfg.ckpt_path).stat() if cfg.ckpt_path else None
    return f"{digest(cfg)} {checkpoint and (checkpoint.st_size, checkpoint.st_mtime_ns)}"


@dataclass
class Prediction:
    """A prediction under way."""

    predictor: Predictor
    journal: Journal
    look: OverlaySettings
    summary: Summary
    batch_size: int | None
    max_frames: int | None
    track: TrackSettings

    def find_all(self, sources: Sources) -> None:
        """Find the people of all sources, except what is in the journal from an earlier call."""
        self._note_others(sources)
        if sources.photos:
            self.find_in_photos([photo for photo in sources.photos if photo.name not in self.journal.done])
        if sources.videos or sources.camera is not None:
            explain_writer()
        for video in sources.videos:
            if video.name not in self.journal.done:
                self._find_in_file(video)
        if sources.camera is not None:
            self._find_in_camera(sources.camera)

    def _note_others(self, sources: Sources) -> None:
        """Name what is skipped, missing, or done already."""
        for path in sources.skipped:
            log.info("skipped: %s (neither picture nor video)", path)
        self.summary.skipped = len(sources.skipped)
        for name in sources.missing:
            self.summary.leave_out(name, f"{name}: no such file or folder")
        if self.journal.done:
            log.info("going on: %d photos and videos were done before", len(self.journal.done))
        for name, fault in self.journal.done.items():
            if fault:
                self.summary.leave_out(name, fault)

    def find_in_photos(self, photos: Sequence[File]) -> None:
        """Find, draw and note the people of photos; photos that cannot be read are left out."""
        overlays = {photo.name: photo.overlay for photo in photos}

        def save(found: Found) -> Found:
            picture = self._draw(found)
            if picture is not None:
                save_picture(picture, self.summary.folder / overlays[found.frame.source])
            return found

        with Progress("photos", len(photos)) as progress:
            for found in map_ahead(save, self._find(self._read(photos), self.batch_size), threads=THREADS):
                name = found.frame.source
                self._note(found, overlays[name], progress, video=False)
                self.journal.finish(name)

    def _read(self, photos: Sequence[File]) -> Iterator[Frame]:
        """Read photos in threads, and yield those that can be read."""
        for photo, result in map_ahead(_try_to_read, photos, threads=THREADS):
            if isinstance(result, PafposeError):
                self.summary.leave_out(photo.name, result)
            else:
                yield result

    def _find_in_file(self, file: File) -> None:
        try:
            video = Video(file.path, file.name, max_frames=self.max_frames)
        except PafposeError as error:
            self.summary.leave_out(file.name, error)
            return
        self.find_in_video(video, file.overlay)

    def _find_in_camera(self, number: int) -> None:
        name = f"camera {number}"
        if name in self.journal.done:
            raise PafposeError(
                f"{self.summary.folder} holds a recording of {name}; choose another hydra.run.dir, or delete "
                "it with overwrite=true"
            )
        video = Video(number, name, max_frames=self.max_frames)
        log.info("%s: press Ctrl-C to end", name)
        self.find_in_video(video, f"videos/camera{number}.mp4", live=True)

    def find_in_video(self, video: Video, overlay: str, *, live: bool = False) -> None:
        """Find, draw and note the people of a video; Ctrl-C ends a ``live`` one and keeps what there is."""
        frames: Iterable[Frame] = video if live else read_ahead(video, count=2 * THREADS)
        found = self._follow(self._find(frames, 1 if live else self.batch_size), video.rate)
        first = next(found, None)
        if first is None:
            self.summary.leave_out(video.name, video.fault or f"{video.name}: a video without pictures")
            return
        pictures = map_ahead(self._with_picture, chain([first], found), threads=1 if live else THREADS)
        with Progress(video.name, video.total) as progress, self._writer(overlay, video, first) as write:
            try:
                for one, picture in pictures:
                    if picture is not None:
                        write(picture)
                    self._note(one, overlay, progress, video=True)
            except Interrupted:
                if not live:
                    raise
        self.journal.finish(video.name, fault=video.fault)
        if video.fault:
            self.summary.leave_out(video.name, video.fault)

    def _find(self, frames: Iterable[Frame], batch_size: int | None) -> Iterator[Found]:
        return self.predictor.find(frames, batch_size=batch_size, keep_fields=self.look.needs_fields)

    def _follow(self, frames: Iterator[Found], rate: float) -> Iterator[Found]:
        """Give the people of a video ids, and smooth them."""
        if not self.track.ids:
            return frames
        tracker = Tracker(self.predictor.skeleton, rate=rate, settings=self.track)
        return (replace(found, people=tracker(found.people)) for found in frames)

    def _draw(self, found: Found) -> np.ndarray | None:
        if self.look.draw == "none":
            return None
        return draw_overlay(found, self.predictor.skeleton, self.look)

    def _with_picture(self, found: Found) -> tuple[Found, np.ndarray | None]:
        return found, self._draw(found)

    def _writer(self, overlay: str, video: Video, first: Found) -> AbstractContextManager[Write]:
        """Open the video of drawn pictures, if any are drawn."""
        if self.look.draw == "none":
            return nullcontext(lambda _: None)
        size = first.frame.image.shape[0], first.frame.image.shape[1]
        return write_video(self.summary.folder / overlay, rate=video.rate, size=size)

    def _note(self, found: Found, overlay: str, progress: Progress, *, video: bool) -> None:
        drawn = None if self.look.draw == "none" else overlay
        self.journal.add(found.frame, found.people, overlay=drawn, video=video)
        self.summary.frames += 1
        self.summary.people += len(found.people)
        if self.look.draw in ("skeleton", "both"):
            self.summary.drawn += len(found.people.at_least(self.look.drawn_score))
        progress.advance(len(found.people))


def _try_to_read(photo: File) -> tuple[File, Frame | PafposeError]:
    try:
        return photo, Frame(load_image(photo.path), photo.name)
    except PafposeError as error:
        return photo, error


def _report(summary: Summary, look: OverlaySettings) -> None:
    """Log what was found and where it is."""
    log.info("people       %s found in %s photos and frames", f"{summary.people:,}", f"{summary.frames:,}")
    if look.draw in ("skeleton", "both"):
        counts = f"{summary.drawn:,} drawn of {summary.people:,} found"
        log.info("drawn        %s: those with a score of at least drawn_score=%g", counts, look.drawn_score)
    if summary.skipped:
        log.info("skipped      %d files that are neither pictures nor videos", summary.skipped)
    if summary.left_out:
        log.warning("left out     %d photos or videos that cannot be read to the end", len(summary.left_out))
    for what, name in (
        ("COCO json", "predictions.json"),
        ("table", "people.csv"),
        ("pictures", "images"),
        ("videos", "videos"),
    ):
        if (summary.folder / name).exists():
            log.info("%-12s %s", what, summary.folder / name)
