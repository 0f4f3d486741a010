"""The head of Lightweight OpenPose (Osokin 2018): one trunk per stage for both fields, dilated refinement."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.field_channels import Block, FieldChannelsOf, gives, sees
from pafpose.models.initialisation import initialise_head
from pafpose.models.layers import conv


class Reduce(nn.Module):
    """Reduce to the head's width by a 1x1, a residual of three depthwise-separable layers and a 3x3."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.align = conv(in_channels, channels, kernel=1)
        self.trunk = nn.Sequential(*(_separable_elu(channels) for _ in range(3)))
        self.conv = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, channels, h, w)."""
        x = self.align(x)
        return self.conv(x + self.trunk(x))


class RefinementBlock(nn.Module):
    """Apply a 1x1 and a residual of two 3x3 with BatchNorm, the second dilated; cheaper than a 7x7."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.initial = conv(in_channels, channels, kernel=1)
        self.trunk = nn.Sequential(
            conv(channels, channels, norm=True, bias=True),
            conv(channels, channels, dilation=2, norm=True, bias=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, channels, h, w)."""
        x = self.initial(x)
        return x + self.trunk(x)


class LightStage(nn.Module):
    """A common trunk, then two 1x1 layers for each field."""

    def __init__(self, trunk: nn.Sequential, *, channels: int, hidden: int, outputs: tuple[int, int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heatmaps, self.pafs = (
            nn.Sequential(conv(channels, hidden, kernel=1), nn.Conv2d(hidden, n, 1)) for n in outputs
        )

    def forward(self, x: Tensor) -> Fields:
        """(B, C, h, w) -> both fields."""
        x = self.trunk(x)
        return Fields(self.heatmaps(x), self.pafs(x))


class Lightweight2018(nn.Module):
    """Predict fields in an initial stage, ``channels`` wide, then refine them ``refinements`` times.

    ``background``: the last heatmap channel is the background. ``init``: see
    ``pafpose.models.initialisation.initialise_head``.
    """

    def __init__(
        self,
        in_channels: int,
        num_heatmaps: int,
        num_pafs: int,
        *,
        stride: int = 8,
        refinements: int = 1,
        channels: int = 128,
        init: str = "published",
        background: bool = True,
    ) -> None:
        super().__init__()
        if refinements < 0:
            raise PafposeError(f"head.refinements={refinements}: must be 0 or more")
        self.stride = int(stride)
        self.channels, self.num_heatmaps, self.num_pafs = channels, num_heatmaps, num_pafs
        outputs = (num_heatmaps, num_pafs)
        self.reduce = Reduce(in_channels, channels)
        trunk = nn.Sequential(*(conv(channels, channels) for _ in range(3)))
        self.initial = LightStage(trunk, channels=channels, hidden=512, outputs=outputs)
        wide = channels + sum(outputs)
        self.refinements = nn.ModuleList(
            LightStage(_refining_trunk(wide, channels), channels=channels, hidden=channels, outputs=outputs)
            for _ in range(refinements)
        )
        every = [self.initial, *self.refinements]
        initialise_head(
            self,
            init,
            heatmaps=[stage.heatmaps[-1] for stage in every],
            pafs=[stage.pafs[-1] for stage in every],
            background=background,
            published=None,
        )

    def forward(self, features: Tensor) -> list[Fields]:
        """(B, in_channels, h, w) -> one ``Fields`` per stage."""
        features = self.reduce(features)
        stages = [self.initial(features)]
        for refinement in self.refinements:
            before = stages[-1]
            stages.append(refinement(torch.cat([features, before.heatmaps, before.pafs], 1)))
        return stages

    def field_channels(self) -> FieldChannelsOf:
        """Return where parameters have channels of fields (``pafpose.models.field_channels``)."""
        heatmaps: Block = ("heatmaps", self.num_heatmaps)
        pafs: Block = ("pafs", self.num_pafs)
        refinements = [f"refinements.{i}" for i in range(len(self.refinements))]
        found: FieldChannelsOf = {}
        for stage in ("initial", *refinements):
            found |= gives(f"{stage}.heatmaps.1", heatmaps) | gives(f"{stage}.pafs.1", pafs)
        for stage in refinements:
            found |= sees(f"{stage}.trunk.0.initial.0", ("features", self.channels), heatmaps, pafs)
        return found


def _refining_trunk(in_channels: int, channels: int) -> nn.Sequential:
    blocks = (RefinementBlock(in_channels if i == 0 else channels, channels) for i in range(5))
    return nn.Sequential(*blocks)


def _separable_elu(channels: int) -> nn.Sequential:
    """Build a depthwise 3x3 and a 1x1 convolution with ELU, without BatchNorm and biases."""
    return nn.Sequential(
        conv(channels, channels, groups=channels, bias=False, act="elu"),
        conv(channels, channels, kernel=1, bias=False, act="elu"),
    )
