"""One training step as a whole: nothing in it waits for the device, and fields are compared in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

import pafpose
from pafpose.config import plain
from pafpose.data.batch import Batch
from pafpose.fields import Fields, Poses
from pafpose.inference.people import find_people
from pafpose.runtime.precision import network_precision
from pafpose.targets import builder
from pafpose.training.callbacks import PanelsCallback, Timing, ValidateLastStep
from pafpose.training.callbacks.progress import ProgressLines
from pafpose.training.module import PoseModule
from pafpose.training.optim import build_optimizer
from pafpose.training.time_budget import TimeBudget

SMALL = ["backbone=tiny", "head=single", "head.stride=8", "augment.crop=64"]


def make_batch(count: int = 2, people: int = 3) -> Batch:
    """People, an ignored corner, and a padding person."""
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(count, people, 18, 3, generator=generator) * 64
    keypoints[..., 2] = 2
    keypoints[:, -1] = 0
    ignore = torch.zeros(count, 8, 8, dtype=torch.bool)
    ignore[:, :2, :2] = True
    return Batch(
        image=torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator),
        keypoints=keypoints,
        boxes=torch.tensor([4.0, 4.0, 56.0, 56.0]).expand(count, people, 4).clone(),
        ignore=ignore,
        image_id=torch.arange(count),
        matrix=torch.eye(3, dtype=torch.float64)[:2].expand(count, 2, 3).clone(),
        valid=torch.full((count, 2), 64),
        original=torch.full((count, 2), 64),
    )


class NoSync(TorchDispatchMode):
    """Fails on operations that make the host wait for the device to read a value.

    ``host``: tensors that live on the host by design, as the step counters of optimisers do.
    """

    BAD = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero")

    def __init__(self, host: Callable[[], list[Tensor]] = list) -> None:
        super().__init__()
        self.host = host
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen.append(name)
        if name in self.BAD:
            assert any(args[0] is tensor for tensor in self.host()), f"{name} waits for the device"
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        assert not any(i is not None and i.dtype == torch.bool for i in indices), "boolean index"
        return func(*args, **(kwargs or {}))


def take_step(
    module: PoseModule, optimizer: torch.optim.Optimizer, batch: Batch, precision: str = "32-true"
) -> Tensor:
    """Targets, network, loss, terms of channels, backward, clipping and optimiser; the loss."""
    with network_precision(precision, batch.image.device):
        stages, targets = module(batch.image), module.render(batch)
        total = torch.stack(list(module.loss(stages, targets).values())).sum()
    module.channel_terms("train", stages[-1], targets)
    optimizer.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    return total.detach()


CHOICES = {
    "adamw": ["optimizer=adamw"],
    "adam": ["optimizer=openpose2019", "head=openpose2019", "head.paf_stages=1", "head.heatmap_stages=1"],
    "sgd": ["optimizer=cao2017", "head=cmu2017", "head.stages=2"],
    "hard": ["optimizer=sgd", "loss=hard", "loss.reduction=mean", "paf=scale_aware", "heatmap=scale_aware"],
    "focal": ["optimizer=adamw", "loss=focal", "head=lightweight2018", "mask.unlabelled_keypoints=true"],
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_step_reads_no_value_of_the_device(choice: str) -> None:
    """Targets, network, loss, backward, clipping and optimiser on a device that has no values at all.

    Tensors of the meta device know shapes alone: reading one, or copying it to the host, raises.
    """
    module = PoseModule(plain(pafpose.load_config([*SMALL, *CHOICES[choice]]))).to("meta")
    optimizer = build_optimizer(module.network, module.config["optimizer"])
    batch = Batch(*(field.to("meta") for field in make_batch()))
    for _ in range(2):  # the optimiser makes its state in the first
        total = take_step(module, optimizer, batch)
    assert total.device.type == module.render(batch).pafs.device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):
        total.item()  # so that the test would notice
    with pytest.raises((RuntimeError, NotImplementedError)):
        total.cpu()


def every_step() -> list[Callback]:
    """The callbacks that do something in every step; averaging waits whenever it updates."""
    return [Timing(), ProgressLines(), PanelsCallback(), ValidateLastStep(), TimeBudget(60)]


class Watch(Callback):
    """Forbids waiting between the start and the end of a training batch, logging included."""

    def __init__(self) -> None:
        self.mode: NoSync | None = None
        self.seen: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        optimizer = trainer.optimizers[0]
        self.mode = NoSync(lambda: [s["step"] for s in optimizer.state.values() if "step" in s])
        self.mode.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        assert self.mode is not None
        self.mode.__exit__(None, None, None)
        self.seen.append(len(self.mode.seen))


def test_lightnings_step_does_not_wait_either(tmp_path: Path) -> None:
    """The same under the Trainer with its logging, clipping, schedule and callbacks."""
    data = [f"paths.data_dir={tmp_path}", "data.train_count=8", "data.val_count=1", "data.picture_size=64"]
    data += ["data.generator_workers=1", "data.num_workers=0", "data.batch_size=2", "evaluate.input_size=64"]
    cfg = pafpose.load_config([*SMALL, *data, "loss.log_channels=true"])
    module = PoseModule(plain(cfg))
    module.targets.kernel = "torch"  # what a GPU runs
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu", max_steps=4, callbacks=[*every_step(), watch], logger=CSVLogger(tmp_path),
        log_every_n_steps=2, gradient_clip_val=1.0, limit_val_batches=0, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=pafpose.build_datamodule(cfg))
    assert len(watch.seen) == 4 and min(watch.seen) > 200


class WatchAll(Callback):
    """Forbids waiting from the start of the first batch to the end of the last."""

    def __init__(self) -> None:
        self.mode: NoSync | None = None

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.mode is None:
            optimizer = trainer.optimizers[0]
            self.mode = NoSync(lambda: [s["step"] for s in optimizer.state.values() if "step" in s])
            self.mode.__enter__()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == trainer.max_steps:
            assert self.mode is not None
            self.mode.__exit__(None, None, None)


@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:.*`training_step` in `PoseModule`")
def test_nothing_waits_between_steps(tmp_path: Path) -> None:
    """Lightning reads what is logged for its progress bar after every batch; nothing here asks it to."""
    module = PoseModule(plain(pafpose.load_config(SMALL)))
    module.targets.kernel = "torch"  # what a GPU runs
    watch = WatchAll()
    trainer = Trainer(
        accelerator="cpu", max_steps=4, callbacks=[*every_step(), watch], logger=CSVLogger(tmp_path),
        log_every_n_steps=50, limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    batches: DataLoader[Any] = DataLoader([make_batch()] * 4, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, batches, batches)
    assert watch.mode is not None and len(watch.mode.seen) > 800
    assert "train/loss" in trainer.callback_metrics


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_mixed_precision_leaves_targets_and_loss_in_float32(dtype: torch.dtype) -> None:
    module = PoseModule(plain(pafpose.load_config(SMALL))).eval()
    batch = make_batch()
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        stages, targets = module(batch.image), module.render(batch)
        terms = module.loss(stages, targets)
    assert stages[-1].pafs.dtype == dtype
    assert {t.dtype for t in (*targets, *terms.values())} == {torch.float32}
    plainly = module.render(batch)
    assert all(torch.equal(a, b) for a, b in zip(targets, plainly, strict=True))


class NoFloat64(TorchDispatchMode):
    """Fails when an operation makes a float64 tensor on the device, as MPS does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.is_meta:
                assert tensor.dtype != torch.float64, f"{func} makes float64"
        return out


