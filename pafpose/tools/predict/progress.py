"""How far a prediction is, in frames and people per second: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

log = logging.getLogger(__name__)
EVERY = 30.0  # seconds between two lines


class Progress:
    """Follow ``total`` frames, None if nobody knows how many; use it in a ``with`` block."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._started = self._last = time.monotonic()
        self.frames = self.people = 0
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bar.add_task(what, total=total, speed="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, people: int) -> None:
        """Count one frame and its people."""
        self.frames += 1
        self.people += people
        now = time.monotonic()
        self._bar.update(self._task, completed=self.frames, speed=self._speed(now))
        if self._bar.disable and now - self._last >= EVERY:
            self._last = now
            log.info("%s: %s", self._what, self._line(now))

    def _speed(self, now: float) -> str:
        seconds = max(now - self._started, 1e-6)
        return f"{self.frames / seconds:.1f} frames/s, {self.people / seconds:.1f} people/s"

    def _line(self, now: float) -> str:
        if self._total is None:
            return f"{self.frames:,} frames, {self._speed(now)}"
        left = (now - self._started) / self.frames * max(0, self._total - self.frames) / 60
        return f"{self.frames:,} of {self._total:,}, {self._speed(now)}, {left:.1f} min left"
