"""Samples per second, without the time that validation took."""

from __future__ import annotations

import time

import pytest
import pytorch_lightning as pl

from pafpose.callbacks.timing import Timing

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Slow(pl.Callback):
    def on_train_batch_start(self, *args):
        time.sleep(0.02)

    def on_validation_start(self, *args):
        time.sleep(0.5)


def test_speed_leaves_validation_out(tiny_module, tiny_data, make_trainer):
    trainer = make_trainer(Timing(window=0.05), Slow(), val_check_interval=2, max_steps=8)
    trainer.fit(tiny_module, datamodule=tiny_data)
    speed = float(trainer.callback_metrics["train/samples_per_second"])
    assert 15 < speed < 100  # two samples in 20 ms at best; 8 with validation counted in


def test_nothing_is_told_before_the_window_is_full(tiny_module, tiny_data, make_trainer):
    trainer = make_trainer(Timing(window=1e6))
    trainer.fit(tiny_module, datamodule=tiny_data)
    assert "train/samples_per_second" not in trainer.callback_metrics
