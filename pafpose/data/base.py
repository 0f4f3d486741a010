"""What every data module has: loaders of a training and of a validation set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from pafpose.data.annotations.coco import ground_truth
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.batch import Sample, collate
from pafpose.data.dataset import EvalDataset
from pafpose.data.photos.fit import PhotoFit
from pafpose.data.resumable import ResumableLoader
from pafpose.data.sampling import SeededSampler
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings


class PoseLoaders(LightningDataModule):
    """Loaders over the sets that a subclass gives as ``train_dataset`` and ``val_dataset``.

    Works with and without a Trainer. With several processes each takes its share of the same samples.
    """

    def __init__(
        self,
        *,
        name: str,
        skeleton: Skeleton,
        mask: MaskSettings,
        evaluate: PhotoFit,
        stride: int,
        seed: int | None,
        batch_size: int,
        val_batch_size: int,
        num_workers: int | None,
        pin_memory: bool | None,
    ) -> None:
        super().__init__()
        self.name, self.skeleton = name, skeleton
        self.mask, self.evaluate, self.stride = mask, evaluate, stride
        self.seed = int(torch.initial_seed() % 2**31) if seed is None else seed
        self.batch_size, self.val_batch_size = batch_size, val_batch_size
        self.num_workers = default_workers() if num_workers is None else num_workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        for key, value in (("batch_size", batch_size), ("val_batch_size", val_batch_size)):
            if value < 1:
                raise PafposeError(f"data.{key}={value}: a batch needs at least one picture")

    root: Path  # of the set that is validated

    @property
    def train_dataset(self) -> Any:
        """Training crops; reads the data when nobody did yet."""
        raise NotImplementedError

    @property
    def val_dataset(self) -> EvalDataset:
        """Whole validation photos; reads the data when nobody did yet."""
        raise NotImplementedError

    def read_split(self, split: str, *, photos: bool = True) -> PoseIndex:
        """The annotations of ``train`` or ``val``, limits applied; ``photos=False``: no photos needed."""
        raise NotImplementedError

    def report_skipped(self, split: str) -> int:
        """Log how many unreadable photos of a split were left out, and return the number."""
        raise NotImplementedError

    @property
    def val_records(self) -> PoseIndex:
        """Photos and people of the validation split, ``limit_val`` applied."""
        return self.val_dataset.index

    def val_ground_truth(self) -> dict[str, Any]:
        """The validation split as a COCO dictionary, crowds included; photos and scored keypoints as used."""
        return ground_truth(self.val_records, self.skeleton)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled by the seed; the last, smaller batch is left out unless it is the only one. Resumable."""
        dataset, trainer = self.train_dataset, self.trainer
        sampler = SeededSampler(
            dataset.quotas,
            seed=self.seed,
            rank=0 if trainer is None else trainer.global_rank,
            world=1 if trainer is None else trainer.world_size,
        )
        sampler.start_at(0 if trainer is None else trainer.current_epoch)
        return self._loader(
            dataset,
            ResumableLoader,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.batch_size,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Every validation photo once."""
        return self._loader(self.val_dataset, batch_size=self.val_batch_size)

    def test_dataloader(self) -> DataLoader[Any]:
        """The validation photos."""
        return self.val_dataloader()

    def _loader(
        self, dataset: Dataset[Sample], kind: type[DataLoader[Any]] = DataLoader, **how: Any
    ) -> DataLoader[Any]:
        # Workers are the parallelism. OpenCV's pool must be gone before they are forked: stopping it in a
        # child waits for ever, because its threads do not exist there.
        cv2.setNumThreads(0)
        return kind(
            dataset,
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            persistent_workers=self.num_workers > 0,
            **how,
        )


def default_workers() -> int:
    """Loader processes for this machine: half its cores, 1 to 8; one keeps up with a CPU's training."""
    return min(8, max(1, len(os.sched_getaffinity(0)) // 2))
