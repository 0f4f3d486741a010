"""Shortening a run to what fits: by the pace of a rehearsal, before training, with all that counts steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

import pafpose
from pafpose import pace
from pafpose.config import plain
from pafpose.engine import alone
from pafpose.errors import PafposeError
from tests.test_engine import TINY


def config(*overrides: str) -> DictConfig:
    """A composed config with everything resolved, as the engine holds it."""
    return OmegaConf.create(plain(pafpose.load_config(list(overrides))))


@pytest.fixture
def two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "seconds_per_step", lambda cfg: 2.0 / pace.SLACK)


def test_steps_and_validations_are_cut_together(two_seconds: None) -> None:
    cfg = config("max_minutes=10", "trainer.max_steps=1000", "trainer.val_check_interval=500")
    pace.shorten(cfg)
    assert (cfg.trainer.max_steps, cfg.trainer.val_check_interval) == (300, 150)


def test_the_last_validation_stays_at_the_last_step(two_seconds: None) -> None:
    cfg = config("max_minutes=10.04", "trainer.max_steps=1000", "trainer.val_check_interval=500")
    pace.shorten(cfg)
    assert (cfg.trainer.max_steps, cfg.trainer.val_check_interval) == (300, 150)  # 301 would fit


def test_what_fits_stays_as_it_is(two_seconds: None) -> None:
    cfg = config("max_minutes=100", "trainer.max_steps=1000", "trainer.val_check_interval=500")
    pace.shorten(cfg)
    assert (cfg.trainer.max_steps, cfg.trainer.val_check_interval) == (1000, 500)


def test_no_minutes_are_refused() -> None:
    with pytest.raises(PafposeError, match=r"max_minutes=0"):
        pace.shorten(config("max_minutes=0"))


@pytest.mark.parametrize(("overrides", "counts_alone"), [([], True), (["trainer.devices=2"], False)])
def test_several_devices_must_count_the_same_steps(overrides: list[str], counts_alone: bool) -> None:
    assert alone(config(*overrides)) is counts_alone


def test_a_rehearsal_times_real_steps_and_leaves_nothing(tmp_path: Path) -> None:
    places = [f"paths.output_dir={tmp_path / 'run'}", f"paths.data_dir={tmp_path / 'data'}"]
    assert 0 < pace.seconds_per_step(config(*TINY, *places)) < 60
    assert not (tmp_path / "run").exists()
