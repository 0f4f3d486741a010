"""The benchmark of data times what a training sample is made of."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from benchmarks.data import _Clock, data_table, timed_parts
from pafpose.config import load_config
from pafpose.data import dataset as samples
from pafpose.data.photos import images
from pafpose.factory import build_datamodule

TINY = [
    "data.train_count=6",
    "data.val_count=1",
    "data.picture_size=64",
    "data.generator_workers=1",
    "augment.crop=64",
]
RATIO = "samples / decoding, median (8 in 10)"


def dataset(root: Path, *more: str) -> samples.TrainDataset:
    data = build_datamodule(load_config([*TINY, f"data.root={root}", *more]))
    data.prepare_data()
    return data.train_dataset


@pytest.mark.parametrize("preset", ["none", "strong"])
def test_parts_sum_up_to_a_sample(tmp_path: Path, preset: str) -> None:
    table = data_table([*TINY, f"data.root={tmp_path}", f"augment={preset}"], count=6, rounds=2)
    rows = {row["what"].strip(): row for row in table}
    parts = ["read the photo", "warp it", "ignored cells", "the rest"]
    parts += ["colour", "paste and patches"] if preset == "strong" else ["paste and patches"]
    assert set(rows) == {*parts, "decode the JPEGs alone", "make samples", RATIO}
    assert all(rows[part]["ms"] > 0 for part in parts)
    assert abs(sum(rows[part]["ms"] for part in parts) - rows["make samples"]["ms"]) < 1e-6
    assert rows["decode the JPEGs alone"]["ms"] > 0
    middle, low, high = map(float, re.findall(r"[\d.]+", rows[RATIO]["per second"]))
    assert 0 < low <= high and low - 0.01 <= middle <= high + 0.01


def test_timing_leaves_nothing_behind(tmp_path: Path) -> None:
    before = samples.ignored_cells, images.warp
    with timed_parts(dataset(tmp_path)):
        assert samples.ignored_cells is not before[0]
    assert (samples.ignored_cells, images.warp) == before


def test_what_is_timed_within_counts_once() -> None:
    seconds = {"outer": 0.0, "inner": 0.0}
    clock = _Clock(seconds)
    inner = clock.timed(lambda: time.sleep(0.02), "inner")
    start = time.perf_counter()
    clock.timed(lambda: (inner(), time.sleep(0.01), inner()), "outer")()
    assert sum(seconds.values()) <= time.perf_counter() - start  # counted twice, it would be more
    assert seconds["inner"] >= 0.04 and seconds["outer"] >= 0.01
