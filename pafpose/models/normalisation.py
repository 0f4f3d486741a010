"""Normalisation of pixels before the first layer, part of the network and saved with it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError


class Statistics(NamedTuple):
    """Mean and standard deviation per RGB channel, in units of 0..255; ``bgr`` reverses the channels last."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


STATISTICS = {
    # torchvision's and timm's ImageNet statistics times 255
    "imagenet": Statistics((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    # (x - 127) / 128, which the lite EfficientNets were trained with
    "symmetric": Statistics((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    # the published Caffe networks: (x - 128) / 256, BGR
    "caffe": Statistics((128.0, 128.0, 128.0), (256.0, 256.0, 256.0), bgr=True),
}


class Normalise(nn.Module):
    """Compute ``(pixels - mean) / std`` for RGB pixels 0..255 of any dtype, in the network's dtype.

    >>> Normalise("caffe")(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten().tolist()
    [0.49609375, 0.49609375, 0.49609375]
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in STATISTICS:
            raise PafposeError(
                f"backbone.normalisation={name}: unknown; choose one of {', '.join(STATISTICS)}"
            )
        statistics = STATISTICS[name]
        self.bgr = statistics.bgr
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(statistics.mean).view(shape))
        self.register_buffer("scale", 1 / torch.tensor(statistics.std).view(shape))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (B, 3, H, W)."""
        x = (images.to(self.mean.dtype) - self.mean) * self.scale
        return x.flip(1) if self.bgr else x
