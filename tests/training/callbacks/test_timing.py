"""Samples per second, without the time that validation took."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from pafpose.training.callbacks.timing import Timing

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(pl.Callback):
    """A batch takes 20 ms, a validation half a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_start(self, *args):
        self.clock.now += 0.02

    def on_validation_start(self, *args):
        self.clock.now += 0.5


def test_speed_leaves_validation_out(tiny_module, tiny_data, make_trainer, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pafpose.training.callbacks.timing.time", clock)
    trainer = make_trainer(Timing(window=0.05), Slow(clock), val_check_interval=2, max_steps=8)
    trainer.fit(tiny_module, datamodule=tiny_data)
    speed = float(trainer.callback_metrics["train/samples_per_second"])
    assert speed == pytest.approx(100)  # two samples in 20 ms


def test_the_speed_is_that_of_all_ranks(tiny_module, monkeypatch):
    clock, logged = Clock(), {}
    monkeypatch.setattr("pafpose.training.callbacks.timing.time", clock)
    monkeypatch.setattr(tiny_module, "log", logged.__setitem__)
    trainer, batch = SimpleNamespace(world_size=3), SimpleNamespace(image=torch.zeros(4, 1))
    timing = Timing(window=0.5)
    timing.on_train_epoch_start(trainer, tiny_module)
    for _ in range(3):  # a window of two batches; the third begins another
        clock.now += 0.25
        timing.on_train_batch_end(trainer, tiny_module, None, batch, 0)
    assert logged == {"train/samples_per_second": 3 * 8 / 0.5}
    clock.now += 0.75
    timing.on_train_batch_end(trainer, tiny_module, None, batch, 0)
    assert logged == {"train/samples_per_second": 3 * 8 / 1.0}


def test_nothing_is_told_before_the_window_is_full(tiny_module, tiny_data, make_trainer):
    trainer = make_trainer(Timing(window=1e6))
    trainer.fit(tiny_module, datamodule=tiny_data)
    assert "train/samples_per_second" not in trainer.callback_metrics
