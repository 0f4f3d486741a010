"""The order and the seeds of training samples, and a DataLoader that resumes in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, DistributedSampler

from pafpose.data.sampling import SampleGroup
from pafpose.errors import PafposeError


class SeededSampler(DistributedSampler[tuple[int, int]]):
    """Shuffled ``(index, seed)`` pairs that depend on the seed and the epoch alone, shared out to the ranks.

    Rank ``r`` of ``w`` takes the pairs ``r, r + w, ...`` of one list, so ``w`` batches of ``b`` samples hold
    the same samples as one batch of ``w * b``, whatever the number of ranks and of loader processes. Pairs
    that do not make a full round are left out.

    Every pass draws the next epoch, unless :meth:`start_at` chose one. Being a ``DistributedSampler`` keeps
    Lightning from replacing it. :meth:`set_epoch`, which Lightning calls, does nothing: Lightning counts the
    pass in which a run ended as complete, so a resumed run would skip the rest of it.
    """

    def __init__(
        self, samples: int | Sequence[SampleGroup], *, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        groups = [SampleGroup(0, samples, samples)] if isinstance(samples, int) else samples
        self.groups = [group for group in groups if group.per_epoch]
        self.total = sum(group.per_epoch for group in self.groups)
        if self.total < world:
            raise PafposeError(f"{self.total} samples cannot be shared out to {world} devices; use fewer")
        everything: Any = range(self.total)
        super().__init__(everything, num_replicas=world, rank=rank, seed=seed)
        self.epoch = 0  # of the latest pass or, after start_at, of the next
        self._chosen, self._skip = True, 0

    def start_at(self, epoch: int, *, skip: int = 0) -> None:
        """Choose the epoch of the next pass, which leaves out the first ``skip`` samples of this rank."""
        self.epoch, self._skip, self._chosen = epoch, skip, True

    def set_epoch(self, epoch: int) -> None:
        """Do nothing, as explained above."""

    def __len__(self) -> int:
        return self.total // self.num_replicas

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.epoch += not self._chosen
        skip, self._skip, self._chosen = self._skip, 0, False
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.cat([_draw(group, generator) for group in self.groups])
        if len(self.groups) > 1:
            order = order[torch.randperm(self.total, generator=generator)]
        seeds = torch.randint(2**62, (self.total,), generator=generator)
        of_rank = slice(self.rank, len(self) * self.num_replicas, self.num_replicas)
        pairs = list(zip(order[of_rank].tolist(), seeds[of_rank].tolist(), strict=True))
        return iter(pairs[skip:])


def _draw(group: SampleGroup, generator: torch.Generator) -> torch.Tensor:
    """Return (per_epoch,) samples of a group in random order; all appear equally often, give or take one."""
    passes = [
        torch.randperm(group.length, generator=generator) for _ in range(-(-group.per_epoch // group.length))
    ]
    return torch.cat(passes)[: group.per_epoch] + group.start


class ResumableLoader(DataLoader[Any]):
    """A loader over a :class:`SeededSampler` whose position goes into checkpoints.

    Lightning saves :meth:`state_dict` and calls :meth:`load_state_dict` on resuming. The next pass then
    starts behind the batches that were handed out, without loading those again.
    """

    _handed_out = 0  # batches of the current pass
    _resumed_behind = 0  # batches that the next pass leaves out

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._handed_out, self._resumed_behind = self._resumed_behind, 0
        for batch in super().__iter__():
            self._handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and how many of its batches were handed out."""
        return {"epoch": self._seeded_sampler.epoch, "batches": self._handed_out}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass continue that epoch or, when it was complete, draw the next one."""
        if state["batches"] >= len(self):
            self._seeded_sampler.start_at(state["epoch"] + 1)
            return
        self._resumed_behind = state["batches"]
        self._seeded_sampler.start_at(state["epoch"], skip=state["batches"] * (self.batch_size or 1))

    @property
    def _seeded_sampler(self) -> SeededSampler:
        assert isinstance(self.sampler, SeededSampler)
        return self.sampler
