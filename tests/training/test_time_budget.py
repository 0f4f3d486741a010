"""Training against a clock: the schedule, validations and the end follow the time that steps really take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pafpose
from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.training import time_budget as pace
from pafpose.training.run import alone, build_trainer
from pafpose.training.schedules import cosine
from pafpose.training.time_budget import Deadline

PLANNED = 200
RESERVE = pace.WARM_UP + pace.ENOUGH + 1


class Clock:
    """A clock that stands still but for what the steps below take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Line(LightningModule):
    """One weight; a step takes ``pace(step)`` seconds, a validation 2."""

    def __init__(self, clock: Clock, pace: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.clock, self.pace = clock, pace
        self.rates: list[float] = []
        self.validated: list[int] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.clock.now += self.pace(self.global_step)
        return (self.weight - batch[0]).square().sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.clock.now += 2.0
        self.validated.append(self.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 1.0)
        schedule = cosine(optimizer, PLANNED, warmup=0.0, final=0.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "CLOCK", clock)
    return clock


def fit(line: Line, minutes: float | None, ckpt: Path | None = None, **options: Any) -> Trainer:
    callbacks: list[Any] = [Deadline(minutes)] if minutes is not None else []
    if "dirpath" in options:
        callbacks.append(ModelCheckpoint(options.pop("dirpath"), save_last=True))
    trainer = Trainer(
        accelerator="cpu", max_steps=PLANNED, val_check_interval=PLANNED // 2, check_val_every_n_epoch=None,
        num_sanity_val_steps=0, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=callbacks, enable_checkpointing=bool(callbacks[1:]), **options,
    )  # fmt: skip
    train, val = (DataLoader(TensorDataset(torch.ones(n, 1))) for n in (7, 1))
    trainer.fit(line, train, val, ckpt_path=ckpt, weights_only=True)
    return trainer


def test_a_run_that_fits_is_the_run_without_a_limit(clock: Clock) -> None:
    free, timed = Line(clock, lambda step: 1.0), Line(clock, lambda step: 1.0)
    fit(free, None)
    fit(timed, 60.0)
    assert timed.rates == free.rates
    assert timed.validated == free.validated == [100, 200]


def test_steps_schedule_and_validations_shrink_together(clock: Clock) -> None:
    line = Line(clock, lambda step: 1.0)
    trainer = fit(line, 104 / 60)  # of which two validations take 4
    assert trainer.global_step == 100
    assert clock.now == pytest.approx(104, abs=2)
    assert line.rates[-1] < 0.001
    first, last = line.validated
    assert first == pytest.approx(50, abs=RESERVE / 2)  # the first steps were taken at the planned speed
    assert last == 100


def test_a_machine_that_slows_down_still_ends_in_time(clock: Clock) -> None:
    line = Line(clock, lambda step: 1.0 if step < 40 else 2.0)
    trainer = fit(line, 104 / 60)
    assert clock.now == pytest.approx(104, abs=4)
    assert trainer.global_step == pytest.approx(40 + 30, abs=3)
    assert line.rates[-1] < 0.01
    falls = [before - after for before, after in zip(line.rates, line.rates[1:], strict=False)]
    assert min(falls) >= 0
    assert max(falls) < 0.06  # no jumps
    assert line.validated[-1] == trainer.global_step


def test_a_machine_that_recovers_takes_more_steps(clock: Clock) -> None:
    line = Line(clock, lambda step: 2.0 if step < 30 else 0.5)
    trainer = fit(line, 104 / 60)
    assert trainer.global_step == pytest.approx(30 + 80, abs=4)
    assert line.rates[-1] < 0.01


@pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:You're resuming from")
def test_a_resumed_run_takes_the_time_that_is_left(clock: Clock, tmp_path: Path) -> None:
    def stops(step: int) -> float:
        if step == 70:
            raise KeyboardInterrupt
        return 1.0

    first = Line(clock, stops)
    with pytest.raises(SystemExit):
        fit(first, 104 / 60, dirpath=tmp_path)
    saved = first.validated[0]
    clock.now += 1000.0  # nobody's time
    second = Line(clock, lambda step: 1.0)
    trainer = fit(second, 104 / 60, tmp_path / "last.ckpt", dirpath=tmp_path / "again")
    assert trainer.global_step == pytest.approx(100, abs=3)
    assert len(second.rates) == trainer.global_step - saved
    assert second.rates[0] == pytest.approx(first.rates[saved], abs=1e-6)
    assert second.rates[-1] < 0.001
    assert second.validated == [trainer.global_step]


@pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:You're resuming from")
def test_time_used_up_is_told_when_resuming(clock: Clock, tmp_path: Path) -> None:
    fit(Line(clock, lambda step: 1.0), 104 / 60, dirpath=tmp_path)
    with pytest.raises(PafposeError, match=r"max_minutes=1: the run to resume has used 1\.7 minutes"):
        fit(Line(clock, lambda step: 1.0), 1.0, tmp_path / "last.ckpt", dirpath=tmp_path / "again")


def test_gradients_of_several_batches_count_as_one_step(clock: Clock) -> None:
    line = Line(clock, lambda step: 0.5)
    trainer = fit(line, 104 / 60, accumulate_grad_batches=2)  # 7 batches an epoch: 4 steps in 3.5 s
    assert trainer.global_step == pytest.approx((104 - 4 * 2) * 4 / 3.5, abs=3)  # validated every 50 steps
    assert line.validated[-1] == trainer.global_step


def config(*overrides: str) -> DictConfig:
    """A composed config with everything resolved, as the engine holds it."""
    return OmegaConf.create(plain(pafpose.load_config(list(overrides))))


def test_no_minutes_are_refused() -> None:
    with pytest.raises(PafposeError, match=r"max_minutes=0"):
        build_trainer(config("max_minutes=0", "logger=none"))


@pytest.mark.parametrize(("overrides", "counts_alone"), [([], True), (["trainer.devices=2"], False)])
def test_several_devices_must_count_the_same_steps(overrides: list[str], counts_alone: bool) -> None:
    assert alone(config(*overrides)) is counts_alone
