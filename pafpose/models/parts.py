"""Training batches cut into parts, each on a thread of its own: for CPUs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.runtime.threads import side_by_side


class Parts:
    """Runs a network on ``count`` parts of each batch at once, forwards and backwards.

    Every step of training consists of hundreds of operations too small to be cut among threads well; a part
    of the batch per thread is cut once. As in data parallelism, BatchNorm normalises each part by itself and
    keeps the first part's statistics; gradients are those of the sum. Under autocast the kernels of
    convolutions are converted once for all parts. For one process on a CPU: the gradients of the parameters
    are added behind autograd's back, where hooks of DDP would not expect them.
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        if count < 1:
            raise PafposeError(f"batch_parts={count}: must be at least 1 (1: batches stay whole)")
        self.network, self.count = network, count
        self._twins: dict[torch.dtype, Twins] = {}

    def __call__(self, images: Tensor) -> list[Fields]:
        """The stages for (B, 3, H, W), as the network gives them for the whole batch."""
        chunks = images.chunk(self.count)
        if len(chunks) == 1:
            return self.network(images)
        shape: list[list[bool]] = []
        fields = iter(_Run.apply(torch.zeros((), requires_grad=True), self._up_to_date(), chunks, shape))
        return [Fields(*(next(fields) if there else None for there in stage)) for stage in shape]

    def _up_to_date(self) -> Twins:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        if dtype not in self._twins:
            self._twins[dtype] = Twins(self.network, self.count, dtype)
        self._twins[dtype].follow()
        return self._twins[dtype]


class Twins:
    """Copies of a network for one part each, which share its parameters; the first its statistics too.

    Kernels are shared in a copy of ``dtype``, all others as they are.
    """

    def __init__(self, network: nn.Module, count: int, dtype: torch.dtype) -> None:
        self.original = network
        # subclasses of convolutions convert as they see fit
        plain = [m.weight for m in network.modules() if type(m) is nn.Conv2d]
        self.kernels: list[Tensor] = [p for p in plain if p.dtype != dtype]
        self.converted: list[Tensor] = [
            nn.Parameter(p.detach().to(dtype), p.requires_grad) for p in self.kernels
        ]
        shared: dict[int, Any] = {id(p): p for p in network.parameters()}
        shared |= {id(p): low for p, low in zip(self.kernels, self.converted, strict=True)}
        statistics = {id(b): b for b in network.buffers()}
        memos = [shared | statistics, *(dict(shared) for _ in range(count - 1))]
        self.networks: list[nn.Module] = [copy.deepcopy(network, memo) for memo in memos]

    @torch.no_grad()
    def follow(self) -> None:
        """Take over the kernels and modes of the original."""
        for twin in self.networks:
            for module, own in zip(self.original.modules(), twin.modules(), strict=True):
                own.training = module.training
        if self.kernels:
            torch._foreach_copy_(self.converted, self.kernels)

    @torch.no_grad()
    def hand_over(self) -> None:
        """Add the gradients of converted kernels to those of the original's."""
        for kernel, low in zip(self.kernels, self.converted, strict=True):
            gradient, low.grad = low.grad, None
            if gradient is not None:
                kernel.grad = gradient.to(kernel.dtype) if kernel.grad is None else kernel.grad.add_(gradient)


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Run(torch.autograd.Function):
    """The outputs of all parts, joined; the graph of each part is walked by a thread in turn."""

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, twins: Twins, chunks: list[Tensor], shape: list[list[bool]]
    ) -> tuple[Tensor, ...]:
        """``anchor`` makes autograd call back; ``shape`` is filled with which fields each stage has."""
        forward = _as_here(lambda i: twins.networks[i](chunks[i]))
        stages = side_by_side([partial(forward, index) for index in range(len(chunks))])
        shape.extend([field is not None for field in stage] for stage in stages[0])
        ctx.parts = [[field for stage in part for field in stage if field is not None] for part in stages]
        ctx.sizes, ctx.twins = [len(chunk) for chunk in chunks], twins
        return tuple(torch.cat([f.detach() for f in same]) for same in zip(*ctx.parts, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        """Adds to the ``grad`` of the parameters: of two parts the same numbers whichever comes first."""
        shares = list(zip(*(gradient.split(ctx.sizes) for gradient in gradients), strict=True))
        parts, ctx.parts = ctx.parts, None  # their memory is free as soon as the walk is over
        side_by_side([partial(torch.autograd.backward, *pair) for pair in zip(parts, shares, strict=True)])
        ctx.twins.hand_over()
        return None, None, None, None


def _as_here(call: Callable[[int], Any]) -> Callable[[int], Any]:
    """The call under this thread's autocast, which other threads do not inherit, and with gradients."""
    enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def run(index: int) -> Any:
        with torch.enable_grad(), torch.autocast("cpu", dtype=dtype, enabled=enabled):
            return call(index)

    return run
