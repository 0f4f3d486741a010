"""The benchmark of data times what a training sample is made of."""

from __future__ import annotations

from pathlib import Path

from pafpose.benchmarks.data import data_table, timed_parts
from pafpose.data import dataset as samples

TINY = [
    "data.train_count=6",
    "data.val_count=1",
    "data.picture_size=64",
    "data.generator_workers=1",
    "augment.crop=64",
]


def test_parts_sum_up_to_a_sample(tmp_path: Path) -> None:
    rows = {row["what"].strip(): row for row in data_table([*TINY, f"data.root={tmp_path}"], count=6)}
    parts = ("read the photo", "move it", "ignored cells", "the rest")
    assert all(rows[part]["ms"] > 0 for part in parts)
    assert abs(sum(rows[part]["ms"] for part in parts) - rows["make samples"]["ms"]) < 1e-6
    assert (
        rows["decode the JPEGs alone"]["ms"] > 0
        and float(rows["samples / decoding, median"]["per second"]) > 0
    )


def test_timing_leaves_nothing_behind() -> None:
    before = samples.ignored_cells, samples.pictures.warp
    with timed_parts():
        assert samples.ignored_cells is not before[0]
    assert (samples.ignored_cells, samples.pictures.warp) == before
