"""A long run needs no more memory, handles and threads at its end than at its beginning."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.conftest import ROOT
from tests.training.test_resume import TINY

STEPS, VALIDATE_EVERY = 50_000, 500
PICTURES = "callbacks.panels.num_photos=2"
GROWTH = 1.03  # that is allowed between the second fifth and the last


def readings(process: subprocess.Popen[str]) -> Iterator[tuple[int, int, int]]:
    """Yield resident memory in bytes, open files and threads twice a second, until the process ends."""
    folder = Path("/proc") / str(process.pid)
    while process.poll() is None:
        try:
            pages = int((folder / "statm").read_text().split()[1])
            counts = (len([*(folder / "fd").iterdir()]), len([*(folder / "task").iterdir()]))
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            return
        yield pages * os.sysconf("SC_PAGE_SIZE"), *counts
        time.sleep(0.5)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_long_run_stays_flat(tmp_path: Path) -> None:
    words = [word for word in TINY if not word.startswith("callbacks.panels")]
    words += [
        PICTURES,
        "data.num_workers=1",
        "trainer.log_every_n_steps=50",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    words += [f"paths.data_dir={tmp_path / 'data'}", f"trainer.max_steps={STEPS}"]
    words += [f"trainer.val_check_interval={VALIDATE_EVERY}"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        text=True,
    )
    found = list(readings(process))
    assert process.wait() == 0
    fifth = len(found) // 5
    for name, values in zip(("memory", "open files", "threads"), zip(*found, strict=True), strict=True):
        early, late = median(values[fifth : 2 * fifth]), median(values[-fifth:])
        print(f"{name}: {early} early, {late} late")
        assert late <= GROWTH * early, (name, early, late)
