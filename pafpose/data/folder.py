"""FolderDataModule: photos and annotation files below one folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations import formats
from pafpose.data.annotations.cache import open_index
from pafpose.data.annotations.faults import Faults
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.annotations.paths import find_split, one_source
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.dataset import EvalDataset, TrainDataset
from pafpose.data.photo_file import MAX_PIXELS, PhotoLimits
from pafpose.data.sampling import choose_photos, choose_validation, list_samples, why_nobody, with_background
from pafpose.errors import PafposeError

log = logging.getLogger(__name__)


class FolderDataModule(PoseDataModule):
    """A data set below ``root``; the arguments are the keys of ``conf/data/coco.yaml``.

    Nothing is read before :meth:`setup`, which raises when files are missing. A subclass that makes its data
    overrides :meth:`prepare_data`, which one process calls once and which must be repeatable, to fill
    ``root``.
    """

    _train: TrainDataset | None = None

    def __init__(
        self,
        *,
        root: str,
        name: str = "coco",
        train_images: str = "train2017",
        train_annotations: str | Sequence[str] = "annotations/person_keypoints_train2017.json",
        val_images: str = "val2017",
        val_annotations: str | Sequence[str] | None = "annotations/person_keypoints_val2017.json",
        val_fraction: float = 0.1,
        split_seed: int = 0,
        format: str = "coco",
        box_area: float = 1.0,
        sample_by: str = "person",
        background_fraction: float | None = None,
        subset: float | str | Sequence[int] | None = None,
        subset_seed: int = 0,
        limit_train: int | None = None,
        limit_val: int | None = None,
        allow_overlap: bool = False,
        on_error: str = "raise",
        max_pixels: int = MAX_PIXELS,
        allow_outside: bool = False,
        index_cache: str | None = "auto",
        schedule: Mapping[str, Any] | None = None,  # conf/trainer reads it
        **common: Any,  # arguments of PoseDataModule
    ) -> None:
        super().__init__(name=name, **common)
        self.root = Path(str(root)).expanduser()
        self.splits = {"train": (train_images, _listed(train_annotations))}
        if val_annotations is not None:
            self.splits["val"] = val_images, _listed(val_annotations)
        self.val_fraction, self.split_seed = val_fraction, split_seed
        self.format, self.box_area = format, box_area
        self.limits = {"train": limit_train, "val": limit_val}
        self.subset, self.subset_seed = subset, subset_seed
        self.sample_by, self.background_fraction = sample_by, background_fraction
        self.allow_overlap, self.on_error = allow_overlap, on_error
        self.max_pixels, self.allow_outside = max_pixels, allow_outside
        self.index_cache = index_cache
        self._check()

    def _check(self) -> None:
        if not 0 < self.box_area <= 1:
            raise PafposeError(
                f"data.box_area={self.box_area}: choose a fraction of the box, above 0 and up to 1"
            )
        formats.find_reader(self.format)
        if self.max_pixels < 1:
            raise PafposeError(f"data.max_pixels={self.max_pixels}: choose 1 or more pixels")
        for split, limit in self.limits.items():
            if limit is not None and limit < 1:
                raise PafposeError(f"data.limit_{split}={limit}: choose 1 or more photos, or null for all")
        if self.augment.crop % self.stride:
            raise PafposeError(
                f"augment.crop={self.augment.crop} is not a multiple of head.stride={self.stride}; choose "
                f"{max(1, round(self.augment.crop / self.stride)) * self.stride}"
            )
        if self.augment.flip > 0:
            assert self.skeleton.flip_limbs  # raises when a limb has no mirror

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs: both splits for 'fit' and None, the validation split for others."""
        if stage in ("fit", None) and self._train is None:
            self._train = self._make_train(self.read_split("train"))
        if self._val is None:
            self._val = self._make_val(self.read_split("val"))
        if self._train is not None and not self.allow_overlap:
            refuse_overlap(self._train.index, self._val.index)

    def find_split(self, split: str, *, need_photos: bool = True) -> tuple[Path, list[Path]]:
        """Return the photos and the annotation files of a split; raise when one of them is missing.

        Without ``val_annotations``, validation photos are a part of the training photos.
        """
        place = split if split in self.splits else "train"
        return find_split(self.root, self.splits, place, need_photos=need_photos)

    def read_split(self, split: str, *, need_photos: bool = True) -> PoseIndex:
        """Return the annotations of ``train`` or ``val``, limits applied; raise when files are missing."""
        photos, annotations = self.find_split(split, need_photos=need_photos)
        source = one_source(annotations)
        one_file = self.format == "coco" and len(annotations) == 1
        index = open_index(
            source,
            photos,
            self.skeleton,
            read=lambda: self.read_whole(photos, annotations, Faults(source, self.on_error)),
            cache=self.index_cache if one_file else None,  # its name tells only what one file holds
            reader_settings=(self.box_area, self.on_error),
        )
        index = replace(index, limits=self.photo_limits(photos))
        if "val" not in self.splits:
            chosen = choose_validation(index, self.val_fraction, seed=self.split_seed)
            index = index.select(np.flatnonzero(chosen if split == "val" else ~chosen))
        if split == "train" and self.subset is not None:
            index = index.select(choose_photos(index, self.subset, seed=self.subset_seed))
        index = index.head(self.limits[split] or len(index))
        log.debug("%s %s: %d photos, %d people", self.name, split, len(index), len(index.keypoints))
        return index

    def read_whole(self, photos: Path, annotations: Sequence[Path], faults: Faults) -> PoseIndex:
        """Return everything in annotation files; ``faults`` decides about values that cannot be used."""
        return formats.read_index(
            self.format,
            annotations,
            photos,
            self.skeleton,
            box_area=self.box_area,
            faults=faults,
            limits=self.photo_limits(photos),
        )

    def photo_limits(self, photos: Path) -> PhotoLimits:
        """Return which photo files may be opened: those below ``root``, and below the folder of photos."""
        folders = [] if self.allow_outside else [self.root, formats.photos_folder(photos)]
        return PhotoLimits(self.max_pixels, tuple(dict.fromkeys(os.path.realpath(f) for f in folders)))

    @property
    def train_index(self) -> PoseIndex:
        """Return the photos and people of the training split, ``subset`` and ``limit_train`` applied."""
        return self.train_dataset.index

    def report_skipped(self, split: str) -> int:
        """Return how many unreadable samples of a split were replaced since the last call, and log it."""
        dataset = self._train if split == "train" else self._val
        return 0 if dataset is None else dataset.report_skipped(f"{self.name} {split}")

    def make_dataset(self, split: str, index: PoseIndex) -> TrainDataset | EvalDataset:
        """Return the samples of ``train`` or ``val``; raise when nobody is there to train on."""
        return self._make_train(index) if split == "train" else self._make_val(index)

    def _make_train(self, index: PoseIndex) -> TrainDataset:
        samples = list_samples(
            index,
            self.skeleton,
            sample_by=self.sample_by,
            min_keypoints=self.mask.min_keypoints,
            min_area=self.mask.min_area,
        )
        if not len(samples):
            reasons = why_nobody(
                index, self.skeleton, min_keypoints=self.mask.min_keypoints, min_area=self.mask.min_area
            )
            raise PafposeError(
                f"{index.folder}: nobody to train on. {reasons}. data.sample_by=image trains on whole photos"
            )
        samples, groups = with_background(index, samples, self.background_fraction)
        return TrainDataset(
            index,
            self.skeleton,
            samples=samples,
            groups=groups,
            augment=self.augment,
            mask=self.mask,
            stride=self.stride,
            on_error=self.on_error,
        )

    def _make_val(self, index: PoseIndex) -> EvalDataset:
        return EvalDataset(
            index,
            self.skeleton,
            fit=self.evaluate,
            mask=self.mask,
            stride=self.stride,
            on_error=self.on_error,
        )


def _listed(annotations: str | Sequence[str]) -> list[str]:
    names = [annotations] if isinstance(annotations, str) else list(annotations)
    return [str(name) for name in names]


def refuse_overlap(train: PoseIndex, val: PoseIndex) -> None:
    """Raise when validation photos are training photos: the same file, or a copy of the same name."""
    names = set(train.files.tolist())
    shared = [
        name
        for name in val.files.tolist()
        if name in names and _same_file(train.folder / name, val.folder / name)
    ]
    if shared:
        raise PafposeError(
            f"{len(shared)} of {len(val)} validation photos are training photos too, so AP would be too "
            f"high: {', '.join(shared[:5])}{' ...' if len(shared) > 5 else ''}; remove them from one "
            "annotation file, or set data.allow_overlap=true to overfit on purpose"
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
            return False
        return one.samefile(other) or one.read_bytes() == other.read_bytes()
    except OSError:
        return False  # a missing photo is reported when it is read
