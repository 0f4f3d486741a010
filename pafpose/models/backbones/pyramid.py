"""A feature pyramid: features of several strides, summed at the finest."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pafpose.models.layers import conv, upsample_to


class FeaturePyramid(nn.Module):
    """Project features to one width by 1x1 laterals and add them up from the coarsest to the finest.

    ``in_channels`` are listed from fine to coarse, and ``forward`` takes the features in the same order.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            conv(channels, out_channels, kernel=1, norm=True, act="none") for channels in in_channels
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the sum (B, out_channels, h, w) at the size of ``features[0]``."""
        total = self.laterals[-1](features[-1])
        for index in range(len(self.laterals) - 2, -1, -1):
            lateral = self.laterals[index](features[index])
            total = lateral + upsample_to(total, lateral)
        return self.activation(total)