@pytest.mark.parametrize("choice", CHOICES)
def test_nothing_asks_a_device_for_float64_that_has_none(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch's way to the device and the step, with meta in the place of MPS."""
    monkeypatch.setattr(builder, "WITHOUT_FLOAT64", ("meta",))
    meta = torch.device("meta")
    module = PoseModule(plain(pafpose.load_config([*SMALL, *CHOICES[choice]]))).to(meta)
    optimizer = build_optimizer(module.network, module.config["optimizer"])
    with NoFloat64():
        batch = module.transfer_batch_to_device(make_batch(), meta, 0)
        for _ in range(2):
            take_step(module, optimizer, batch)
    assert {batch.image.device, batch.keypoints.device, batch.boxes.device, batch.ignore.device} == {meta}
    assert batch.matrix.dtype == torch.float64 and batch.matrix.is_cpu
    with pytest.raises(AssertionError, match="float64"), NoFloat64():
        make_batch().matrix.to(meta)  # so that the test would notice


def test_people_leave_the_device_before_anything_is_float64() -> None:
    """Nothing can be copied from meta to the host, so the first attempt to do that is the end."""
    people = Poses(torch.zeros(1, 18, 3, device="meta"), torch.zeros(1, device="meta"))
    decoder: Any = SimpleNamespace(decode_batch=lambda *_: [people])
    fields = Fields(torch.zeros(1, device="meta"), torch.zeros(1, device="meta"))
    with NoFloat64(), pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        find_people(decoder, fields, matrices=make_batch().matrix[:1], valid=torch.full((1, 2), 64))
