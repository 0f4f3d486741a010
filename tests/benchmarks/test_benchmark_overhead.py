"""The benchmark of Lightning's overhead compares equals: both loops end with the same weights."""

from __future__ import annotations

import pytest
import torch

from benchmarks.overhead import BLOCK, measure, overhead_table
from pafpose.config import load_config

# AdamW repeats itself bit by bit; Muon's matrix products round by where in memory their operands lie.
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
    loop = measure(load_config(TINY), steps=3)
    assert len(loop.pairs) == 3 and all(seconds > 0 for pair in loop.pairs for seconds in pair)
    for (name, ours), twin in zip(
        loop.module.state_dict().items(), loop.twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, twin, rtol=1e-5, atol=1e-7, msg=name)
    fresh = measure(load_config(TINY), steps=1).module.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in loop.module.state_dict().items())


@pytest.mark.slow
def test_table() -> None:
    (row,) = overhead_table(TINY, blocks=2)
    assert row["batch"] == "2 x 64 px" and BLOCK == 10
    assert row["lowest"] <= row["ratio"] <= row["highest"]
    assert 0.5 < row["ratio"] < 10  # of a network of a few milliseconds, where overhead weighs most
