"""Progress without a terminal: a line now and then, with speed and the time left."""

from __future__ import annotations

import io
import itertools
import re

import pytest

from pafpose.tools.predict import progress as module
from pafpose.tools.predict.progress import Progress


@pytest.mark.parametrize("total", [400, None])
def test_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, total: int | None
) -> None:
    progress = Progress("clip.mp4", total)
    clock = itertools.count(1)
    start = progress._started
    monkeypatch.setattr(module.time, "monotonic", lambda: start + next(clock))
    with caplog.at_level("INFO"), progress:
        for _ in range(100):
            progress.advance(people=3)
    assert (progress.frames, progress.people) == (100, 300)
    lines = [record.message for record in caplog.records]
    rest = "30 of 400, 1.0 frames/s, 3.0 people/s, 6.2 min left"
    assert lines[0] == f"clip.mp4: {rest if total else '30 frames, 1.0 frames/s, 3.0 people/s'}"
    assert len(lines) == 3


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with caplog.at_level("INFO"), Progress("photos", 4) as progress:
        for _ in range(3):
            progress.advance(people=2)
        progress._bar.refresh()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.getvalue())
    assert "photos" in shown and "3/4" in shown and "frames/s" in shown and "people/s" in shown
    assert not caplog.records
