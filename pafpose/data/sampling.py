"""Which samples a photo gives, and the order and seeds in which an epoch visits them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DistributedSampler

from pafpose.data.annotations.index import PoseIndex, count_labelled
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

SAMPLE_BY = ("person", "image")


def main_people(boxes: np.ndarray, eligible: np.ndarray) -> list[int]:
    """Rows of the main people of one photo, in order, as the original chose them.

    An eligible person is one unless its centre lies within 0.3 x the larger box side of an earlier main
    person from that person's centre.
    """
    centres, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(-1, initial=0)
    chosen: list[int] = []
    for m in np.flatnonzero(eligible):
        near = np.linalg.norm(centres[chosen] - centres[m], axis=-1) < 0.3 * sides[chosen]
        if not near.any():
            chosen.append(int(m))
    return chosen


class Quota(NamedTuple):
    """``take`` samples of an epoch come from the ``length`` samples at ``start``."""

    start: int
    length: int
    take: int


def list_samples(
    index: PoseIndex, skeleton: Skeleton, *, sample_by: str, min_keypoints: int, min_area: float
) -> np.ndarray:
    """(S, 2) photo and person of every sample; by image, the person is -1."""
    if sample_by not in SAMPLE_BY:
        raise PafposeError(f"data.sample_by={sample_by!r}: choose {' or '.join(SAMPLE_BY)}")
    if sample_by == "image":
        return np.stack([np.arange(len(index)), np.full(len(index), -1)], -1)
    eligible = (
        ~index.crowd
        & (count_labelled(index, skeleton.scored) >= min_keypoints)
        & (index.areas >= min_area)
        & (index.boxes[:, 2:] > 0).all(-1)
    )
    samples: list[tuple[int, int]] = []
    for photo in range(len(index)):
        rows = index.people(photo)
        samples += [(photo, rows.start + m) for m in main_people(index.boxes[rows], eligible[rows])]
    return np.array(samples, np.int64).reshape(-1, 2)


def choose_photos(index: PoseIndex, subset: float | str | Sequence[int], *, seed: int) -> np.ndarray:
    """Ascending rows of the photos of ``data.subset``: a share drawn by the seed, ids, or a file of ids.

    A smaller share of the same seed is part of a larger one. Raises ``PafposeError``.
    """
    if isinstance(subset, str | Path):
        subset = _ids_of(Path(subset))
    if isinstance(subset, Sequence):
        wanted = np.unique(np.array(subset, np.int64))
        missing = np.setdiff1d(wanted, index.ids)
        if len(missing) or not len(wanted):
            raise PafposeError(
                f"data.subset: {len(missing)} of {len(wanted)} image ids are not in {index.folder}: "
                f"{missing[:5].tolist()}; give ids of the annotation file"
            )
        return np.searchsorted(index.ids, wanted)
    if not 0 < float(subset) <= 1:
        raise PafposeError(
            f"data.subset={subset}: is a share of the photos: above 0, up to 1; or a list of ids"
        )
    count = max(1, round(float(subset) * len(index)))
    return np.sort(np.random.default_rng([seed, 0x5B5E7]).permutation(len(index))[:count])


def _ids_of(path: Path) -> list[int]:
    """Image ids of a text file: whole numbers, one a line."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError) as error:
        raise PafposeError(
            f"data.subset={path}: expected a text file of image ids, one a line ({error})"
        ) from error


def with_background(
    index: PoseIndex, samples: np.ndarray, fraction: float | None
) -> tuple[np.ndarray, list[Quota]]:
    """Samples of which a ``fraction`` of every epoch shows photos without any annotation, and the quotas.

    None: the samples as they are, each once. Other samples come once each, background photos as often as
    the fraction asks for. Raises ``PafposeError`` when there are none.
    """
    if fraction is None:
        return samples, [Quota(0, len(samples), len(samples))]
    if not 0 <= fraction < 1:
        raise PafposeError(f"data.background_fraction={fraction}: is a share of the samples: 0 to below 1")
    empty = np.diff(index.first) == 0
    samples = samples[~empty[samples[:, 0]]]
    background = np.flatnonzero(empty)
    count = round(len(samples) * fraction / (1 - fraction))
    if count and not len(background):
        raise PafposeError(
            f"data.background_fraction={fraction}: every photo in {index.folder} has annotations; list "
            "photos without people in the annotation file too, or set data.background_fraction=null"
        )
    both = np.concatenate([samples, np.stack([background, np.full(len(background), -1)], -1)])
    return both, [Quota(0, len(samples), len(samples)), Quota(len(samples), len(background), count)]


class SeededSampler(DistributedSampler[tuple[int, int]]):
    """Shuffled ``(index, seed)`` pairs that depend on the seed and the epoch alone, dealt out to the ranks.

    So the samples are the same whatever the number of workers and ranks: rank ``r`` of ``w`` takes the pairs
    ``r, r + w, ...`` of one list, so that ``w`` batches of ``b`` are one of ``w * b`` pairs in a row. Pairs
    that do not make a whole round are left out. ``what`` is the number of samples, or several quotas.

    It is a ``DistributedSampler`` for Lightning to leave it alone. Every pass is the next epoch, unless
    :meth:`start_at` chose one. :meth:`set_epoch`, which Lightning calls, does nothing: Lightning counts a
    pass that a run ended in as complete, so that the rest of it would be drawn anew after resuming.
    """

    def __init__(self, what: int | Sequence[Quota], *, seed: int, rank: int = 0, world: int = 1) -> None:
        self.quotas = [Quota(0, what, what)] if isinstance(what, int) else [q for q in what if q.take]
        self.total = sum(quota.take for quota in self.quotas)
        if self.total < world:
            raise PafposeError(f"{self.total} samples cannot be shared out to {world} devices; use fewer")
        everything: Any = range(self.total)
        super().__init__(everything, num_replicas=world, rank=rank, seed=seed)
        self.epoch = 0  # of the latest pass, or of the next when it was chosen
        self._chosen = True  # the next pass is that of ``epoch``, not the one after

    def start_at(self, epoch: int) -> None:
        """Choose the epoch that the next pass draws."""
        self.epoch = epoch
        self._chosen = True

    def set_epoch(self, epoch: int) -> None:
        """Nothing; see above."""

    def __len__(self) -> int:
        return self.total // self.num_replicas

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.epoch += not self._chosen
        self._chosen = False
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.cat([_draw(quota, generator) for quota in self.quotas])
        if len(self.quotas) > 1:
            order = order[torch.randperm(self.total, generator=generator)]
        seeds = torch.randint(2**62, (self.total,), generator=generator)
        own = slice(self.rank, len(self) * self.num_replicas, self.num_replicas)
        return iter(zip(order[own].tolist(), seeds[own].tolist(), strict=True))


def _draw(quota: Quota, generator: torch.Generator) -> torch.Tensor:
    """(take,) samples of a quota in random order: each as often as the others, give or take one."""
    passes = [
        torch.randperm(quota.length, generator=generator) for _ in range(-(-quota.take // quota.length))
    ]
    return torch.cat(passes)[: quota.take] + quota.start
