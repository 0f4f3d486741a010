"""What every backbone has."""

from __future__ import annotations

from torch import nn

from pafpose.errors import PafposeError


class Backbone(nn.Module):
    """Features (B, out_channels, H / stride, W / stride) from normalised images.

    ``normalisation`` names what the pixels go through before (see ``pafpose.models.normalisation``).
    """

    def __init__(self, *, stride: int, out_channels: int, normalisation: str = "imagenet") -> None:
        super().__init__()
        if stride not in (4, 8):
            raise PafposeError(f"head.stride={stride}: fields have 4 or 8 input pixels per cell; choose one")
        self.stride = int(stride)
        self.out_channels = int(out_channels)
        self.normalisation = normalisation
