"""The benchmark of Lightning's overhead compares equals: both loops end with the same weights."""

from __future__ import annotations

import pytest
import torch

from benchmarks.overhead import BLOCK, overhead_table, time_loops
from pafpose.config import load_config

# AdamW is reproducible to the bit; the rounding of matrix products depends on how memory is aligned.
TINY = [
    "backbone=tiny",
    "head=single",
    "optimizer=adamw",
    "augment.crop=64",
    "data.batch_size=2",
    "scheduler=cosine",
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*`training_step` in `PoseModule`"),
]


def test_both_loops_do_the_same_work() -> None:
    loop = time_loops(load_config(TINY), steps=3)
    assert len(loop.seconds) == 3 and all(seconds > 0 for both in loop.seconds for seconds in both)
    for (name, ours), twin in zip(
        loop.module.state_dict().items(), loop.copy.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, twin, rtol=1e-5, atol=1e-7, msg=name)
    fresh = time_loops(load_config(TINY), steps=1).module.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in loop.module.state_dict().items())


@pytest.mark.slow
def test_table() -> None:
    (row,) = overhead_table(TINY, blocks=2)
    assert row["batch"] == "2 x 64 px" and BLOCK == 10
    assert row["lowest"] <= row["ratio"] <= row["highest"]
    assert 0.5 < row["ratio"] < 10  # a step of this network takes only milliseconds, so overhead weighs much
