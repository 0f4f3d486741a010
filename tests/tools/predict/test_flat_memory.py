"""A long video takes no more memory than a short one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pafpose.data.photos.images import load_image
from pafpose.tools.predict.journal import Journal
from tests.tools.predict.conftest import Run, write_clip

FRAMES = 10_000
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory in /proc"),
]


def megabytes() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_memory_does_not_grow_with_the_frames(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people in each: kept as numbers of Python they would take 100 MB, and the frames 2.4 GB."""
    image = load_image(photos / f"{101:012d}.png")
    clip = write_clip(tmp_path / "clip.avi", (image for _ in range(FRAMES)))
    seen: list[float] = []
    add = Journal.add

    def watched(self: Journal, *arguments: Any, **more: Any) -> None:
        add(self, *arguments, **more)
        seen.append(megabytes())

    monkeypatch.setattr(Journal, "add", watched)
    summary = run(tmp_path / "out", f"source={clip}")
    after = megabytes()
    assert (summary.frames, summary.people) == (FRAMES, 2 * FRAMES)
    early, late = np.median(seen[500:1000]), np.median(seen[-500:])
    print(f"{early:.0f} MB early, {late:.0f} MB late, {after:.0f} MB after json and csv")
    assert late - early < 20 and after - early < 20
    result = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(result["images"]) == FRAMES and len(result["annotations"]) == 2 * FRAMES
