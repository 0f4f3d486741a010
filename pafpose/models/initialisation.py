"""How a head's weights start: as published, or so that the first outputs are already an empty scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn

from pafpose.models.layers import choice


@torch.no_grad()
def gaussian(module: nn.Module, std: float = 0.01) -> None:
    """Every convolution from a Gaussian, biases 0: the published Caffe recipe."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def xavier(module: nn.Module) -> None:
    """Every convolution uniform in +-sqrt(3 / fan_in), biases 0: Caffe's xavier, of OpenPose 2018-19."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            bound = (3 / layer.weight[0].numel()) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def kaiming(module: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """He's start: ``fan_in`` keeps the variance going forward, ``fan_out`` (the seed's) going back."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def empty_scene(output: nn.Conv2d, *, background: Sequence[int] = ()) -> None:
    """Let an output layer start near "nobody here": weights of std 0.003, bias 0, background bias 1.

    With a default start the first losses are ten times larger and the first minutes go into unlearning it.
    """
    mark_output(output)
    nn.init.normal_(output.weight, std=0.003)
    if output.bias is not None:
        nn.init.zeros_(output.bias)
        output.bias[list(background)] = 1.0


def mark_output(layer: nn.Conv2d) -> None:
    """Say that a layer predicts fields: optimisers may treat those apart."""
    layer.predicts_fields = True  # type: ignore[assignment]


Recipe = Callable[[nn.Module], None]


def start(
    head: nn.Module,
    init: str,
    *,
    heatmaps: Sequence[nn.Conv2d],
    pafs: Sequence[nn.Conv2d],
    background: bool,
    published: Recipe | None,
) -> None:
    """Give a head its first weights.

    init: published (the publication's own recipe; None: torch's defaults), he, or small: torch's defaults,
    but output layers start as an empty scene.
    """
    choice("head.init", init, ("published", "he", "small"))
    for layer in (*heatmaps, *pafs):
        mark_output(layer)
    if init == "published":
        if published is not None:
            published(head)
        return
    if init == "he":
        kaiming(head, mode="fan_out")
        return
    for layer in heatmaps:
        empty_scene(layer, background=[layer.out_channels - 1] if background else [])
    for layer in pafs:
        empty_scene(layer)
