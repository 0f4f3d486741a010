"""Which samples a photo gives, and the order and seeds in which an epoch visits them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from pafpose.data.index import PoseIndex, count_labelled
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


class SeededSampler(Sampler[tuple[int, int]]):
    """Shuffled ``(index, seed)`` pairs that depend on the seed and the epoch alone.

    So the samples are the same whatever the number of workers. Every pass is the next epoch, unless
    :meth:`start_at` chose one. It is not called ``set_epoch``, which Lightning would call: it counts a pass
    that a run ended in as complete, so that the rest of it would be drawn anew after resuming.
    """

    def __init__(self, length: int, *, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0  # of the latest pass, or of the next when it was chosen
        self._chosen = True  # the next pass is that of ``epoch``, not the one after

    def start_at(self, epoch: int) -> None:
        """Choose the epoch that the next pass draws."""
        self.epoch = epoch
        self._chosen = True

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.epoch += not self._chosen
        self._chosen = False
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.randperm(self.length, generator=generator).tolist()
        seeds = torch.randint(2**62, (self.length,), generator=generator).tolist()
        return iter(zip(order, seeds, strict=True))
