"""The head of OpenPose (Cao et al., TPAMI 2019): PAF stages, then heatmap stages, of dense 3x3 blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.field_channels import Block, FieldChannelsOf, gives, sees
from pafpose.models.initialisation import initialise_head, xavier
from pafpose.models.layers import conv


class DenseBlock(nn.Module):
    """Three 3x3 convolutions in a row, outputs concatenated; sees 7x7 cells and costs less than a 7x7."""

    def __init__(self, in_channels: int, channels: int, *, act: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(n, channels, act=act) for n in (in_channels, channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, 3 * channels, h, w)."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return torch.cat(outputs, 1)


class OpenPose2019(nn.Module):
    """Refine PAFs in ``paf_stages`` stages, then heatmaps in ``heatmap_stages``, which see the last PAFs.

    The first stage of each kind has blocks of 96 channels, later ones of 128. Each stage predicts one field;
    the last ``Fields`` also carries the final PAFs. ``background``: the last heatmap channel is the
    background. ``init``: see ``pafpose.models.initialisation.initialise_head``.
    """

    def __init__(
        self,
        in_channels: int,
        num_heatmaps: int,
        num_pafs: int,
        *,
        stride: int = 8,
        paf_stages: int = 4,
        heatmap_stages: int = 2,
        activation: str = "prelu",
        init: str = "published",
        background: bool = True,
    ) -> None:
        super().__init__()
        for key, value in (("paf_stages", paf_stages), ("heatmap_stages", heatmap_stages)):
            if value < 1:
                raise PafposeError(f"head.{key}={value}: must be at least 1")
        self.stride = int(stride)
        self.in_channels, self.num_heatmaps, self.num_pafs = in_channels, num_heatmaps, num_pafs

        def stage(inputs: int, outputs: int, first: bool) -> nn.Sequential:
            return _stage(
                inputs, outputs, width=96 if first else 128, hidden=256 if first else 512, act=activation
            )

        pafs = [stage(in_channels + num_pafs * (i > 0), num_pafs, i == 0) for i in range(paf_stages)]
        wide = in_channels + num_pafs
        heatmaps = [stage(wide + num_heatmaps * (i > 0), num_heatmaps, i == 0) for i in range(heatmap_stages)]
        self.initial = pafs[0]
        self.refinements = nn.ModuleDict(
            {"pafs": nn.ModuleList(pafs[1:]), "heatmaps": nn.ModuleList(heatmaps)}
        )
        initialise_head(
            self,
            init,
            heatmaps=[stage[-1] for stage in heatmaps],  # type: ignore[misc]
            pafs=[stage[-1] for stage in pafs],  # type: ignore[misc]
            background=background,
            published=xavier,
        )

    def forward(self, features: Tensor) -> list[Fields]:
        """(B, in_channels, h, w) -> fields of PAF stages, then of heatmap stages; the last has both."""
        pafs = self.initial(features)
        stages = [Fields(None, pafs)]
        for refinement in self.refinements["pafs"].children():
            pafs = refinement(torch.cat([features, pafs], 1))
            stages.append(Fields(None, pafs))
        context = torch.cat([features, pafs], 1)
        x = context
        for refinement in self.refinements["heatmaps"].children():
            heatmaps = refinement(x)
            stages.append(Fields(heatmaps, None))
            x = torch.cat([context, heatmaps], 1)
        stages[-1] = Fields(stages[-1].heatmaps, pafs)
        return stages

    def field_channels(self) -> FieldChannelsOf:
        """Return where parameters have channels of fields (``pafpose.models.field_channels``)."""
        features: Block = ("features", self.in_channels)
        pafs: Block = ("pafs", self.num_pafs)
        heatmaps: Block = ("heatmaps", self.num_heatmaps)
        found = gives("initial.6", pafs)
        for kind, field in (("pafs", pafs), ("heatmaps", heatmaps)):
            for i, _ in enumerate(self.refinements[kind].children()):
                stage = f"refinements.{kind}.{i}"
                before = [heatmaps] if kind == "heatmaps" and i else []
                found |= sees(f"{stage}.0.layers.0.0", features, pafs, *before) | gives(f"{stage}.6", field)
        return found


def _stage(inputs: int, outputs: int, *, width: int, hidden: int, act: str) -> nn.Sequential:
    """Build five dense blocks and two 1x1 convolutions."""
    return nn.Sequential(
        DenseBlock(inputs, width, act=act),
        *(DenseBlock(3 * width, width, act=act) for _ in range(4)),
        conv(3 * width, hidden, kernel=1, act=act),
        nn.Conv2d(hidden, outputs, 1),
    )
