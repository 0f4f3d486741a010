"""Resumed runs: the same weights, curves and best checkpoint as the run that was never interrupted."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pafpose
from pafpose.training.run import train

OPTIONS = (  # three batches a pass; two pictures are left over
    "backbone=tiny head=single callbacks.panels.num_photos=0 data.train_count=14 data.val_count=2 "
    "data.generator_workers=1 data.num_workers=0 data.batch_size=4 augment.crop=64 evaluate.input_size=64 "
    "data.picture_size=64 trainer.log_every_n_steps=1 trainer.accelerator=cpu scheduler=none "
    "callbacks.checkpoints.monitor=val/loss optimizer=adamw"
)
TINY = OPTIONS.split()


class KeepAll(Checkpoint):
    """Copies a run folder's checkpoints wherever a kill may find them, and saves where a signal would."""

    def __init__(self, run: str, folder: str) -> None:
        self.run, self.folder, self.count = Path(run), Path(folder), 0

    def keep(self, name: str) -> None:
        self.count += 1
        shutil.copytree(self.run / "checkpoints", self.folder / f"{self.count:02d}_{name}" / "checkpoints")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        if self.count:
            self.keep(f"before_batch_{trainer.fit_loop.total_batch_idx + 1}")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        (self.run / "checkpoints").mkdir(exist_ok=True)
        trainer.save_checkpoint(self.run / "checkpoints" / "last.ckpt")

    def on_validation_batch_start(self, trainer: Trainer, *args: object) -> None:
        self.keep(f"validating_{trainer.fit_loop.total_batch_idx + 1}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.keep(f"validated_{trainer.fit_loop.total_batch_idx + 1}")


def run(folder: Path, name: str, *overrides: str) -> Path:
    """Train in the folder ``name`` and return it."""
    places = [f"paths.output_dir={folder / name}", f"paths.data_dir={folder / 'data'}"]
    train(pafpose.load_config([*TINY, *places, *overrides]))
    return folder / name


def load(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def curves(folder: Path) -> dict[tuple[str, int], list[float]]:
    """Every point of TensorBoard but the pass, the speed and the rates, which have several points a step."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    points: dict[tuple[str, int], list[float]] = {}
    for tag in events.Tags()["scalars"]:
        if tag.startswith(("train/loss", "val/")):
            for point in events.Scalars(tag):
                points.setdefault((tag, point.step), []).append(point.value)
    return points


def check_the_same(expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Step, weights, averaged weights and the state of the optimiser, bit for bit."""
    assert expected["global_step"] == found["global_step"]
    for key in ("state_dict", "current_model_state"):
        assert expected.get(key, {}).keys() == found.get(key, {}).keys()
        for name, value in expected.get(key, {}).items():
            assert torch.equal(value, found[key][name]), name
    one, other = (content["optimizer_states"][0]["state"] for content in (expected, found))
    for number, state in one.items():
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[number][name])), name


def check_curves(whole: dict[Any, list[float]], rest: dict[Any, list[float]]) -> None:
    """The points of a resumed run are the last ones of the whole run."""
    for (tag, step), values in rest.items():
        expected = whole[tag, step][-len(values) :]
        assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(expected, values, strict=True))
    if rest:
        first = min(step for _, step in rest)
        assert {key for key in whole if key[1] > first} <= rest.keys()


RUNS = {
    "plain": ("trainer.max_steps=4", "trainer.val_check_interval=2"),
    "end of a pass": ("trainer.max_steps=7", "trainer.val_check_interval=3", "data.num_workers=2"),
    "average, Muon": (
        "trainer.max_steps=7", "trainer.val_check_interval=2", "callbacks=ema",
        "callbacks.ema.every_n_steps=2", "optimizer=muon", "data.num_workers=1",
    ),
    "gradients wait": (
        "trainer.max_steps=5", "trainer.val_check_interval=1", "trainer.accumulate_grad_batches=2",
        "callbacks=ema",
    ),
    "passes": ("trainer.max_steps=null", "trainer.max_epochs=2", "trainer.val_check_interval=2"),
    "once a pass": (
        "trainer.max_steps=7", "trainer.val_check_interval=1.0", "trainer.check_val_every_n_epoch=1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "plain" else pytest.mark.slow) for n in RUNS]
)
def test_a_run_resumes_exactly_from_every_checkpoint(tmp_path: Path, name: str) -> None:
    keep = (
        f"+callbacks.keep._target_={__name__}.KeepAll",
        "+callbacks.keep.run=${paths.output_dir}",
        f"+callbacks.keep.folder={tmp_path}/kept",
    )
    whole = run(tmp_path, "whole", *RUNS[name], *keep)
    points = curves(whole)
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) > 5
    for number, folder in enumerate(kept):
        resumed = run(tmp_path, f"resumed{number}", *RUNS[name], f"ckpt_path={folder}")
        check_the_same(load(whole), load(resumed))
        assert load(whole, "best")["global_step"] == load(resumed, "best")["global_step"], folder.name
        check_curves(points, curves(resumed))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 3, 6])
@pytest.mark.parametrize("validation", ["trainer.val_check_interval=50", "trainer.limit_val_batches=0"])
def test_a_finished_run_can_be_extended(tmp_path: Path, steps: int, validation: str) -> None:
    """It ended in the middle or at the end of a pass, where no validation was due."""
    whole = run(tmp_path, "whole", validation, "trainer.max_steps=8")
    start = run(tmp_path, "start", validation, f"trainer.max_steps={steps}")
    rest = run(tmp_path, "rest", validation, "trainer.max_steps=8", f"ckpt_path={start}")
    check_the_same(load(whole), load(rest))
