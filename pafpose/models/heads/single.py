"""A light head: one stage of 1x1 convolutions, optionally followed by refinement stages."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.field_channels import Block, FieldChannelsOf, gives, sees
from pafpose.models.initialisation import empty_scene
from pafpose.models.layers import Residual, conv


class Stage(nn.Module):
    """Residual blocks, then one 1x1 convolution to both fields."""

    def __init__(self, in_channels: int, channels: int, fields: int, *, blocks: nn.Sequential) -> None:
        super().__init__()
        same = in_channels == channels
        self.merge = nn.Identity() if same else conv(in_channels, channels, kernel=1, norm=True)
        self.blocks = blocks
        self.output = nn.Conv2d(channels, fields, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, h, w) -> features (B, channels, h, w) and fields."""
        features = self.blocks(self.merge(x))
        return features, self.output(features)


class SingleHead(nn.Module):
    """Predict both fields by one 1x1 convolution; later ``stages`` refine them from features and fields.

    Each stage has ``blocks`` residual blocks (depthwise and 1x1) before its output. Outputs are initialised
    to an empty scene. ``background``: the last heatmap channel is the background. ``shuffle`` n: features
    have ``n * stride`` pixels per cell, and the output layer predicts n x n finer cells in each by pixel
    shuffle, which is much cheaper than finer features.
    """

    def __init__(
        self,
        in_channels: int,
        num_heatmaps: int,
        num_pafs: int,
        *,
        stride: int = 8,
        stages: int = 1,
        blocks: int = 0,
        kernel: int = 3,
        expansion: float = 2.0,
        shuffle: int = 1,
        background: bool = True,
    ) -> None:
        super().__init__()
        if stages < 1:
            raise PafposeError(f"head.stages={stages}: must be at least 1")
        self.stride, self.shuffle = int(stride), int(shuffle)
        self.in_channels, self.num_heatmaps, self.num_pafs = in_channels, num_heatmaps, num_pafs
        cells = self.shuffle**2  # predicted in each feature cell
        fields = (num_heatmaps + num_pafs) * cells
        last_heatmap = range((num_heatmaps - 1) * cells, num_heatmaps * cells)

        def stage(channels_in: int) -> Stage:
            residuals = (Residual(in_channels, expansion=expansion, kernel=kernel) for _ in range(blocks))
            result = Stage(channels_in, in_channels, fields, blocks=nn.Sequential(*residuals))
            empty_scene(result.output, background=last_heatmap if background else ())
            return result

        self.initial = stage(in_channels)
        self.refinements = nn.ModuleList(stage(in_channels + fields) for _ in range(stages - 1))

    def forward(self, features: Tensor) -> list[Fields]:
        """(B, in_channels, h, w) -> one ``Fields`` per stage."""
        features, fields = self.initial(features)
        stages = [self._split(fields)]
        for refinement in self.refinements:
            features, fields = refinement(torch.cat([features, fields], 1))
            stages.append(self._split(fields))
        return stages

    def field_channels(self) -> FieldChannelsOf:
        """Return where parameters have channels of fields (``pafpose.models.field_channels``)."""
        fields: tuple[Block, Block] = ("heatmaps", self.num_heatmaps), ("pafs", self.num_pafs)
        features: Block = ("features", self.in_channels)
        cells = self.shuffle**2
        found = gives("initial.output", *fields, cells=cells)
        for i in range(len(self.refinements)):
            found |= sees(f"refinements.{i}.merge.0", features, *fields, cells=cells)
            found |= gives(f"refinements.{i}.output", *fields, cells=cells)
        return found

    def _split(self, fields: Tensor) -> Fields:
        fields = F.pixel_shuffle(fields, self.shuffle) if self.shuffle > 1 else fields
        heatmaps, pafs = fields.split([self.num_heatmaps, self.num_pafs], 1)
        return Fields(heatmaps, pafs)
