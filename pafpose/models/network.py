"""The network: raw RGB pixels in, one ``Fields`` per stage out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.layers import keep_depthwise_fast
from pafpose.models.normalisation import Normalise


class PoseNetwork(nn.Module):
    """Normalise, extract features, predict fields.

    The backbone has ``stride`` (input pixels per cell), ``out_channels`` and ``normalisation``; the head
    maps (B, out_channels, H / stride, W / stride) to a list of ``Fields``, the last with both fields.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise(str(getattr(backbone, "normalisation", "imagenet")))
        self.backbone = backbone
        self.head = head
        keep_depthwise_fast(self)
        self.coarse = int(backbone.stride)  # type: ignore[arg-type]
        self.stride = int(getattr(head, "stride", self.coarse))
        wanted = self.stride * int(getattr(head, "shuffle", 1))
        if wanted != self.coarse:
            raise PafposeError(
                f"head.stride={self.stride} wants features of {wanted} pixels per cell, but the backbone was "
                f"built for {self.coarse}; build it with stride=head.stride (times head.shuffle)"
            )

    def forward(self, images: Tensor) -> list[Fields]:
        """Predict from (B, 3, H, W) RGB, uint8 or float 0..255; H and W are multiples of the stride."""
        if not torch.compiler.is_compiling():  # a traced graph must not be tied to one size
            self._check(images)
        height, width = images.shape[2], images.shape[3]
        below, right = -height % self.coarse, -width % self.coarse
        pixels = F.pad(self.normalise(images), (0, right, 0, below))  # 0 is the mean colour
        stages = self.head(self.backbone(pixels))
        return stages if not (below or right) else [self._crop(s, height, width) for s in stages]

    def _crop(self, stage: Fields, height: int, width: int) -> Fields:
        h, w = height // self.stride, width // self.stride
        return Fields(*(None if field is None else field[..., :h, :w] for field in stage))

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3:
            raise PafposeError(f"images: expected (B, 3, H, W) RGB, got {tuple(images.shape)}")
        if images.shape[2] % self.stride or images.shape[3] % self.stride:
            raise PafposeError(
                f"images: {images.shape[2]} x {images.shape[3]} is not a multiple of the stride "
                f"{self.stride}; pad or crop them to one"
            )
