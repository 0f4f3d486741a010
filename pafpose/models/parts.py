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
from pafpose.utils.threads import side_by_side


class Parts:
    """Runs a network on ``count`` parts of each batch at once, forwards and backwards.

    Every step of training consists of hundreds of operations too small to be cut among threads well; a part
    of the batch per thread is cut once. As in data parallelism, BatchNorm normalises each part by itself and
    keeps the first part's statistics; gradients are those of the sum. For one process on a CPU: the
    gradients of the parameters are added behind autograd's back, where hooks of DDP would not expect them.
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        if count < 1:
            raise PafposeError(f"batch_parts={count}: must be at least 1 (1: batches stay whole)")
        shared = {id(p): p for p in network.parameters()}
        # twins share every parameter, and have statistics of their own that nobody reads
        self.networks = [network, *(copy.deepcopy(network, dict(shared)) for _ in range(count - 1))]

    def __call__(self, images: Tensor) -> list[Fields]:
        """The stages for (B, 3, H, W), as the network gives them for the whole batch."""
        chunks = images.chunk(len(self.networks))
        if len(chunks) == 1:
            return self.networks[0](images)
        shape: list[list[bool]] = []
        fields = iter(_Run.apply(torch.zeros((), requires_grad=True), self.networks, chunks, shape))
        return [Fields(*(next(fields) if there else None for there in stage)) for stage in shape]


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Run(torch.autograd.Function):
    """The outputs of all parts, joined; the graph of each part is walked by a thread in turn."""

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, networks: list[nn.Module], chunks: list[Tensor], shape: list[list[bool]]
    ) -> tuple[Tensor, ...]:
        """``anchor`` makes autograd call back; ``shape`` is filled with which fields each stage has."""
        forward = _as_here(lambda i: networks[i](chunks[i]))
        stages = side_by_side([partial(forward, index) for index in range(len(chunks))])
        shape.extend([field is not None for field in stage] for stage in stages[0])
        ctx.parts = [[field for stage in part for field in stage if field is not None] for part in stages]
        ctx.sizes = [len(chunk) for chunk in chunks]
        return tuple(torch.cat([f.detach() for f in same]) for same in zip(*ctx.parts, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        """Adds to the ``grad`` of the parameters: of two parts the same numbers whichever comes first."""
        shares = list(zip(*(gradient.split(ctx.sizes) for gradient in gradients), strict=True))
        parts, ctx.parts = ctx.parts, None  # their memory is free as soon as the walk is over
        side_by_side([partial(torch.autograd.backward, *pair) for pair in zip(parts, shares, strict=True)])
        return None, None, None, None


def _as_here(call: Callable[[int], Any]) -> Callable[[int], Any]:
    """The call under this thread's autocast, which other threads do not inherit, and with gradients."""
    enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def run(index: int) -> Any:
        with torch.enable_grad(), torch.autocast("cpu", dtype=dtype, enabled=enabled):
            return call(index)

    return run
