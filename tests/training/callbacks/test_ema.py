"""Weight averaging: what validation sees, what checkpoints hold, what resuming restores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pafpose.errors import PafposeError
from pafpose.training.callbacks.ema import EMA, averaged

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*logging interval.*",
    "ignore:Checkpoint directory .* exists and is not empty.*",
)


class Line(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.norm(self.layer(batch)) - 3).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.seen.append(self.layer.weight.detach().clone())
        self.log("val/AP", torch.tensor(float(len(self.seen))))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(tmp_path: Path, ema: EMA, *, steps: int, ckpt: str | None = None, **kwargs: object) -> Line:
    torch.manual_seed(0)
    data = DataLoader(torch.randn(16, 1), batch_size=4)
    module = Line()
    trainer = Trainer(
        max_steps=steps,
        val_check_interval=2,
        logger=False,
        callbacks=[ModelCheckpoint(tmp_path, save_last=True, monitor="val/AP", mode="max"), ema],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator="cpu",
        **kwargs,
    )
    trainer.fit(module, data, DataLoader(torch.randn(2, 1)), ckpt_path=ckpt)
    return module


def test_validation_and_checkpoints_use_the_average(tmp_path: Path) -> None:
    ema = EMA(0.9)
    module = fit(tmp_path, ema, steps=4)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    training = saved["ema_training_weights"]
    torch.testing.assert_close(saved["state_dict"]["layer.weight"], module.seen[-1])
    torch.testing.assert_close(training["layer.weight"], module.layer.weight.detach())
    assert not torch.equal(module.seen[-1], module.layer.weight)
    assert "norm.running_mean" in training
    assert saved["state_dict"]["norm.num_batches_tracked"] == 4


def test_resuming_restores_both(tmp_path: Path) -> None:
    straight = fit(tmp_path / "a", EMA(0.9), steps=8)
    fit(tmp_path / "b", EMA(0.9), steps=4)
    ema = EMA(0.9)
    resumed = fit(tmp_path / "b", ema, steps=8, ckpt=str(tmp_path / "b" / "last.ckpt"))
    torch.testing.assert_close(resumed.layer.weight, straight.layer.weight)
    a = torch.load(tmp_path / "a" / "last.ckpt", weights_only=True)
    b = torch.load(tmp_path / "b" / "last.ckpt", weights_only=True)
    for name, value in a["state_dict"].items():
        torch.testing.assert_close(value, b["state_dict"][name])


def test_accumulated_batches_count_once(tmp_path: Path) -> None:
    ema = EMA(0.9)
    fit(tmp_path, ema, steps=2, accumulate_grad_batches=2)
    assert ema.state_dict() == {"updates": 2}


def test_the_average_by_hand() -> None:
    """After steps n = 0, 1 the decays are 1/10 and 2/11."""
    module = Line()
    ema = EMA(0.998)

    class FakeTrainer:
        global_step = 0

    trainer = FakeTrainer()
    nn.init.zeros_(module.layer.weight)
    ema.on_fit_start(trainer, module)
    for step, value in enumerate((1.0, 2.0), start=1):
        nn.init.constant_(module.layer.weight, value)
        trainer.global_step = step
        ema.on_train_batch_end(trainer, module)
    assert ema._average is not None
    assert ema._average["layer.weight"].item() == pytest.approx(0.9 * 2 / 11 + 2 * 9 / 11)


def test_integers_are_not_averaged() -> None:
    assert "norm.num_batches_tracked" not in averaged(Line())


def test_a_decay_of_one_is_refused() -> None:
    with pytest.raises(PafposeError, match=r"callbacks\.ema\.decay=1"):
        EMA(1.0)
