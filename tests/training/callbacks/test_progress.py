"""What the progress bar shows, and how often it asks the device for it."""

from __future__ import annotations

import pytest

from pafpose.training.callbacks import progress

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Clock:
    """Stands for the time module: a tenth of a second passes whenever it is asked."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 0.1
        return self.now


class Metrics(dict):
    """Counts how often a loss is read."""

    reads = 0

    def __getitem__(self, name):
        self.reads += name == "train/loss"
        return super().__getitem__(name)


@pytest.fixture
def trained(tiny_module, tiny_data, make_trainer, monkeypatch):
    """A bar after eleven steps in passes of four, and its trainer."""
    monkeypatch.setattr(progress, "time", Clock())
    bar = progress.StepBar(refresh_rate=10)
    trainer = make_trainer(bar, max_steps=11, enable_progress_bar=True)
    metrics = Metrics({"train/loss": 3.0, "val/AP": 0.5})
    monkeypatch.setattr(type(trainer), "callback_metrics", property(lambda _: metrics))
    trainer.fit(tiny_module, datamodule=tiny_data)
    return bar, trainer, metrics


def test_one_bar_counts_all_steps(trained):
    (task,) = (task for task in trained[0].progress.tasks if "Training" in task.description)
    assert task.completed == task.total == 11


def test_the_loss_is_read_once_a_second(trained, tiny_module):
    bar, trainer, metrics = trained
    assert 1 <= metrics.reads <= 3  # of eleven steps, three ends of passes and what validation shows
    shown = bar.get_metrics(trainer, tiny_module)
    assert shown["train/loss"] == 3 and shown["val/AP"] == 0.5
