"""Memory of targets that is used again: once nobody holds a result any more, the next one is drawn into it.

Fresh memory costs more than drawing: the system hands it out page by page and it must be filled with zeros.
A buffer knows which windows were drawn in it and clears only those: the cost follows people, not cells.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

# how many tensors hold a storage; without this function nothing is used again
_tensors: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)
KEPT_BYTES = 2**26  # that idle and lent buffers of one builder have together, beyond the latest two
TURNS = 2**31 - 1  # that a buffer counts before it begins again
_LATEST = 2  # a loop that draws the next result while it holds the last one needs so many


class Plane:
    """One float32 tensor on the CPU, the same memory as an array for kernels, and who else holds it.

    Lent tensors count their changes together with ours (``Tensor._version``). Taking an array from one
    (``numpy()``), sharing it between processes and resizing it are seen as well; such memory is not used
    again. Changes through ``Tensor.data`` or DLPack are not seen.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        with torch.inference_mode(False):  # tensors made in inference mode do not count changes
            self.tensor = torch.empty(shape, dtype=torch.float32, device="cpu")
        self._storage = self.tensor.untyped_storage()
        self._address, self._bytes = self.tensor.data_ptr(), self._storage.nbytes()
        self.array = np.zeros(shape, np.float32)
        if self._bytes:
            memory: Any = (ctypes.c_float * self.tensor.numel()).from_address(self._address)
            self.array = np.frombuffer(memory, np.float32).reshape(shape)
        self._own = self._holders()
        self._version = -1

    def _holders(self) -> tuple[int, int]:
        """How many tensors (views, arrays, graphs, ...) and how many names hold the storage."""
        tensors = _tensors(self._storage._cdata) if _tensors else 1
        return tensors, sys.getrefcount(self._storage)

    @property
    def exposed(self) -> bool:
        """Whether the memory has moved or can be written by somebody unseen."""
        same = self.tensor.data_ptr() == self._address and self._storage.nbytes() == self._bytes
        return not (same and self._storage.resizable())

    @property
    def idle(self) -> bool:
        """Whether nobody else holds the memory: no tensor, view, array or graph."""
        return self._holders() == self._own

    @property
    def changed(self) -> bool:
        """Whether a borrower wrote into it since it was lent; true at first."""
        return self.tensor._version != self._version

    def lend(self) -> Tensor:
        """A tensor on this memory, whose life says how long it may not be drawn again."""
        self._version = self.tensor._version
        return self.tensor.detach()


class Windows:
    """Where something was drawn: ``(n, 6)`` int32 as in ``cpu``, and room for the next n."""

    def __init__(self) -> None:
        self.held = np.zeros((0, 6), np.int32)
        self._rooms = self.held, self.held

    def room(self, count: int) -> np.ndarray:
        """At least ``count`` rows to write to."""
        first, second = self._rooms
        if len(second) < count:
            second = np.empty((count, 6), np.int32)
        self._rooms = second, first
        return second

    def keep(self, count: int) -> None:
        """The first rows of the last room are what is held now."""
        self.held = self._rooms[0][:count]


class Buffer:
    """Memory of one batch's heatmaps ``(B, C, h, w)``, PAFs and weights, and what was drawn into it."""

    def __init__(self, heatmaps: tuple[int, ...], pafs: tuple[int, ...]) -> None:
        self.shapes = heatmaps, pafs
        self.heatmaps, self.pafs = Plane(heatmaps), Plane(pafs)
        self.weights = Plane((heatmaps[0], 1, *heatmaps[2:]))
        self.planes = self.heatmaps, self.pafs, self.weights
        self.peaks, self.limbs = Windows(), Windows()
        self.owner = np.zeros(pafs[2:], np.int32)  # of kernels: which limb type drew last into a cell
        self.count = np.zeros(pafs[2:], np.float32)  # and how often
        self.state = np.empty((*pafs[2:], 2))
        self.turn = 0  # limb types drawn so far
        self.size = sum(plane.array.nbytes for plane in self.planes)  # bytes of the tensors

    def turns(self, count: int) -> int:
        """The number after which the next ``count`` limb types are numbered; ``owner`` knows all before."""
        if self.turn > TURNS - count:
            self.owner.fill(0)
            self.turn = 0
        first = self.turn
        self.turn += count
        return first

    def ones(self) -> Tensor:
        """The weights, lent, all 1."""
        if self.weights.changed:
            self.weights.array.fill(1)
        return self.weights.lend()

    @property
    def exposed(self) -> bool:
        """Whether it can never be used again."""
        return any(plane.exposed for plane in self.planes)

    @property
    def idle(self) -> bool:
        """Whether it can be used now."""
        return all(plane.idle for plane in self.planes)


class Pool:
    """Buffers that were lent. Safe from any thread: a buffer is taken out before it is looked at.

    Copies and pickles of a pool are empty.
    """

    def __init__(self) -> None:
        self._lent: deque[Buffer] = deque()

    def __reduce__(self) -> tuple[Any, ...]:
        return Pool, ()

    def __len__(self) -> int:
        return len(self._lent)

    def take(self, heatmaps: tuple[int, ...], pafs: tuple[int, ...]) -> Buffer:
        """A buffer of these shapes that nobody holds: the one used last, or a new one."""
        passed: list[Buffer] = []
        found = None
        while found is None:
            try:
                buffer = self._lent.pop()
            except IndexError:
                break
            if buffer.exposed:
                continue
            if buffer.shapes == (heatmaps, pafs) and buffer.idle:
                found = buffer
            else:
                passed.append(buffer)
        self._lent.extend(reversed(passed))
        return found or Buffer(heatmaps, pafs)

    def give(self, buffer: Buffer) -> None:
        """Remember a buffer after its tensors were lent; forgets the oldest beyond ``KEPT_BYTES``.

        Forgetting takes nothing away from those who hold the tensors.
        """
        if _tensors is None:
            return
        self._lent.append(buffer)
        held = list(self._lent)
        spare = sum(b.size for b in held[:-_LATEST])
        while spare > KEPT_BYTES:
            try:
                spare -= self._lent.popleft().size
            except IndexError:
                return
