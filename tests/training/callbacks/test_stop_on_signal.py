"""A signal in the middle of training, in this very process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from pafpose.runtime.signals import Interrupted, interruptible, is_free, raise_interrupted
from tests.training.test_resume import check_the_same, load, run


class Send(Callback):
    """Sends signals to this process in the middle of a step."""

    def __init__(self, signum: int, step: int, times: int = 1, validating: bool = False) -> None:
        self.signum, self.step, self.times, self.validating = signum, step, times, validating

    def send(self, trainer: Trainer) -> None:
        if trainer.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), self.signum)
                time.sleep(0.05)  # Python handles signals of one kind that come together once

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.send(trainer) if not self.validating else None

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.send(trainer) if self.validating else None


def sending(signum: int, **choices: Any) -> tuple[str, ...]:
    keys = {"signum": int(signum)} | choices
    return (
        f"+callbacks.send._target_={__name__}.Send",
        *(f"+callbacks.send.{key}={value}" for key, value in keys.items()),
    )


LENGTH = ("trainer.max_steps=4", "trainer.val_check_interval=2")


@pytest.mark.parametrize(
    ("choices", "saved"),
    [
        ({"step": 0}, 1),  # the batch is finished first
        ({"step": 1}, 2),  # before the validation that is due after it
        ({"step": 2, "validating": "true"}, 2),  # at once
        ({"step": 4, "validating": "true"}, 4),  # in the last validation
    ],
)
def test_what_is_saved_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, choices: dict[str, Any], saved: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stop:
        run(tmp_path, "first", *LENGTH, *sending(signal.SIGTERM, **choices))
    assert stop.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert load(tmp_path / "first")["global_step"] == saved
    whole = run(tmp_path, "whole", *LENGTH)
    rest = run(tmp_path, "rest", *LENGTH, f"ckpt_path={tmp_path / 'first'}")
    check_the_same(load(whole), load(rest))
    assert load(whole, "best")["global_step"] == load(rest, "best")["global_step"]


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, "first", *LENGTH, *sending(signal.SIGINT, step=0, times=2))
    assert not (tmp_path / "first" / "checkpoints").exists()


def test_a_launcher_gets_its_signal_after_the_checkpoint_is_saved(tmp_path: Path) -> None:
    """As submitit does; when its handler returns, training goes on."""
    found: list[tuple[int, bool]] = []

    def launcher(signum: int, frame: object) -> None:
        found.append((signum, (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()))

    before = signal.signal(signal.SIGUSR2, launcher)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGUSR2) is launcher
            run(tmp_path, "run", *LENGTH, *sending(signal.SIGUSR2, step=0))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert found == [(signal.SIGUSR2, True)]
    assert load(tmp_path / "run")["global_step"] == 4


def test_outside_training_a_signal_raises_at_once() -> None:
    assert is_free(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
        assert signal.getsignal(signal.SIGTERM) is raise_interrupted and is_free(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with interruptible():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and shells do
        with interruptible():
            os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, before)
    assert not issubclass(Interrupted, Exception)
