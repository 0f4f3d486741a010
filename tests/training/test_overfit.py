"""The command line learns four drawn pictures by heart: everything from the crop to the AP must fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "debug=overfit", "data.train_count=8", "data.val_count=4", "data.generator_workers=1",
    "data.picture_size=128", "augment.crop=128", "trainer.accelerator=cpu", "trainer.max_steps=200",
    "trainer.val_check_interval=200",
]  # fmt: skip


@pytest.mark.slow
def test_four_pictures_are_learned_by_heart(tmp_path: Path) -> None:
    """About half a minute on two quiet cores."""
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "scripts" / "train.py"), *SMALL,
            f"paths.data_dir={tmp_path / 'data'}", f"hydra.run.dir={tmp_path / 'run'}",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["AP"] > 0.9 and metrics["photos"] == 4
