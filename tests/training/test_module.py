"""PoseModule under Lightning, with networks whose output is known: every logged number has a known value."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from pafpose import factory
from pafpose.data.batch import Batch
from pafpose.fields import Fields
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.evaluate import evaluate_trained
from pafpose.metrics import METRICS
from pafpose.training.module import PoseModule
from tests.known_people import KnownNetwork, known_config, write_photos

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]
QUIET = {
    "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False,
    "enable_checkpointing": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def validate(module: PoseModule) -> dict[str, float]:
    """One validation over the photos of the module's config; what was logged."""
    trainer = Trainer(logger=False, **QUIET)
    data = factory.build_datamodule(module.config)
    return dict(trainer.validate(module, datamodule=data, verbose=False)[0])


def module_with(config: dict, **how: Any) -> PoseModule:
    module = PoseModule(config)
    module.network = KnownNetwork(config, **how)
    return module


def test_true_people_have_an_ap_of_one_and_padding_holds_nobody(photos: Path) -> None:
    """Scored in pixels of photos that the network's input shrinks; ghosts in the padding are not decoded."""
    module = module_with(known_config(photos), ghosts=True)
    scores = validate(module)
    assert {f"val/{name}" for name in METRICS} <= set(scores)
    assert scores["val/AP"] == pytest.approx(1) and scores["val/AR"] == pytest.approx(1)


def test_every_validation_starts_anew(photos: Path) -> None:
    module = module_with(known_config(photos))
    nobody = module_with(known_config(photos), change=lambda heatmaps, _: torch.zeros_like(heatmaps)).network
    known = module.network
    for network, ap in ((known, 1), (nobody, 0), (known, 1)):
        module.network = network
        assert validate(module)["val/AP"] == pytest.approx(ap)


def noisy(heatmaps: Tensor, image_id: int) -> Tensor:
    """The same noise in a photo's fields at every call, strong enough to lose some keypoints."""
    noise = torch.rand(heatmaps.shape, generator=torch.Generator().manual_seed(image_id))
    return heatmaps + 0.5 * noise


def test_validation_and_evaluation_agree(photos: Path) -> None:
    """At scale 1 without flip, with neither a perfect nor a useless network."""
    config = known_config(photos, "data.val_batch_size=2")
    module = module_with(config, ghosts=True, change=noisy)
    scores = validate(module)
    result = evaluate_trained(TrainedNetwork(module.network, config), factory.build_datamodule(config))
    assert {name: scores[f"val/{name}"] for name in METRICS} == pytest.approx(
        {name: result.metrics[name] for name in METRICS}, abs=1e-6
    )
    assert 0.05 < result.metrics["AP"] < 0.95


