"""What the progress bar and the log lines show, and how often they read the loss."""

from __future__ import annotations

import io
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback
from rich.console import Console

from pafpose.training.callbacks import progress
from pafpose.training.callbacks.progress import ProgressBar, ProgressLines, build_progress
from pafpose.training.time_budget import TimeBudget

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Clock:
    """A clock that moves only when told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class SlowSteps(Callback):
    """A step takes a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_start(self, *args):
        self.clock.now += 1.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def fit(counting_module, tiny_data, make_trainer):
    """Trains the module below with some callbacks."""

    def fit(*callbacks, **settings):
        make_trainer(*callbacks, num_sanity_val_steps=0, **settings).fit(
            counting_module, datamodule=tiny_data
        )

    return fit


@pytest.fixture
def counting_module(tiny_module):
    """Its loss is 10 in the first batch, 20 in the second and so on; validation gives AP 0.5."""

    def training_step(batch, batch_idx):
        training_step.calls += 1
        return tiny_module.network(batch.image)[-1].pafs.mean() * 0 + 10.0 * training_step.calls

    training_step.calls = 0
    tiny_module.training_step = training_step
    tiny_module.on_validation_epoch_end = lambda: tiny_module.log("val/AP", torch.tensor(0.5))
    return tiny_module


@pytest.fixture
def reads(monkeypatch):
    """The losses that were read."""
    read = []

    def loss_of(trainer, outputs):
        read.append(progress_loss(trainer, outputs))
        return read[-1]

    progress_loss = progress.loss_of
    monkeypatch.setattr(progress, "loss_of", loss_of)
    return read


def test_a_line_has_the_present_loss_and_the_time_left(clock, reads, fit, caplog):
    caplog.set_level(logging.INFO, logger=progress.__name__)
    fit(SlowSteps(clock), ProgressLines(every_seconds=4), max_steps=10, val_check_interval=4)
    assert [record.message for record in caplog.records if record.name == progress.__name__] == [
        "step 4 of 10, loss 40.000, 1.0 steps/s, 0.1 min left",
        "step 4: val AP 0.500",
        "step 8 of 10, loss 80.000, 1.0 steps/s, 0.0 min left",
        "step 8: val AP 0.500",
    ]
    assert reads == [40, 80]  # nothing is read between the lines


def test_a_run_without_an_end_has_no_time_left(clock, fit, caplog):
    caplog.set_level(logging.INFO, logger=progress.__name__)
    callbacks = [SlowSteps(clock), ProgressLines(every_seconds=2), Stop(3)]
    fit(*callbacks, max_steps=-1, max_epochs=-1, limit_val_batches=0)
    (line,) = (record.message for record in caplog.records if record.name == progress.__name__)
    assert line == "step 2 of inf, loss 20.000, 1.0 steps/s"


class Stop(Callback):
    """Ends training after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.global_step >= self.steps


def test_accumulated_batches_show_the_loss_of_one(clock, reads, fit):
    """Lightning divides it by their number."""
    lines = ProgressLines(every_seconds=2)
    fit(SlowSteps(clock), lines, max_steps=2, accumulate_grad_batches=2, limit_val_batches=0)
    assert reads == [20, 40]


@pytest.fixture
def bar():
    """A bar on a terminal of its own."""
    return ProgressBar(console=Console(file=io.StringIO(), force_terminal=True, width=120))


def test_one_bar_counts_all_steps(clock, reads, bar, fit):
    """Eleven steps in passes of four; a second each, so that every loss is read."""
    fit(SlowSteps(clock), bar, max_steps=11, val_check_interval=4)
    (task,) = bar._bar.tasks
    assert task.completed == task.total == 11 and task.finished
    assert reads == [10.0 * step for step in range(1, 12)]
    assert task.fields == {"loss": "loss 110.000", "ap": "  val AP 0.500"}
    assert not bar._bar.live.is_started
    assert "11/11" in bar._bar.console.file.getvalue()


def test_the_bar_reads_the_loss_once_a_second(clock, reads, bar, fit):
    fit(bar, max_steps=11)  # the clock stands still
    assert reads == [10]


def test_an_error_gives_the_terminal_back(clock, bar, counting_module, fit):
    def fail(batch, batch_idx):
        raise ZeroDivisionError

    counting_module.training_step = fail
    with pytest.raises(ZeroDivisionError):
        fit(bar)
    assert not bar._bar.live.is_started


@pytest.mark.parametrize("callback", [ProgressLines(0), ProgressBar()])
def test_other_ranks_are_silent(callback, caplog):
    trainer = SimpleNamespace(
        is_global_zero=False, global_step=5, estimated_stepping_batches=9, callbacks=[], callback_metrics={}
    )
    callback.on_train_start(trainer, None)
    callback.on_train_batch_end(trainer, None, {"loss": torch.tensor(1.0)}, None, 0)
    callback.on_validation_end(trainer, None)
    assert not caplog.records
    if isinstance(callback, ProgressBar):
        assert not callback._bar.live.is_started


@pytest.mark.parametrize(("terminal", "kind"), [(True, "ProgressBar"), (False, "ProgressLines")])
def test_a_terminal_gets_a_bar(monkeypatch, terminal, kind):
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: terminal))
    for name in ("ProgressBar", "ProgressLines"):
        monkeypatch.setattr(progress, name, lambda value, name=name: (name, value))
    assert build_progress(refresh_rate=3, every_seconds=5) == (kind, 3 if terminal else 5)


@pytest.fixture
def resumed():
    """The trainer of a run resumed at step 100 of 200."""
    return SimpleNamespace(
        is_global_zero=True, global_step=100, estimated_stepping_batches=200, accumulate_grad_batches=1,
        callbacks=[], callback_metrics={},
    )  # fmt: skip


def line_after_ten_steps(clock, trainer, caplog) -> str:
    """What the log says of ten steps of half a second."""
    caplog.set_level(logging.INFO, logger=progress.__name__)
    lines = ProgressLines(every_seconds=5)
    lines.on_train_start(trainer, None)
    clock.now, trainer.global_step = clock.now + 5, trainer.global_step + 10
    if trainer.callbacks:
        trainer.callbacks[0].share += 0.25
    lines.on_train_batch_end(trainer, None, {"loss": torch.tensor(1.5)}, None, 0)
    return caplog.records[-1].message


def test_a_resumed_run_counts_its_own_steps(clock, resumed, caplog):
    line = line_after_ten_steps(clock, resumed, caplog)
    assert line == "step 110 of 200, loss 1.500, 2.0 steps/s, 0.8 min left"  # 90 steps


def test_a_time_budget_decides_the_time_left(clock, resumed, caplog):
    """From half of the schedule to three quarters of it in five seconds."""
    resumed.callbacks = [TimeBudget(10)]
    resumed.callbacks[0].share = 0.5
    line = line_after_ten_steps(clock, resumed, caplog)
    assert line == "step 110 of 200, loss 1.500, 2.0 steps/s, 0.1 min left"


def test_the_bar_follows_the_schedule_of_a_resumed_run(clock, resumed, bar):
    resumed.callbacks = [TimeBudget(10)]
    (task,) = bar._bar.tasks
    bar.on_train_start(resumed, None)
    assert (task.completed, task.total) == (100, 200)
    resumed.callbacks[0].share = 0.75
    bar.on_train_batch_end(resumed, None, {"loss": torch.tensor(1.5)}, None, 0)
    assert task.completed == 150
    bar.on_validation_start(resumed, None)
    assert task.description == "Validating"
    bar.on_validation_end(resumed, None)
    assert task.description == "Training"
    bar.on_train_end(resumed, None)
