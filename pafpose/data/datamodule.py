"""PoseDataModule: the loaders of a training set and a validation set, and what every data module offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from pafpose.data.annotations.ground_truth import ground_truth
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.batch import collate
from pafpose.data.dataset import EvalDataset
from pafpose.data.loader import ResumableLoader, SeededSampler
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.fit import PhotoFit
from pafpose.errors import PafposeError
from pafpose.runtime.cores import usable_cores
from pafpose.runtime.signals import begin_loader_process
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings


class PoseDataModule(LightningDataModule):
    """Loaders over the datasets that a subclass makes in :meth:`setup`; they work without a Trainer too.

    With several processes, each loads its share of the same samples. ``seed=None`` takes torch's initial
    seed.
    """

    root: Path  # of the set that is validated
    _train: Any = None  # set by setup()
    _val: EvalDataset | None = None

    def __init__(
        self,
        *,
        name: str,
        skeleton: Skeleton,
        augment: AugmentSettings,
        mask: MaskSettings,
        evaluate: PhotoFit,
        stride: int,
        seed: int | None = None,
        batch_size: int = 10,
        val_batch_size: int = 8,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        self.name, self.skeleton, self.augment = name, skeleton, augment
        self.mask, self.evaluate, self.stride = mask, evaluate, stride
        self.seed = int(torch.initial_seed() % 2**31) if seed is None else seed
        self.batch_size, self.val_batch_size = batch_size, val_batch_size
        self.num_workers = default_workers() if num_workers is None else num_workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        for key, value in (("batch_size", batch_size), ("val_batch_size", val_batch_size)):
            if value < 1:
                raise PafposeError(f"data.{key}={value}: a batch needs at least one picture")

    def prepare_validation(self) -> None:
        """Make what validation needs; a data module that makes its data may leave the training set out."""
        self.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs: both splits for 'fit' and None, the validation split for others."""
        raise NotImplementedError

    def read_split(self, split: str, *, need_photos: bool = True) -> PoseIndex:
        """Return the annotations of ``train`` or ``val``, limits applied; raise when files are missing."""
        raise NotImplementedError

    def report_skipped(self, split: str) -> int:
        """Return how many unreadable samples of a split were replaced since the last call, and log it."""
        raise NotImplementedError

    @property
    def train_dataset(self) -> Any:
        """Return the training crops; make and read the data first when that was not done yet."""
        if self._train is None:
            self._set_up_alone("fit")
        return self._train

    @property
    def val_dataset(self) -> EvalDataset:
        """Return the whole validation photos; make and read the data first when that was not done yet."""
        if self._val is None:
            self._set_up_alone("validate")
        assert self._val is not None
        return self._val

    @property
    def val_index(self) -> PoseIndex:
        """Return the photos and people of the validation split, ``limit_val`` applied."""
        return self.val_dataset.index

    def val_ground_truth(self) -> dict[str, Any]:
        """Return the validation split as a COCO dictionary, with crowds and the scored keypoints."""
        return ground_truth(self.val_index, self.skeleton)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a resumable loader, shuffled by the seed.

        A last batch that is not full is left out, unless it is the only one.
        """
        dataset, trainer = self.train_dataset, self.trainer
        sampler = SeededSampler(
            dataset.groups,
            seed=self.seed,
            rank=0 if trainer is None else trainer.global_rank,
            world=1 if trainer is None else trainer.world_size,
        )
        sampler.start_at(0 if trainer is None else trainer.current_epoch)
        full = len(sampler) >= self.batch_size
        return ResumableLoader(
            dataset, batch_size=self.batch_size, sampler=sampler, drop_last=full, **self._loading()
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of every validation photo once."""
        return DataLoader(self.val_dataset, batch_size=self.val_batch_size, **self._loading())

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the validation photos."""
        return self.val_dataloader()

    def _set_up_alone(self, stage: str) -> None:
        """Do what a Trainer would have done."""
        if self.trainer is None:
            self.prepare_data() if stage == "fit" else self.prepare_validation()
        self.setup(stage)

    def _loading(self) -> dict[str, Any]:
        # Only loader processes work in parallel. OpenCV's threads must be gone before these are forked: a
        # child that stops threads which exist only in its parent waits for ever.
        cv2.setNumThreads(0)
        return {
            "collate_fn": collate,
            "num_workers": self.num_workers,
            "pin_memory": self.pin_memory,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": begin_loader_process,
        }


def default_workers() -> int:
    """Return the number of loader processes for this machine: half its cores, at least 1 and at most 8."""
    return min(8, max(1, usable_cores() // 2))
