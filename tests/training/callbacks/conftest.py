"""A module and data small enough to train for a few steps in a second; no decoder, no files."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from pafpose.data.batch import Sample, collate
from pafpose.fields import Fields, Poses
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder


class TinyNetwork(torch.nn.Module):
    def __init__(self, heatmaps: int, pafs: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, heatmaps + pafs, 8, 8))
        self.heatmaps = heatmaps

    def forward(self, images):
        out = self.layers(images.float())
        return [Fields(out[:, : self.heatmaps], out[:, self.heatmaps :])]


class FakeDecoder:
    """Finds one person in each photo, whose x is the sum of its first heatmap and whose y is its height."""

    def decode_batch(self, heatmaps, pafs, valid):
        people = []
        for fields, (height, _) in zip(heatmaps, valid.tolist(), strict=True):
            keypoints = torch.ones(1, 18, 3)
            keypoints[..., 0], keypoints[..., 1] = float(fields[0].sum()), float(height)
            people.append(Poses(keypoints, torch.ones(1)))
        return people


class TinyModule(pl.LightningModule):
    def __init__(self, skeleton) -> None:
        super().__init__()
        self.skeleton = skeleton
        settings = {"heatmap": HeatmapSettings(), "paf": PafSettings(), "mask": MaskSettings()}
        self.targets = TargetBuilder(skeleton, **settings, stride=8)
        self.network = TinyNetwork(self.targets.num_heatmaps, self.targets.num_pafs)
        self.decoder = FakeDecoder()

    def predict_fields(self, images):
        return self.network(images)[-1]

    def render(self, batch):
        size = (batch.image.shape[-2], batch.image.shape[-1])
        return self.targets(batch.keypoints, size, batch.boxes, batch.ignore)

    def training_step(self, batch, batch_idx):
        return self.network(batch.image)[-1].pafs.square().mean()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-5)


class TinyData(pl.LightningDataModule):
    def __init__(self, photos: int = 8) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.val_dataset = [make_sample(rng, 100 + n, people=n % 3) for n in range(photos)]

    def train_dataloader(self):
        return DataLoader(self.val_dataset, batch_size=2, collate_fn=collate, num_workers=0)

    def val_dataloader(self):
        return DataLoader(self.val_dataset, batch_size=2, collate_fn=collate, num_workers=0)


def make_sample(rng, image_id: int, *, people: int, valid: tuple[int, int] = (60, 70)) -> Sample:
    keypoints = rng.uniform(4, 60, (people, 18, 3))
    keypoints[..., 2] = 2
    return Sample(
        image=torch.from_numpy(rng.integers(0, 256, (3, 64, 72), dtype=np.uint8)),
        keypoints=torch.from_numpy(keypoints).float(),
        boxes=torch.from_numpy(np.tile([4.0, 4.0, 56.0, 56.0], (people, 1))).float(),
        ignore=torch.zeros(8, 9, dtype=torch.bool),
        image_id=image_id,
        matrix=torch.eye(3, dtype=torch.float64)[:2],
        valid=valid,
        original=(60, 70),
    )


@pytest.fixture
def tiny_module(coco18):
    torch.manual_seed(0)
    return TinyModule(coco18)


@pytest.fixture
def tiny_data():
    return TinyData()


@pytest.fixture
def make_trainer(tmp_path):
    def make(*callbacks, logger=False, **settings):
        return pl.Trainer(
            accelerator="cpu",
            max_steps=settings.pop("max_steps", 4),
            callbacks=list(callbacks),
            logger=logger,
            default_root_dir=tmp_path,
            enable_progress_bar=settings.pop("enable_progress_bar", False),
            enable_model_summary=False,
            enable_checkpointing=False,
            **settings,
        )

    return make
