"""MobileNet v1 at stride 8 with dilated last layers (Osokin, "Lightweight OpenPose", 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.weights import load_exactly, read_file
from pafpose.models.layers import conv

# output channels, stride and dilation of each depthwise-separable block
BLOCKS = (
    (64, 1, 1),
    (128, 2, 1),
    (128, 1, 1),
    (256, 2, 1),
    (256, 1, 1),
    (512, 1, 1),
    (512, 1, 2),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
)


class MobileNetV1(Backbone):
    """conv1 to conv5_5, 512 channels; at stride 4 the third strided layer is dilated instead."""

    def __init__(
        self,
        *,
        stride: int,
        weights: str | None = None,
        normalisation: str = "caffe",
        freeze: int = 0,
        batchnorm: str = "train",
        fold: bool = False,
    ) -> None:
        super().__init__(stride=stride, out_channels=512, normalisation=normalisation)
        layers: list[nn.Module] = [conv(3, 32, stride=2, norm=True)]
        before, reached, more = 32, 2, 1
        for channels, step, dilation in BLOCKS:
            keep = step == 2 and reached == stride  # BLOCKS are for stride 8
            layers.append(depthwise(before, channels, stride=1 if keep else step, dilation=dilation * more))
            before, reached, more = channels, reached if keep else reached * step, 2 if keep else more
        self.trunk = nn.Sequential(*layers)
        if weights is not None:
            load_exactly(self.trunk, read_file(weights), source=weights)
        self.freeze_trunk(freeze=freeze, batchnorm=batchnorm, fold=fold)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 512, H / stride, W / stride)."""
        return self.trunk(x)


def depthwise(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Build a depthwise 3x3 and a 1x1 convolution, each with BatchNorm and ReLU, as one flat sequence."""
    spatial = conv(in_channels, in_channels, stride=stride, dilation=dilation, groups=in_channels, norm=True)
    return nn.Sequential(*spatial, *conv(in_channels, out_channels, kernel=1, norm=True))
