"""How far a loop is, where there is no terminal."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pafpose.runtime import follow as following
from pafpose.runtime.follow import follow


def test_a_line_every_thirty_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """2,000 items of 20 s each: after two of them, and then after every second one."""
    now = iter(range(0, 10**6, 20))
    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with caplog.at_level("INFO"):
        items = follow(range(2_000), "draw", total=2_000)
        assert [next(items) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == "draw: 1 of 2,000, 1332.7 min left" and len(texts) == 3
