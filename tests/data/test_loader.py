"""Resumed training sees the batches that an uninterrupted run would have seen next."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from pafpose.data.loader import ResumableLoader, SeededSampler

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]


class Note(pl.LightningModule):
    """Trains nothing; records what each step was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, float]] = []

    def training_step(self, batch, batch_idx):
        self.seen += [
            (int(i), float(p.double().mean())) for i, p in zip(batch.image_id, batch.image, strict=True)
        ]
        self.log("steps", float(self.global_step))
        return self.weight.square().sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(make_data, root: Path, folder: Path, *, steps: int, workers: int, resume: Path | None = None):
    """Three batches a pass; validation in the middle of passes; a checkpoint after every step."""
    module = Note()
    keep = ModelCheckpoint(
        folder, "{step}", every_n_train_steps=1, save_top_k=-1, auto_insert_metric_name=False,
        save_on_train_epoch_end=False,
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, callbacks=[keep], logger=False, val_check_interval=2,
        check_val_every_n_epoch=None, num_sanity_val_steps=0, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    data = make_data(root, num_workers=workers, augment={"flip": 0.5, "rotation": 40})
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return module.seen, trainer


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_resumed_run_sees_the_remaining_batches(two_splits, make_data, tmp_path, workers) -> None:
    whole, _ = fit(make_data, two_splits, tmp_path / "whole", steps=8, workers=workers)
    assert len(whole) == 16 and len(set(whole)) == 16  # two samples a step, each crop its own
    for done in range(1, 8):
        resume = tmp_path / "whole" / f"{done}.ckpt"
        rest, _ = fit(
            make_data, two_splits, tmp_path / f"from{done}", steps=8, workers=workers, resume=resume
        )
        assert rest == whole[2 * done :], f"after {done} of 3 batches a pass"


def test_a_finished_run_can_be_extended(two_splits, make_data, tmp_path) -> None:
    """It ended in the middle of an epoch, which Lightning counts as complete."""
    whole, _ = fit(make_data, two_splits, tmp_path / "whole", steps=6, workers=0)
    start, trainer = fit(make_data, two_splits, tmp_path / "start", steps=2, workers=0)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    rest, _ = fit(make_data, two_splits, tmp_path / "rest", steps=6, workers=0, resume=tmp_path / "end.ckpt")
    assert start + rest == whole


class Echo(torch.utils.data.Dataset):
    """Gives back what it is asked for."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, item):
        return item


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_resumes_its_own_share(rank: int) -> None:
    def loader() -> ResumableLoader:
        shared = SeededSampler(12, seed=1, rank=rank, world=2)
        return ResumableLoader(Echo(), batch_size=2, sampler=shared, collate_fn=list)

    first = loader()
    batches = list(first) + list(first)  # two passes of three batches
    assert len(batches) == 6
    interrupted = loader()
    list(interrupted)
    assert next(iter(interrupted)) == batches[3]
    resumed = loader()
    resumed.load_state_dict(interrupted.state_dict())
    assert list(resumed) == batches[4:]
    complete = loader()
    complete.load_state_dict({"epoch": 0, "batches": 3})
    assert list(complete) == batches[3:]


def test_workers_end_when_their_loader_is_deleted(two_splits, make_data) -> None:
    """In a reference cycle they would wait for the garbage collector, which closes their queues first."""
    data = make_data(two_splits, num_workers=1)
    data.setup("fit")
    loader = data.train_dataloader()
    list(loader)
    iterator = weakref.ref(loader._iterator)
    gc.disable()
    try:
        del loader
        assert iterator() is None
    finally:
        gc.enable()
