"""How far a long loop is: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import track

log = logging.getLogger(__name__)
T = TypeVar("T")
EVERY = 30.0  # seconds between two lines


def follow(items: Iterable[T], what: str, *, total: int) -> Iterator[T]:
    """Yield the items; show how many of ``total`` are done, without a terminal in a line every 30 seconds."""
    if sys.stderr.isatty():
        yield from track(items, what, total=total, transient=True)
        return
    started = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= EVERY and done:
            last = now
            left = (now - started) / done * (total - done) / 60
            log.info("%s: %s of %s, %.1f min left", what, f"{done:,}", f"{total:,}", left)
        yield item
