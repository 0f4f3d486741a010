"""A small backbone for CPUs and quick training from scratch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.pyramid import FeaturePyramid
from pafpose.models.layers import Residual, conv


class SmallBackbone(Backbone):
    """Residual stages at strides 4, 8, 16 and 32, summed by a feature pyramid at stride 4 or 8.

    The stem is one 7x7 convolution of stride 4; a 3x3 convolution of stride 2 leads to each later stage.
    ``widths`` and ``depths`` are the channels and residual blocks of each stage.
    """

    def __init__(
        self,
        *,
        stride: int,
        weights: str | None = None,
        out_channels: int = 64,
        widths: Sequence[int] = (48, 96, 160, 192),
        depths: Sequence[int] = (1, 2, 4, 2),
        expansion: float = 2.0,
        kernel: int = 3,
        normalisation: str = "imagenet",
    ) -> None:
        super().__init__(stride=stride, out_channels=out_channels, normalisation=normalisation)
        if weights is not None:
            raise PafposeError(f"backbone.weights={weights}: this backbone has no weights to load; use null")
        if len(widths) != len(depths):
            raise PafposeError(
                f"backbone.widths={list(widths)} and depths={list(depths)} must have the same length"
            )
        before = (3, *widths)
        trunk = nn.ModuleList(
            nn.Sequential(
                conv(before[i], width, kernel=3 if i else 7, stride=2 if i else 4, norm=True),
                *(Residual(width, expansion=expansion, kernel=kernel) for _ in range(depth)),
            )
            for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
        )
        self.trunk = trunk
        self.first = {4: 0, 8: 1}[self.stride]
        self.pyramid = FeaturePyramid(list(widths)[self.first :], out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, out_channels, H / stride, W / stride)."""
        features = []
        for stage in self.trunk.children():
            x = stage(x)
            features.append(x)
        return self.pyramid(features[self.first :])
