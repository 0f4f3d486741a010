"""The same command gives the same weights and the same metrics, whoever loads the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.test_resume import check_the_same, curves, load, run

WORDS = ("trainer.max_steps=7", "trainer.val_check_interval=3")


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:This DataLoader will create"
)  # more processes than some machines have cores
@pytest.mark.timeout(600)
def test_the_number_of_loader_processes_changes_nothing(tmp_path: Path) -> None:
    first, *others = (run(tmp_path, f"{n}", *WORDS, f"data.num_workers={n}") for n in (0, 1, 4))
    for other in others:
        check_the_same(load(first), load(other))
        assert repr(curves(first)) == repr(curves(other))


@pytest.mark.slow
def test_another_seed_changes_the_weights(tmp_path: Path) -> None:
    first, other = (run(tmp_path, f"{n}", *WORDS, f"seed={n}") for n in (0, 1))
    with pytest.raises(AssertionError):
        check_the_same(load(first), load(other))
