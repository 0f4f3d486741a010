"""Initial weights of heads: as published, or such that the first outputs show nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn

from pafpose.models.layers import check_choice


@torch.no_grad()
def gaussian(module: nn.Module, std: float = 0.01) -> None:
    """Draw the weights of convolutions from a Gaussian and zero the biases: the published Caffe recipe."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def xavier(module: nn.Module) -> None:
    """Draw weights uniformly from +-sqrt(3 / fan_in) and zero the biases: Caffe's and OpenPose's xavier."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            bound = (3 / layer.weight[0].numel()) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def kaiming(module: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Initialise convolutions by He's rule and zero the biases.

    ``fan_in`` preserves the variance of activations, ``fan_out`` that of gradients.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def empty_scene(output: nn.Conv2d, *, background: Sequence[int] = ()) -> None:
    """Initialise an output layer to predict an empty scene: weights of std 0.003, biases 0, background 1.

    From torch's defaults the first losses are far larger, and training begins by unlearning them.
    """
    mark_output(output)
    nn.init.normal_(output.weight, std=0.003)
    if output.bias is not None:
        nn.init.zeros_(output.bias)
        output.bias[list(background)] = 1.0


def mark_output(layer: nn.Conv2d) -> None:
    """Mark a layer that predicts fields, so that an optimiser can give it a group of its own."""
    layer.predicts_fields = True  # type: ignore[assignment]


Recipe = Callable[[nn.Module], None]


def initialise_head(
    head: nn.Module,
    init: str,
    *,
    heatmaps: Sequence[nn.Conv2d],
    pafs: Sequence[nn.Conv2d],
    background: bool,
    published: Recipe | None,
) -> None:
    """Initialise a head whose output layers are ``heatmaps`` and ``pafs``, and mark those.

    ``init``: ``published`` (the recipe of the publication; None: torch's defaults), ``he``, or ``small``
    (torch's defaults, but outputs that show an empty scene). ``background``: the last heatmap channel is the
    background.
    """
    check_choice("head.init", init, ("published", "he", "small"))
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
