"""The network: RGB pixels in, the fields of every stage out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models.layers import use_float32_depthwise
from pafpose.models.normalisation import Normalise


class PoseNetwork(nn.Module):
    """Normalise pixels, extract features, predict fields.

    ``pafpose.models.backbones.base.Backbone`` says what a backbone must offer. ``head`` maps its features
    (B, out_channels, h, w) to a list of ``Fields``, one per stage; the last one has heatmaps and PAFs. Its
    ``stride`` is in input pixels per field cell, and its ``shuffle`` (default 1) is the number of cells, per
    side, that it predicts in each feature cell.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise(str(getattr(backbone, "normalisation", "imagenet")))
        self.backbone = backbone
        self.head = head
        use_float32_depthwise(self)
        self.feature_stride = int(backbone.stride)  # type: ignore[arg-type]
        self.stride = int(getattr(head, "stride", self.feature_stride))
        expected = self.stride * int(getattr(head, "shuffle", 1))
        if expected != self.feature_stride:
            raise PafposeError(
                f"head.stride={self.stride} needs features at stride {expected}, but the backbone has stride "
                f"{self.feature_stride}; build it with stride = head.stride * head.shuffle"
            )

    def forward(self, images: Tensor) -> list[Fields]:
        """Predict from (B, 3, H, W) RGB, uint8 or float 0..255; H and W are multiples of the stride."""
        if not torch.compiler.is_compiling():  # a check on the size would tie a traced graph to it
            check_images(images, self.stride)
        height, width = images.shape[2], images.shape[3]
        bottom, right = -height % self.feature_stride, -width % self.feature_stride
        pixels = F.pad(self.normalise(images), (0, right, 0, bottom))  # 0 is the mean colour
        stages = self.head(self.backbone(pixels))
        return stages if not (bottom or right) else [self._crop(s, height, width) for s in stages]

    def _crop(self, stage: Fields, height: int, width: int) -> Fields:
        h, w = height // self.stride, width // self.stride
        return Fields(*(None if field is None else field[..., :h, :w] for field in stage))


def check_images(images: Tensor, stride: int) -> None:
    """Raise ``PafposeError`` unless images are (B, 3, H, W) with sides that are multiples of the stride."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise PafposeError(f"images: expected (B, 3, H, W) RGB, got {tuple(images.shape)}")
    if images.shape[2] % stride or images.shape[3] % stride:
        raise PafposeError(
            f"images: {images.shape[2]} x {images.shape[3]} is not a multiple of the stride {stride}; pad or "
            "crop them to one"
        )
