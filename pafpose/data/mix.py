"""Several data sets in one training: each a data module of its own, mixed by weights."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from pafpose.config import build
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.base import PoseLoaders
from pafpose.data.batch import Sample
from pafpose.data.datamodule import PoseDataModule, refuse_overlap
from pafpose.data.dataset import EvalDataset, TrainDataset
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.fit import PhotoFit
from pafpose.data.sampling import Quota
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings

log = logging.getLogger(__name__)


class MixedDataset(Dataset[Sample]):
    """Training sets one after another; ``shares`` of an epoch for each, None: as many as it has.

    An epoch has as many samples as those of all sets together.
    """

    def __init__(self, parts: Sequence[TrainDataset], shares: Sequence[float] | None = None) -> None:
        self.parts = list(parts)
        self.first = [0, *itertools.accumulate(len(part) for part in self.parts)]
        self.quotas = [
            Quota(start + quota.start, quota.length, count)
            for part, start, counts in zip(self.parts, self.first, self._counts(shares), strict=False)
            for quota, count in zip(part.quotas, counts, strict=True)
        ]

    def _counts(self, shares: Sequence[float] | None) -> list[list[int]]:
        """Samples an epoch of each quota of each part."""
        own = [[quota.take for quota in part.quotas] for part in self.parts]
        if shares is None:
            return own
        total = sum(map(sum, own))
        wanted = share_out(total, shares)
        return [share_out(count, quotas) for count, quotas in zip(wanted, own, strict=True)]

    @property
    def index(self) -> PoseIndex:
        """None, which is complained of."""
        raise PafposeError("a mix has no index of its own; look at each set by itself: data=...")

    def __len__(self) -> int:
        return self.first[-1]

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        item, seed = key if isinstance(key, tuple) else (key, None)
        if not 0 <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        part = int(np.searchsorted(self.first, item, side="right")) - 1
        own = item - self.first[part]
        return self.parts[part][own if seed is None else (own, seed)]


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers of that total, as near to the weights as can be.

    >>> share_out(10, [1, 1, 1])
    [4, 3, 3]
    """
    exact = np.array(weights, float) / sum(weights) * total
    out = np.floor(exact).astype(int)
    out[np.argsort(out - exact, kind="stable")[: total - out.sum()]] += 1
    return out.tolist()


class MixDataModule(PoseLoaders):
    """Trains on all ``sets``, validates on one of them; all are read with the skeleton in use.

    ``sets`` are nodes of ``conf/data`` by names of your own; their loaders' keys (batches, workers) do not
    count, those of this module do; ``limit_train``, ``limit_val`` and ``on_error``, unless null, are set in
    every set. ``weights`` are shares of an epoch by name, null: every set once.
    """

    def __init__(
        self,
        *,
        skeleton: Skeleton,
        augment: AugmentSettings,
        mask: MaskSettings,
        evaluate: PhotoFit,
        stride: int,
        sets: Mapping[str, Mapping[str, Any]],
        weights: Mapping[str, float] | None = None,
        validate: str,
        seed: int | None = None,
        name: str = "mix",
        batch_size: int = 10,
        val_batch_size: int = 8,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
        limit_train: int | None = None,
        limit_val: int | None = None,
        allow_overlap: bool = False,
        on_error: str | None = None,
        schedule: Mapping[str, Any] | None = None,  # read by conf/trainer, not here
    ) -> None:
        super().__init__(
            name=name, skeleton=skeleton, mask=mask, evaluate=evaluate, stride=stride, seed=seed,
            batch_size=batch_size, val_batch_size=val_batch_size,
            num_workers=num_workers, pin_memory=pin_memory,
        )  # fmt: skip
        self.allow_overlap = allow_overlap
        live = {
            "skeleton": skeleton,
            "augment": augment,
            "mask": mask,
            "evaluate": evaluate,
            "stride": stride,
        }
        for_all = {"limit_train": limit_train, "limit_val": limit_val, "on_error": on_error}
        chosen = {key: value for key, value in for_all.items() if value is not None}
        self.sets = {
            key: _part(key, {**node, **chosen}, seed=self.seed, **live) for key, node in sets.items()
        }
        if validate not in self.sets:
            raise PafposeError(f"data.validate={validate!r}: choose one of {', '.join(self.sets)}")
        self.validated = self.sets[validate]
        self.root = self.validated.root
        self.weights = None if weights is None else self._checked(weights)
        self._train: MixedDataset | None = None

    def _checked(self, weights: Mapping[str, float]) -> list[float]:
        if set(weights) != set(self.sets) or not all(float(w) > 0 for w in weights.values()):
            raise PafposeError(
                f"data.weights={dict(weights)}: needs a weight above 0 for each of {', '.join(self.sets)}, "
                "or null to take every set once; drop a set with ~data@data.sets.NAME ~data.weights.NAME"
            )
        return [float(weights[key]) for key in self.sets]

    def prepare_data(self) -> None:
        """Let every set make its data."""
        for part in self.sets.values():
            part.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs; photos that one set trains on and another validates on are refused."""
        self.validated.setup(stage if stage == "fit" else "validate")
        if stage not in ("fit", None) or self._train is not None:
            return
        parts = [part.train_dataset for part in self.sets.values()]
        if not self.allow_overlap:
            for part in parts:
                refuse_overlap(part.index, self.validated.val_dataset.index)
        self._train = MixedDataset(parts, self.weights)
        for key, count in self.samples_of().items():
            log.info("%s: %d samples an epoch from %s", self.name, count, key)

    def samples_of(self) -> dict[str, int]:
        """Samples an epoch from each set."""
        first = [*self.train_dataset.first]
        return {
            key: sum(q.take for q in self.train_dataset.quotas if low <= q.start < high)
            for key, low, high in zip(self.sets, first, first[1:], strict=False)
        }

    @property
    def train_dataset(self) -> MixedDataset:
        """Training crops of all sets; reads the data when nobody did yet."""
        if self._train is None:
            if self.trainer is None:
                self.prepare_data()
            self.setup("fit")
        assert self._train is not None
        return self._train

    @property
    def val_dataset(self) -> EvalDataset:
        """Whole validation photos of the set ``validate``."""
        return self.validated.val_dataset

    def read_split(self, split: str, *, photos: bool = True) -> PoseIndex:
        """The annotations of ``val``, those of the set ``validate``; those of ``train`` are several."""
        if split != "val":
            raise PafposeError(
                "a mix has no training annotations of its own; look at each set by itself: data=..."
            )
        return self.validated.read_split(split, photos=photos)

    def report_skipped(self, split: str) -> int:
        """At the end of an epoch: say of each set how many samples ``on_error=skip`` replaced; the sum."""
        if split != "train":
            return self.validated.report_skipped(split)
        return sum(part.report_skipped(split) for part in self.sets.values())


def _part(name: str, node: Mapping[str, Any], **live: Any) -> PoseDataModule:
    """The data module of one set; it must be one of pafpose's own."""
    part = build(node, trusted=False, **live)
    if not isinstance(part, PoseDataModule):
        raise PafposeError(
            f"data.sets.{name}: a {type(part).__name__} cannot be mixed; name a group of conf/data that "
            "reads one set, as in data@data.sets.NAME=coco"
        )
    return part
