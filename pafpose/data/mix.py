"""MixDataModule: several data sets in one training, mixed by weights."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from pafpose.config import build
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.batch import Sample
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.dataset import TrainDataset
from pafpose.data.folder import FolderDataModule, refuse_overlap
from pafpose.data.sampling import SampleGroup
from pafpose.errors import PafposeError

log = logging.getLogger(__name__)


class MixedDataset(Dataset[Sample]):
    """Training sets, one after the other, each with its share of an epoch.

    An epoch has as many samples as those of all sets together. ``weights`` divide it among the sets; None
    gives each set its own number.
    """

    def __init__(self, parts: Sequence[TrainDataset], weights: Sequence[float] | None = None) -> None:
        self.parts = list(parts)
        self.starts = [0, *itertools.accumulate(len(part) for part in self.parts)]
        self.groups = [
            SampleGroup(start + group.start, group.length, count)
            for part, start, counts in zip(self.parts, self.starts, self._per_epoch(weights), strict=False)
            for group, count in zip(part.groups, counts, strict=True)
        ]

    def _per_epoch(self, weights: Sequence[float] | None) -> list[list[int]]:
        """Return the samples per epoch of each group of each part."""
        own = [[group.per_epoch for group in part.groups] for part in self.parts]
        if weights is None:
            return own
        shares = share_out(sum(map(sum, own)), weights)
        return [share_out(share, counts) for share, counts in zip(shares, own, strict=True)]

    @property
    def image_ids(self) -> np.ndarray:
        """Return (S,): the image id of every sample; ids of different sets may be equal."""
        return np.concatenate([part.image_ids for part in self.parts])

    @property
    def num_photos(self) -> int:
        """Return how many photos the samples come from."""
        return sum(part.num_photos for part in self.parts)

    @property
    def num_people(self) -> int:
        """Return how many people are annotated."""
        return sum(part.num_people for part in self.parts)

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        item, seed = key if isinstance(key, tuple) else (key, None)
        if not 0 <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        part = int(np.searchsorted(self.starts, item, side="right")) - 1
        own = item - self.starts[part]
        return self.parts[part][own if seed is None else (own, seed)]


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Divide ``total`` into whole numbers as close to the weights as possible.

    >>> share_out(10, [1, 1, 1])
    [4, 3, 3]
    """
    exact = np.array(weights, float) / sum(weights) * total
    out = np.floor(exact).astype(int)
    out[np.argsort(out - exact, kind="stable")[: total - out.sum()]] += 1
    return out.tolist()


class MixDataModule(PoseDataModule):
    """Trains on several data sets and validates on one of them.

    ``sets`` are nodes of ``conf/data`` by names of the user's. ``weights`` (one for each set, or None: every
    set once) are their shares of an epoch. ``validate`` names the set whose validation photos are scored. Of
    the keys of the sets, those about loading do not count; ``limit_train``, ``limit_val`` and ``on_error``,
    when given here, apply to all sets.
    """

    _train: MixedDataset | None = None

    def __init__(
        self,
        *,
        sets: Mapping[str, Mapping[str, Any]],
        validate: str,
        name: str = "mix",
        weights: Mapping[str, float] | None = None,
        limit_train: int | None = None,
        limit_val: int | None = None,
        on_error: str | None = None,
        allow_overlap: bool = False,
        schedule: Mapping[str, Any] | None = None,  # conf/trainer reads it
        **common: Any,  # arguments of PoseDataModule
    ) -> None:
        super().__init__(name=name, **common)
        self.allow_overlap = allow_overlap
        shared = {
            key: getattr(self, key) for key in ("skeleton", "augment", "mask", "evaluate", "stride", "seed")
        }
        for_all = {"limit_train": limit_train, "limit_val": limit_val, "on_error": on_error}
        given = {key: value for key, value in for_all.items() if value is not None}
        self.sets = {key: build_part(key, {**node, **given}, **shared) for key, node in sets.items()}
        if validate not in self.sets:
            raise PafposeError(f"data.validate={validate!r}: choose one of {', '.join(self.sets)}")
        self.validated = self.sets[validate]
        self.root = self.validated.root
        self.weights = None if weights is None else self._check_weights(weights)

    def _check_weights(self, weights: Mapping[str, float]) -> list[float]:
        if set(weights) != set(self.sets) or not all(float(w) > 0 for w in weights.values()):
            raise PafposeError(
                f"data.weights={dict(weights)}: needs a weight above 0 for each of {', '.join(self.sets)}, "
                "or null to use every set once; drop a set with ~data@data.sets.NAME ~data.weights.NAME"
            )
        return [float(weights[key]) for key in self.sets]

    def prepare_data(self) -> None:
        """Let every set make its data."""
        for part in self.sets.values():
            part.prepare_data()

    def prepare_validation(self) -> None:
        """Let the set that is validated make its validation data."""
        self.validated.prepare_validation()
        self.root = self.validated.root

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs; raise when one set trains on photos that another one validates on."""
        self.validated.setup(stage if stage == "fit" else "validate")
        self._val = self.validated.val_dataset
        if stage not in ("fit", None) or self._train is not None:
            return
        parts = [part.train_dataset for part in self.sets.values()]
        if not self.allow_overlap:
            for part in parts:
                refuse_overlap(part.index, self._val.index)
        self._train = MixedDataset(parts, self.weights)
        for key, count in self.samples_per_epoch().items():
            log.info("%s: %d samples an epoch from %s", self.name, count, key)

    def samples_per_epoch(self) -> dict[str, int]:
        """Return how many samples of an epoch come from each set."""
        dataset = self.train_dataset
        return {
            key: sum(group.per_epoch for group in dataset.groups if start <= group.start < stop)
            for key, (start, stop) in zip(self.sets, itertools.pairwise(dataset.starts), strict=True)
        }

    def read_split(self, split: str, *, need_photos: bool = True) -> PoseIndex:
        """Return the annotations of ``val``, those of the set ``validate``; raise for ``train``."""
        if split != "val":
            raise PafposeError(
                "the training annotations of a mix are those of several sets; choose one of them: data=..."
            )
        return self.validated.read_split(split, need_photos=need_photos)

    def report_skipped(self, split: str) -> int:
        """Return how many unreadable samples of a split were replaced since the last call; log it by set."""
        if split != "train":
            return self.validated.report_skipped(split)
        return sum(part.report_skipped(split) for part in self.sets.values())


def build_part(name: str, node: Mapping[str, Any], **shared: Any) -> FolderDataModule:
    """Build the data module of one set; raise unless it is a folder of pafpose's own."""
    part = build(node, **shared)
    if not isinstance(part, FolderDataModule):
        raise PafposeError(
            f"data.sets.{name}: a {type(part).__name__} cannot be mixed; name a group of conf/data that "
            "reads one set, as in data@data.sets.NAME=coco"
        )
    return part
