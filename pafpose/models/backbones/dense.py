"""A backbone of dense 3x3 convolutions, for hardware that multiplies matrices fast."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.models.backbones.base import Backbone
from pafpose.models.layers import BasicBlock, conv

STEM_STRIDE = 4  # pixels


class DenseBackbone(Backbone):
    """ResNet's basic blocks at strides 4, 8, 16 and 32, then a top-down path that ends at ``stride``.

    The stem rearranges 4 x 4 pixels into channels, so that no layer works at full resolution. Each level of
    the top-down path adds a 1x1 lateral and applies a basic block of ``out_channels``. ``widths`` and
    ``depths`` are the channels and blocks of each stage; their number sets the coarsest stride.
    """

    def __init__(
        self,
        *,
        stride: int,
        weights: str | None = None,
        out_channels: int = 128,
        widths: Sequence[int] = (32, 96, 192, 256),
        depths: Sequence[int] = (1, 2, 3, 2),
        normalisation: str = "imagenet",
    ) -> None:
        super().__init__(stride=stride, out_channels=out_channels, normalisation=normalisation)
        if weights is not None:
            raise PafposeError(f"backbone.weights={weights}: this backbone has no weights to load; use null")
        if len(widths) != len(depths):
            raise PafposeError(
                f"backbone.widths={list(widths)} and depths={list(depths)} must have the same length"
            )
        self.first = {4: 0, 8: 1}[self.stride]
        if len(widths) <= self.first:
            raise PafposeError(
                f"backbone.widths={list(widths)}: no stage reaches stride {self.stride}; add a stage"
            )
        before = (3 * STEM_STRIDE**2, *widths)
        self.trunk = nn.ModuleList(
            nn.Sequential(
                conv(before[i], width, stride=2 if i else 1, norm=True),
                *(BasicBlock(width) for _ in range(depth)),
            )
            for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
        )
        levels = list(widths)[self.first :]
        self.laterals = nn.ModuleList(
            conv(width, out_channels, kernel=1, norm=True, act="none") for width in levels
        )
        self.ups = nn.ModuleList(BasicBlock(out_channels) for _ in levels[1:])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, H and W multiples of 4 -> (B, out_channels, H / stride, W / stride)."""
        x = F.pixel_unshuffle(x, STEM_STRIDE)
        features = []
        for stage in self.trunk.children():
            x = stage(x)
            features.append(x)
        features = features[self.first :]
        x = self.laterals[-1](features[-1])
        for level in range(len(features) - 2, -1, -1):
            lateral = self.laterals[level](features[level])
            x = self.ups[level](F.relu(lateral + F.interpolate(x, size=lateral.shape[2:]), inplace=True))
        return x
