"""PoseDataModule: a COCO-style folder as Lightning loaders; works without a Trainer too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pafpose.data.annotations import formats
from pafpose.data.annotations.cache import open_index
from pafpose.data.annotations.coco import layout, require
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.base import PoseLoaders
from pafpose.data.dataset import EvalDataset, TrainDataset
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.fit import PhotoFit
from pafpose.data.sampling import choose_photos, list_samples, with_background
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings

log = logging.getLogger(__name__)


class PoseDataModule(PoseLoaders):
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
        evaluate: PhotoFit,
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
        background_fraction: float | None = None,
        subset: float | str | Sequence[int] | None = None,
        subset_seed: int = 0,
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
        super().__init__(
            name=name, skeleton=skeleton, mask=mask, evaluate=evaluate, stride=stride, seed=seed,
            batch_size=batch_size, val_batch_size=val_batch_size,
            num_workers=num_workers, pin_memory=pin_memory,
        )  # fmt: skip
        self.root = Path(root)
        self.splits = {"train": (train_images, train_annotations), "val": (val_images, val_annotations)}
        self.format, self.box_area = format, box_area
        self.limits = {"train": limit_train, "val": limit_val}
        self.subset, self.subset_seed = subset, subset_seed
        self.augment = augment
        self.sample_by, self.background_fraction = sample_by, background_fraction
        self.allow_overlap, self.on_error = allow_overlap, on_error
        self.index_cache = index_cache
        self._train: TrainDataset | None = None
        self._val: EvalDataset | None = None
        self._check()

    def _check(self) -> None:
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
            refuse_overlap(self._train.index, self._val.index)

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
        if split == "train" and self.subset is not None:
            index = index.select(choose_photos(index, self.subset, seed=self.subset_seed))
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
        samples, quotas = with_background(index, samples, self.background_fraction)
        return TrainDataset(
            index,
            self.skeleton,
            samples=samples,
            quotas=quotas,
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
        """Photos and people of the training split, ``subset`` and ``limit_train`` applied."""
        return self.train_dataset.index

    def report_skipped(self, split: str) -> int:
        """At the end of an epoch: say how many samples of a split ``data.on_error=skip`` replaced."""
        dataset = self._train if split == "train" else self._val
        return 0 if dataset is None else dataset.report_skipped(f"{self.name} {split}")


def refuse_overlap(train: PoseIndex, val: PoseIndex) -> None:
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
