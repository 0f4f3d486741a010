"""PoseDataModule: a COCO-style folder as Lightning loaders; works without a Trainer too."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from pafpose.data import formats
from pafpose.data.augment import AugmentSettings
from pafpose.data.cache import open_index
from pafpose.data.coco import ground_truth, layout, require
from pafpose.data.collate import collate
from pafpose.data.dataset import EvalDataset, PoseDataset, TrainDataset
from pafpose.data.index import PoseIndex
from pafpose.data.loader import ResumableLoader
from pafpose.data.sampling import SeededSampler, list_samples
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings

log = logging.getLogger(__name__)


class EvaluationSize(Protocol):
    """What is needed of ``conf/evaluate``."""

    @property
    def input_size(self) -> int: ...
    @property
    def fit(self) -> str: ...


class PoseDataModule(LightningDataModule):
    """COCO's layout under ``root``; every key of ``conf/data`` is an argument, paths are below ``root``.

    Nothing is read before :meth:`setup`, which complains of missing data. A subclass that makes its data
    overrides :meth:`prepare_data` (called once, on one process; must be repeatable) to fill ``root``.
    """

    def __init__(
        self,
        *,
        skeleton: Skeleton,
        augment: AugmentSettings,
        mask: MaskSettings,
        evaluate: EvaluationSize,
        stride: int,
        seed: int | None = None,
        root: str,
        name: str = "coco",
        train_images: str = "train2017",
        train_annotations: str = "annotations/person_keypoints_train2017.json",
        val_images: str = "val2017",
        val_annotations: str = "annotations/person_keypoints_val2017.json",
        format: str = "coco",
        box_area: float = 1.0,
        sample_by: str = "person",
        batch_size: int = 10,
        val_batch_size: int = 8,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
        limit_train: int | None = None,
        limit_val: int | None = None,
        allow_overlap: bool = False,
        on_error: str = "raise",
        index_cache: str | None = "auto",
        schedule: Mapping[str, Any] | None = None,  # read by conf/trainer, not here
    ) -> None:
        super().__init__()
        self.name = name
        self.root = Path(root)
        self.splits = {"train": (train_images, train_annotations), "val": (val_images, val_annotations)}
        self.format, self.box_area = format, box_area
        self.limits = {"train": limit_train, "val": limit_val}
        self.skeleton, self.augment, self.mask, self.evaluate = skeleton, augment, mask, evaluate
        self.stride = stride
        self.seed = int(torch.initial_seed() % 2**31) if seed is None else seed
        self.sample_by = sample_by
        self.batch_size, self.val_batch_size = batch_size, val_batch_size
        self.num_workers = default_workers() if num_workers is None else num_workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.allow_overlap, self.on_error = allow_overlap, on_error
        self.index_cache = index_cache
        self._train: TrainDataset | None = None
        self._val: EvalDataset | None = None
        self._check()

    def _check(self) -> None:
        for key, value in (("batch_size", self.batch_size), ("val_batch_size", self.val_batch_size)):
            if value < 1:
                raise PafposeError(f"data.{key}={value}: a batch needs at least one picture")
        if not 0 < self.box_area <= 1:
            raise PafposeError(f"data.box_area={self.box_area}: is a share of the box: above 0, up to 1")
        formats.find_reader(self.format)
        for split, limit in self.limits.items():
            if limit is not None and limit < 1:
                raise PafposeError(f"data.limit_{split}={limit}: choose 1 or more photos, or null for all")
        if self.augment.crop % self.stride:
            raise PafposeError(
                f"augment.crop={self.augment.crop} is not a multiple of head.stride={self.stride}; choose "
                f"{max(1, round(self.augment.crop / self.stride)) * self.stride}"
            )
        if self.augment.flip > 0:
            assert self.skeleton.flip_limbs  # complains of limbs without a mirror

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs ('fit' or None: both splits; others: val); repeatable."""
        if stage in ("fit", None) and self._train is None:
            self._train = self._train_dataset(self.read_split("train"))
        if self._val is None:
            self._val = self._val_dataset(self.read_split("val"))
        if self._train is not None and not self.allow_overlap:
            _refuse_overlap(self._train.index, self._val.index)

    def read_split(self, split: str, *, photos: bool = True) -> PoseIndex:
        """The annotations of ``train`` or ``val``, limits applied; ``photos=False``: no photos needed."""
        folder, annotations = (self.root / name for name in self.splits[split])
        require(
            annotations,
            folder if photos else annotations.parent,
            layout(self.root.absolute(), [*self.splits.values()]),
        )
        index = open_index(
            annotations,
            folder,
            self.skeleton,
            read=lambda: formats.read_index(
                self.format,
                annotations,
                folder,
                self.skeleton,
                box_area=self.box_area,
                on_error=self.on_error,
            ),
            cache=self.index_cache if self.format == "coco" else None,  # others read further files
            reading=(self.box_area, self.on_error),
        )
        index = index.head(self.limits[split] or len(index))
        log.info("%s %s: %d photos, %d people", self.name, split, len(index), len(index.keypoints))
        return index

    def _train_dataset(self, index: PoseIndex) -> TrainDataset:
        samples = list_samples(
            index,
            self.skeleton,
            sample_by=self.sample_by,
            min_keypoints=self.mask.min_keypoints,
            min_area=self.mask.min_area,
        )
        if not len(samples):
            raise PafposeError(
                f"{index.folder}: nobody has {self.mask.min_keypoints} keypoints and {self.mask.min_area:g} "
                "px^2, so there is nothing to sample; lower mask.min_keypoints or mask.min_area, or choose "
                "data.sample_by=image"
            )
        return TrainDataset(
            index,
            self.skeleton,
            samples=samples,
            augment=self.augment,
            mask=self.mask,
            stride=self.stride,
            on_error=self.on_error,
        )

    def _val_dataset(self, index: PoseIndex) -> EvalDataset:
        return EvalDataset(
            index,
            self.skeleton,
            input_size=self.evaluate.input_size,
            fit=self.evaluate.fit,
            mask=self.mask,
            stride=self.stride,
            on_error=self.on_error,
        )

    @property
    def train_dataset(self) -> TrainDataset:
        """Training crops; reads the data when nobody did yet."""
        if self._train is None:
            self._get_ready("fit")
        assert self._train is not None
        return self._train

    @property
    def val_dataset(self) -> EvalDataset:
        """Whole validation photos; reads the data when nobody did yet."""
        if self._val is None:
            self._get_ready("validate")
        assert self._val is not None
        return self._val

    def _get_ready(self, stage: str) -> None:
        if self.trainer is None:
            self.prepare_data()
        self.setup(stage)

    @property
    def train_records(self) -> PoseIndex:
        """Photos and people of the training split, ``limit_train`` applied."""
        return self.train_dataset.index

    @property
    def val_records(self) -> PoseIndex:
        """Photos and people of the validation split, ``limit_val`` applied."""
        return self.val_dataset.index

    def report_skipped(self, split: str) -> int:
        """At the end of an epoch: say how many samples of a split ``data.on_error=skip`` replaced."""
        dataset = self._train if split == "train" else self._val
        return 0 if dataset is None else dataset.report_skipped(f"{self.name} {split}")

    def val_ground_truth(self) -> dict[str, Any]:
        """The validation split as a COCO dictionary, crowds included; photos and scored keypoints as used."""
        return ground_truth(self.val_records, self.skeleton)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled by the seed; the last, smaller batch is left out unless it is the only one. Resumable."""
        dataset = self.train_dataset
        sampler = SeededSampler(len(dataset), seed=self.seed)
        sampler.start_at(0 if self.trainer is None else self.trainer.current_epoch)
        return self._loader(
            dataset,
            ResumableLoader,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=len(dataset) >= self.batch_size,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Every validation photo once."""
        return self._loader(self.val_dataset, batch_size=self.val_batch_size)

    def test_dataloader(self) -> DataLoader[Any]:
        """The validation photos."""
        return self.val_dataloader()

    def _loader(
        self, dataset: PoseDataset, kind: type[DataLoader[Any]] = DataLoader, **how: Any
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


def _refuse_overlap(train: PoseIndex, val: PoseIndex) -> None:
    """Raise when validation photos are training photos: the same file, or one of the same name and bytes."""
    names = set(train.files.tolist())
    shared = [
        name
        for name in val.files.tolist()
        if name in names and _same_file(train.folder / name, val.folder / name)
    ]
    if shared:
        raise PafposeError(
            f"{len(shared)} of {len(val)} validation photos are training photos too, so AP would flatter: "
            f"{', '.join(shared[:5])}{' ...' if len(shared) > 5 else ''}; take them out of "
            f"one annotation file, or say data.allow_overlap=true to overfit on purpose"
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        if one.stat().st_size != other.stat().st_size:
            return False
        return one.samefile(other) or one.read_bytes() == other.read_bytes()
    except OSError:
        return False  # a missing photo is complained of when it is read
