"""A DataLoader that goes on in the middle of a pass when training resumes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from pafpose.data.sampling import SeededSampler


class ResumableLoader(DataLoader[Any]):
    """Tells checkpoints which pass it is in and how many batches it gave, and starts there again.

    Its sampler is a :class:`SeededSampler`. Lightning finds the two methods by name and calls them; batches
    that were given already are not loaded again.
    """

    _given = 0  # batches of this pass that were handed out
    _skip = 0  # batches that the next pass leaves out

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()  # workers start here, with what ``_skip`` leaves of the pass
        self._given, self._skip = self._skip, 0
        return self._count(batches)

    def _count(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._given += 1
            yield batch

    @property
    def _index_sampler(self) -> Any:  # what workers are told to load, batch by batch
        return _Rest(super()._index_sampler, self)

    def state_dict(self) -> dict[str, int]:
        """Where it is."""
        return {"epoch": self._order.epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass be the rest of that one, or the one after when nothing is left of it."""
        done = state["batches"] >= len(self)
        self._order.start_at(state["epoch"] + done)
        self._skip = 0 if done else state["batches"]

    @property
    def _order(self) -> SeededSampler:
        assert isinstance(self.sampler, SeededSampler)
        return self.sampler


class _Rest:
    """Lists of indices without those to skip; persistent workers keep it for all passes.

    It does not keep its loader alive. In a ring of references, workers would be stopped by the garbage
    collector, which closes their queues first: each would be waited for in vain for five seconds.
    """

    def __init__(self, batches: Any, loader: ResumableLoader) -> None:
        self.batches: Any = batches
        self.loader: ResumableLoader = weakref.proxy(loader)

    def __len__(self) -> int:
        assert isinstance(self.batches, Sized)
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return islice(self.batches, self.loader._skip, None)
