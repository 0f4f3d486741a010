"""Key figures of a network, found without computing a single output: parameters, cost, stages, stride."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Figures = dict[str, float | int]


def summarise(network: nn.Module, *, size: int = 368) -> Figures:
    """Compute the key figures of a ``PoseNetwork`` for one picture of ``size`` x ``size`` pixels.

    ``parameters`` and ``trainable`` are counts; ``gflops`` is the cost of a forward pass, 2 operations per
    multiply-add; ``stride`` is in input pixels per field cell.
    """
    meta = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        stages = meta(torch.zeros(1, 3, size, size, device="meta"))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "trainable": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "gflops": counter.get_total_flops() / 1e9,
        "stages": len(stages),
        "stride": size // stages[-1].pafs.shape[-1],
        "size": size,
    }


def describe(figures: Mapping[str, float | int]) -> str:
    """Format the figures as one line for the log."""
    frozen = figures["parameters"] - figures["trainable"]
    stages = "1 stage" if figures["stages"] == 1 else f"{figures['stages']} stages"
    return (
        f"{figures['parameters'] / 1e6:.2f} M parameters"
        + (f" ({frozen / 1e6:.2f} M frozen)" if frozen else "")
        + f", {figures['gflops']:.1f} GFLOPs at {figures['size']} px, {stages} at stride {figures['stride']}"
    )
