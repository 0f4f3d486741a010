"""The head of Cao et al. (CVPR 2017): two branches per stage, 3x3 at first, 7x7 in refinement stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.field_channels import Block, FieldChannelsOf, gives, sees
from pafpose.models.initialisation import gaussian, initialise_head
from pafpose.models.layers import conv


class TwoBranches(nn.Module):
    """A branch for heatmaps and a branch for PAFs over the same input."""

    def __init__(self, heatmaps: nn.Sequential, pafs: nn.Sequential) -> None:
        super().__init__()
        self.heatmaps, self.pafs = heatmaps, pafs

    def forward(self, x: Tensor) -> Fields:
        """(B, C, h, w) -> both fields."""
        return Fields(self.heatmaps(x), self.pafs(x))


class CMU2017(nn.Module):
    """Predict fields from features, then refine them ``stages - 1`` times from features and fields.

    Hidden layers of the first stage: three 3x3 of 128 channels and a 1x1 of 512; of later stages: five 7x7
    and a 1x1 of 128. ``norm`` adds BatchNorm to each. ``background``: the last heatmap channel is the
    background. ``init``: see ``pafpose.models.initialisation.initialise_head``.
    """

    def __init__(
        self,
        in_channels: int,
        num_heatmaps: int,
        num_pafs: int,
        *,
        stride: int = 8,
        stages: int = 6,
        norm: bool = False,
        init: str = "published",
        background: bool = True,
    ) -> None:
        super().__init__()
        if stages < 1:
            raise PafposeError(f"head.stages={stages}: must be at least 1")
        self.stride = int(stride)
        self.num_heatmaps, self.num_pafs = num_heatmaps, num_pafs
        outputs = (num_heatmaps, num_pafs)
        self.initial = TwoBranches(*(_first_branch(in_channels, n, norm=norm) for n in outputs))
        wide = in_channels + sum(outputs)
        self.refinements = nn.ModuleList(
            TwoBranches(*(_refining_branch(wide, n, norm=norm) for n in outputs)) for _ in range(stages - 1)
        )
        every = [self.initial, *self.refinements]
        initialise_head(
            self,
            init,
            heatmaps=[stage.heatmaps[-1] for stage in every],
            pafs=[stage.pafs[-1] for stage in every],
            background=background,
            published=gaussian,
        )

    def forward(self, features: Tensor) -> list[Fields]:
        """(B, in_channels, h, w) -> one ``Fields`` per stage."""
        stages = [self.initial(features)]
        for refinement in self.refinements:
            before = stages[-1]
            stages.append(refinement(torch.cat([before.pafs, before.heatmaps, features], 1)))
        return stages

    def field_channels(self) -> FieldChannelsOf:
        """Return where parameters have channels of fields (``pafpose.models.field_channels``)."""
        found: FieldChannelsOf = {}
        fields: tuple[Block, Block] = ("pafs", self.num_pafs), ("heatmaps", self.num_heatmaps)
        for field in fields:
            found |= gives(f"initial.{field[0]}.4", field)
            for i in range(len(self.refinements)):
                found |= sees(f"refinements.{i}.{field[0]}.0.0", *fields)
                found |= gives(f"refinements.{i}.{field[0]}.6", field)
        return found


def _first_branch(in_channels: int, out_channels: int, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(
        conv(in_channels, 128, norm=norm, bias=True),
        conv(128, 128, norm=norm, bias=True),
        conv(128, 128, norm=norm, bias=True),
        conv(128, 512, kernel=1, norm=norm, bias=True),
        nn.Conv2d(512, out_channels, 1),
    )


def _refining_branch(in_channels: int, out_channels: int, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(
        conv(in_channels, 128, kernel=7, norm=norm, bias=True),
        *(conv(128, 128, kernel=7, norm=norm, bias=True) for _ in range(4)),
        conv(128, 128, kernel=1, norm=norm, bias=True),
        nn.Conv2d(128, out_channels, 1),
    )