class Told(PoseModule):
    """Predicts the targets of its batch, with known errors: heatmaps in stage 1, PAFs in stage 2."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.batch = batch
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.batch = batch
        super().validation_step(batch, batch_idx)

    def forward(self, images: Tensor) -> list[Fields]:
        assert images is self.batch.image
        heatmaps, pafs, *_ = self.render(self.batch)
        wrong = {1: 0.4, 2: 0.1}.get(len(images), 0.3)
        nothing = 0 * next(self.network.parameters()).sum()  # something to train
        return [Fields(heatmaps + wrong + nothing, pafs), Fields(heatmaps, pafs + 0.2)]


LOSS = ("loss=default", "loss.reduction=mean", "loss.log_channels=true", "data.val_batch_size=2")


def test_validation_logs_the_mean_over_photos_of_every_term(photos: Path) -> None:
    scores = validate(Told(known_config(photos, *LOSS)))
    heatmaps = (2 * 0.1**2 + 1 * 0.4**2) / 3  # batches of two photos and of one
    terms = {"heatmap_stage1": heatmaps, "paf_stage1": 0, "heatmap_stage2": 0, "paf_stage2": 0.2**2}
    expected = {f"val/loss/{name}": value for name, value in terms.items()}
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert scores["val/loss"] == pytest.approx(heatmaps + 0.2**2, rel=1e-4)
    assert scores["val/AP"] > 0.9
    skeleton = factory.build_skeleton(known_config(photos))
    keypoints = {f"val/keypoint/{name}": 0.0 for name in (*skeleton.keypoints, "background")}  # last stage
    limbs = {f"val/limb/{name}": 0.2**2 for name in skeleton.limb_names}
    channels = {key: value for key, value in scores.items() if "/keypoint/" in key or "/limb/" in key}
    assert channels == pytest.approx(keypoints | limbs, abs=1e-6)


def test_training_logs_every_term_where_logs_are_written(photos: Path, tmp_path: Path) -> None:
    config = known_config(photos, *LOSS, "data.batch_size=3", "data.sample_by=image")
    trainer = Trainer(
        logger=CSVLogger(tmp_path), max_steps=6, log_every_n_steps=3, limit_val_batches=0, **QUIET
    )
    trainer.fit(Told(config), datamodule=factory.build_datamodule(config))
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "5"]
    terms = {"heatmap_stage1": 0.3**2, "paf_stage1": 0, "heatmap_stage2": 0, "paf_stage2": 0.2**2}
    for row in rows:
        assert float(row["train/loss"]) == pytest.approx(0.13, rel=1e-4)
        assert {n: float(row[f"train/loss/{n}"]) for n in terms} == pytest.approx(terms, abs=1e-6)
        assert float(row["train/limb/neck-nose"]) == pytest.approx(0.04, abs=1e-6)


def test_the_loss_that_is_returned_is_the_sum_of_its_terms(photos: Path) -> None:
    module = Told(known_config(photos, *LOSS))
    data = factory.build_datamodule(module.config)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    trainer = Trainer(logger=False, **QUIET)
    trainer.log_every_n_steps = 0  # type: ignore[attr-defined]
    module.trainer = trainer
    assert float(module.training_step(batch, 0).detach()) == pytest.approx(0.1**2 + 0.2**2, rel=1e-4)


def test_skipped_photos_are_reported_for_both_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_photos(tmp_path)
    for split in ("train2017", "val2017"):
        (root / split / f"{103:012d}.png").unlink()
    config = known_config(root, "data.on_error=skip", "data.batch_size=3", "data.sample_by=image")
    module, kind = module_with(config), type(factory.build_datamodule(config))
    reports: list[tuple[str, int]] = []
    report = kind.report_skipped
    monkeypatch.setattr(
        kind, "report_skipped", lambda self, split: reports.append((split, report(self, split)))
    )
    assert validate(module)["val/AP"] == pytest.approx(1)
    assert reports == [("val", 1)]
    trainer = Trainer(logger=False, max_epochs=1, limit_val_batches=0, **QUIET)
    trainer.fit(module, datamodule=factory.build_datamodule(config))
    assert reports[1:] == [("train", 1)]


def test_the_schedule_moves_with_every_step_and_ends_with_the_run(photos: Path) -> None:
    config = known_config(
        photos, "optimizer=sgd", "scheduler=linear", "scheduler.warmup=0", "scheduler.final=0.5",
        "data.batch_size=1", "data.sample_by=image",
    )  # fmt: skip
    module, rates = module_with(config), []
    trainer = Trainer(logger=False, max_steps=5, limit_val_batches=0, **QUIET)
    module.on_train_batch_start = lambda *_: rates.append(trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore[method-assign]
    trainer.fit(module, datamodule=factory.build_datamodule(config))
    lr = config["optimizer"]["lr"]
    assert rates == pytest.approx([lr * (1 - 0.5 * step / 5) for step in range(5)])


def test_targets_follow_boxes_and_ignored_cells(photos: Path) -> None:
    module = PoseModule(known_config(photos, "heatmap.scale_by=person", "mask.outside_image=true"))
    data = factory.build_datamodule(module.config)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    targets = module.render(batch)
    shrunk = module.render(batch._replace(boxes=batch.boxes * torch.tensor([1, 1, 0.5, 0.5])))
    assert shrunk.heatmaps[:, :18].sum() < 0.8 * targets.heatmaps[:, :18].sum()
    counted = targets.heatmap_weights.expand_as(targets.heatmaps) > 0
    assert torch.equal(~counted, batch.ignore[:, None].expand_as(counted)) and batch.ignore.any()


@pytest.mark.parametrize("background", ["max", "none"])
def test_the_loss_knows_whether_there_is_a_background(photos: Path, background: str) -> None:
    """loss.foreground weighs that channel by how little of it there is."""
    module = PoseModule(
        known_config(photos, f"heatmap.background={background}", "loss.foreground=3", *LOSS[:1])
    )
    data = factory.build_datamodule(module.config)
    data.setup("validate")
    targets = module.render(next(iter(data.val_dataloader())))
    terms = module.loss([Fields(targets.heatmaps + 1, targets.pafs)], targets)
    share = targets.heatmaps.clone()
    if background == "max":
        share[:, -1] = 1 - share[:, -1]
    expected = ((1 + 3 * share) * targets.heatmap_weights).sum() / (2 * len(share))
    assert float(terms["heatmap_stage1"]) == pytest.approx(float(expected), rel=1e-4)
