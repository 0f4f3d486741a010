"""A few figures about a network: parameters, cost, stride, receptive field; measured without running it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakTensorKeyDictionary

Figures = dict[str, float | int]


def summarise(network: nn.Module, *, size: int = 368) -> Figures:
    """Figures of a ``PoseNetwork`` for one picture of ``size`` x ``size`` pixels.

    parameters, trainable (counts); gflops (forward, 2 per multiply-add); stride and receptive_field (side in
    input pixels, the theoretical one; larger than any picture for networks with global pooling).
    """
    meta = copy.deepcopy(network).to("meta").eval()
    image = torch.zeros(1, 3, size, size, device="meta")
    counter = FlopCounterMode(display=False)
    field = ReceptiveField(size)
    with torch.no_grad(), counter, field:
        stages = meta(image)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "trainable": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "gflops": counter.get_total_flops() / 1e9,
        "stages": len(stages),
        "stride": size // stages[-1].pafs.shape[-1],
        "receptive_field": int(field.of(stages[-1].pafs)),
        "size": size,
    }


def describe(figures: Mapping[str, float | int]) -> str:
    """One line for the log."""
    frozen = figures["parameters"] - figures["trainable"]
    return (
        f"{figures['parameters'] / 1e6:.2f} M parameters"
        + (f" ({frozen / 1e6:.2f} M frozen)" if frozen else "")
        + f", {figures['gflops']:.1f} GFLOPs at {figures['size']} px, {figures['stages']} stages at stride "
        f"{figures['stride']}, receptive field {figures['receptive_field']} px"
    )


class ReceptiveField(TorchDispatchMode):
    """Follow how far each tensor looks, through every operation on (1, C, h, w) tensors.

    A window of k cells at stride j adds (k - 1) * j pixels; other operations hand on the largest of their
    inputs; a mean over the picture sees everything.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._known = WeakTensorKeyDictionary()  # tensor -> pixels

    def of(self, tensor: Tensor) -> float:
        """Side in pixels of what one cell of a tensor depends on; 1 for the picture itself."""
        return float(self._known.get(tensor, 1.0))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        reach = max((self.of(tensor) for tensor in inputs), default=1.0)
        if inputs and inputs[0].ndim == 4:
            cell = self.size / inputs[0].shape[-1]
            reach += (self._window(func.overloadpacket.__name__, args) - 1) * cell
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._known[tensor] = reach
        return result

    def _window(self, name: str, args: Any) -> float:
        """How many input cells one output cell sees."""
        if name == "convolution":
            return 1 + (args[1].shape[-1] - 1) * args[5][-1]
        if "pool" in name and not name.startswith("_adaptive"):
            return args[1][-1]
        if name.startswith("upsample_bilinear"):
            return 2
        if name in ("mean", "_adaptive_avg_pool2d"):
            return args[0].shape[-1]
        return 1
