"""Weight averaging: what validation sees, what checkpoints hold, what resuming restores."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pafpose.config import build, load_config
from pafpose.errors import PafposeError
from pafpose.training.callbacks.ema import EMA, update_average
from pafpose.training.callbacks.panels import PanelsCallback

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*logging interval.*",
    "ignore:Checkpoint directory .* exists and is not empty.*",
    "ignore:.*does not have many workers.*",
)


class Line(LightningModule):
    """A layer with BatchNorm; notes the weights it trains with and the state it is validated with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("table", torch.arange(40))
        self.trained: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def copy_state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state_dict().items()}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.norm(self.layer(batch)) - 3).square().mean()

    def on_train_batch_end(self, *args: Any) -> None:
        self.trained.append(self.copy_state())

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.copy_state())
        self.log("val/AP", torch.tensor(float(len(self.validated))))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.5)


def fit(tmp_path: Path, ema: EMA, *, steps: int, ckpt: str | None = None, **settings: Any) -> Line:
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
        **settings,
    )
    trainer.fit(module, data, DataLoader(torch.randn(1, 1)), ckpt_path=ckpt, weights_only=True)
    trainer.save_checkpoint(tmp_path / "after.ckpt")
    return module


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def check_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_the_average_by_hand(tmp_path: Path) -> None:
    """The first update copies; update n has the decay (1 + n) / (10 + n), at most 0.9."""
    module = fit(tmp_path, EMA(0.9, every_n_steps=1), steps=4)
    for name in ("layer.weight", "norm.weight", "norm.running_mean", "norm.running_var"):
        first, second, third, fourth = (state[name].double() for state in module.trained)
        average = (second * 9 + first * 2) / 11
        torch.testing.assert_close(module.validated[0][name].double(), average)
        average = (third * 9 + average * 3) / 12
        average = (fourth * 9 + average * 4) / 13
        torch.testing.assert_close(module.validated[1][name].double(), average)
        assert not torch.equal(module.validated[1][name], module.trained[-1][name])


def test_a_long_run_averages_with_the_decay_of_its_steps() -> None:
    averages, values = [torch.zeros(1)], [torch.ones(1)]
    update_average(averages, values, torch.tensor(10**6), decay=0.998**10)
    assert averages[0].item() == pytest.approx(1 - 0.998**10)
    ema = EMA(0.998, every_n_steps=10)
    assert [step for step in range(41) if ema.should_update(step_idx=step)] == [*range(10), 19, 29, 39]
    assert not ema.should_update(epoch_idx=9)


def test_the_decay_is_per_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr("pafpose.training.callbacks.ema.update_average", lambda *_, decay: seen.append(decay))
    fit(tmp_path, EMA(0.5, every_n_steps=3), steps=6)  # updates after steps 1, 2, 3 and 6; the first copies
    assert {*seen} == {0.125}


def test_checkpoints_hold_the_average_and_the_weights_being_trained(tmp_path: Path) -> None:
    module = fit(tmp_path, EMA(0.9, every_n_steps=1), steps=4)
    for name in ("last.ckpt", "after.ckpt"):  # saved by a validation, and after training
        saved = load(tmp_path / name)
        check_equal(saved["state_dict"], module.validated[-1])
        check_equal(saved["current_model_state"], module.trained[-1])
    check_equal(module.copy_state(), module.trained[-1])


@pytest.mark.parametrize("name", ["last.ckpt", "after.ckpt"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, name: str) -> None:
    straight = fit(tmp_path / "a", EMA(0.9, every_n_steps=3), steps=8)
    fit(tmp_path / "b", EMA(0.9, every_n_steps=3), steps=4)
    resumed = fit(tmp_path / "b", EMA(0.9, every_n_steps=3), steps=8, ckpt=str(tmp_path / "b" / name))
    check_equal(resumed.trained[-1], straight.trained[-1])
    check_equal(resumed.validated[-1], straight.validated[-1])
    a, b = load(tmp_path / "a" / "last.ckpt"), load(tmp_path / "b" / "last.ckpt")
    check_equal(a["state_dict"], b["state_dict"])
    assert a["averaging_state"] == b["averaging_state"]


def test_accumulated_batches_count_once(tmp_path: Path) -> None:
    fit(tmp_path, EMA(0.9, every_n_steps=1), steps=2, accumulate_grad_batches=2)
    assert load(tmp_path / "last.ckpt")["averaging_state"]["n_averaged"] == 2


def test_whole_numbers_are_copied(tmp_path: Path) -> None:
    module = fit(tmp_path, EMA(0.9, every_n_steps=1), steps=4)
    assert torch.equal(module.validated[-1]["table"], torch.arange(40))
    assert module.validated[-1]["norm.num_batches_tracked"] == 4


def test_the_average_is_made_where_the_module_trains() -> None:
    """Lightning moves the module there only after ``setup``."""
    trainer, module = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta"))), Line()
    EMA().setup(trainer, module, "fit")  # type: ignore[arg-type]
    assert module.device.type == "meta"


def test_panels_are_drawn_before_the_average_is_taken_back() -> None:
    """Both happen in the same hook, in the order of the config."""
    nodes = load_config(["callbacks=ema", "callbacks.panels.num_photos=1"]).callbacks
    kinds = [type(build(node)) for node in nodes.values()]
    assert kinds.index(PanelsCallback) < kinds.index(EMA)


def test_it_travels_to_other_processes() -> None:
    assert isinstance(pickle.loads(pickle.dumps(EMA())), EMA)


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"decay": -0.1}, {"every_n_steps": 0}])
def test_wrong_settings_name_the_key(wrong: dict[str, Any]) -> None:
    with pytest.raises(PafposeError, match=rf"callbacks\.ema\.{next(iter(wrong))}="):
        EMA(**wrong)
