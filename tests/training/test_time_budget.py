"""A time budget: the schedule follows the larger of the shares of steps and of time used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pafpose
from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.training import time_budget
from pafpose.training.module import PoseModule
from pafpose.training.run import build_trainer
from pafpose.training.schedules import constant, linear
from pafpose.training.time_budget import TimeBudget

PLANNED = 200
MINUTES = 100 / 60

Seconds = Callable[[int], float]


class Clock:
    """A clock that moves only when the module below says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Line(LightningModule):
    """One weight; step n takes ``seconds(n)``, a validation 2."""

    def __init__(self, clock: Clock, seconds: Seconds) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.clock, self.seconds = clock, seconds
        self.rates: list[float] = []
        self.validated: list[int] = []

    lr_scheduler_step = PoseModule.lr_scheduler_step

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.clock.now += self.seconds(self.global_step)
        return (self.weight - batch[0]).square().sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.clock.now += 2.0
        self.validated.append(self.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 1.0)
        if self.trainer.max_steps < 0:
            schedule = constant(optimizer, None)
        else:
            schedule = linear(optimizer, PLANNED, warmup=0, final=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(monotonic=clock))
    return clock


def fit(line: Line, minutes: float | None, ckpt: Path | None = None, **options: Any) -> Trainer:
    callbacks: list[Any] = [TimeBudget(minutes)] if minutes is not None else []
    if "dirpath" in options:
        callbacks.append(ModelCheckpoint(options.pop("dirpath"), save_last=True))
    settings: dict[str, Any] = {"max_steps": PLANNED, "val_check_interval": 80} | options
    trainer = Trainer(
        accelerator="cpu", check_val_every_n_epoch=None, num_sanity_val_steps=0, logger=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=callbacks,
        enable_checkpointing=bool(callbacks[1:]), **settings,
    )  # fmt: skip
    train, val = (DataLoader(TensorDataset(torch.ones(n, 1))) for n in (8, 1))
    trainer.fit(line, train, val, ckpt_path=ckpt, weights_only=True)
    return trainer


def test_a_run_that_fits_is_the_run_without_a_budget(clock: Clock) -> None:
    free, timed = Line(clock, lambda step: 1.0), Line(clock, lambda step: 1.0)
    fit(free, None)
    fit(timed, 60.0)
    assert free.rates == pytest.approx([1 - step / PLANNED for step in range(PLANNED)])
    assert timed.rates == free.rates and timed.validated == free.validated == [80, 160]


def test_slow_steps_end_in_time_with_the_schedule_behind_them(clock: Clock) -> None:
    """Steps of 2 s, budget 100 s: 50 steps fit, and each moves the schedule by four."""
    line = Line(clock, lambda step: 2.0)
    trainer = fit(line, MINUTES)
    assert trainer.global_step == 51  # the clock is read at the start of a step
    assert clock.now == 102 + 2
    expected = [1 - max(step, 4 * (step - 1)) / PLANNED for step in range(1, 51)]
    assert line.rates[1:] == pytest.approx(expected, abs=1.01 / PLANNED)  # whole steps of the schedule
    assert line.validated == [51]


def test_the_larger_share_counts_not_the_sum(clock: Clock) -> None:
    """After 40 slow seconds the steps are so fast that they catch up with the clock."""
    line = Line(clock, lambda step: 20.0 if step < 2 else 0.1)
    trainer = fit(line, MINUTES)
    assert trainer.global_step == PLANNED
    assert line.rates[1] == pytest.approx(1 - 1 / PLANNED)
    assert line.rates[3] == pytest.approx(1 - 0.4, abs=0.01)  # 40 s of 100 are used
    assert line.rates[79] == pytest.approx(1 - 0.47, abs=0.02)
    assert line.rates[150] == pytest.approx(1 - 150 / PLANNED)
    assert all(later <= rate for rate, later in zip(line.rates, line.rates[1:], strict=False))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_counts_the_time_used_before(clock: Clock, tmp_path: Path) -> None:
    def stop_at_45(step: int) -> float:
        if step == 45:
            raise KeyboardInterrupt
        return 1.0

    first = Line(clock, stop_at_45)
    with pytest.raises(SystemExit):
        fit(first, MINUTES, dirpath=tmp_path, val_check_interval=40)
    clock.now += 1000.0  # between the two runs
    second = Line(clock, lambda step: 1.0)
    trainer = fit(second, MINUTES, tmp_path / "last.ckpt", dirpath=tmp_path / "again")
    assert trainer.global_step == 100 - 2 - 2 + 1  # each run validated once
    assert second.rates[:2] == pytest.approx(first.rates[40:42])
    assert second.rates[-1] == pytest.approx(0.02, abs=0.011)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_whose_time_is_up_is_not_resumed(clock: Clock, tmp_path: Path) -> None:
    fit(Line(clock, lambda step: 1.0), MINUTES, dirpath=tmp_path)
    with pytest.raises(PafposeError, match=r"max_minutes=1: the run to resume has used 1\.7 minutes"):
        fit(Line(clock, lambda step: 1.0), 1.0, tmp_path / "last.ckpt", dirpath=tmp_path / "again")


def test_gradients_of_several_batches_make_one_step(clock: Clock) -> None:
    line = Line(clock, lambda step: 1.0)
    trainer = fit(line, MINUTES, accumulate_grad_batches=2)
    assert trainer.global_step == 49  # a validation took 2 s
    assert line.rates[-1] == pytest.approx(0.01)


def test_a_step_may_end_after_the_time_is_up(clock: Clock) -> None:
    line = Line(clock, lambda step: 3.0)
    trainer = fit(line, MINUTES)
    assert trainer.global_step == 35  # the last begins after 102 s
    assert line.rates[-1] == pytest.approx(0.01)


def test_a_constant_rate_may_run_by_the_clock_alone(clock: Clock) -> None:
    line = Line(clock, lambda step: 1.0)
    trainer = fit(line, MINUTES, max_steps=-1, max_epochs=-1)
    assert trainer.global_step == 98 + 1 and set(line.rates) == {1.0}  # a validation takes 2 s


def test_ranks_agree_on_the_time_used() -> None:
    budget = TimeBudget(10)
    trainer = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda mine: 0.7), should_stop=False)
    budget.on_train_batch_start(trainer, None)  # type: ignore[arg-type]
    budget.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    assert budget.share == 0.7 and not trainer.should_stop


def test_other_reasons_to_stop_are_kept() -> None:
    trainer = SimpleNamespace(should_stop=True)
    TimeBudget(10).on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    assert trainer.should_stop


def test_max_minutes_of_the_config_is_the_budget() -> None:
    def budgets(value: str) -> list[float]:
        cfg = OmegaConf.create(plain(pafpose.load_config([f"max_minutes={value}", "logger=none"])))
        return [c.minutes for c in build_trainer(cfg).callbacks if isinstance(c, TimeBudget)]

    assert budgets("null") == [] and budgets("8") == [8.0]
    for wrong in ("0", "soon"):
        with pytest.raises(PafposeError, match=rf"max_minutes={wrong}"):
            budgets(wrong)
