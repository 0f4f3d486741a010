"""Layers that several backbones and heads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError

Activation = Callable[[int], nn.Module]


def activation(name: str) -> Activation:
    """Return a function that makes an activation for a number of channels: relu, prelu, elu or none."""
    table: dict[str, Activation] = {
        "relu": lambda channels: nn.ReLU(inplace=True),
        "prelu": nn.PReLU,
        "elu": lambda channels: nn.ELU(inplace=True),
        "none": lambda channels: nn.Identity(),
    }
    return table[check_choice("activation", name, tuple(table))]


def check_choice(key: str, value: str | None, allowed: tuple[str, ...]) -> str:
    """Return the value if it is allowed; otherwise raise an error that lists the choices."""
    if value not in allowed:
        raise PafposeError(f"{key}={value}: choose one of {', '.join(allowed)}")
    return str(value)


def conv(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    norm: bool = False,
    bias: bool | None = None,
    act: str = "relu",
) -> nn.Sequential:
    """Build a convolution with "same" padding, BatchNorm if ``norm``, and an activation.

    ``bias`` None: a bias unless BatchNorm follows, which has its own.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel - 1) // 2,
            dilation=dilation,
            groups=groups,
            bias=not norm if bias is None else bias,
        )
    ]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    if act != "none":
        layers.append(activation(act)(out_channels))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Add a depthwise convolution followed by a 1x1 bottleneck to the input; cheap on CPUs.

    The depthwise convolution works on ``channels``; only between the two 1x1 convolutions are there
    ``expansion`` times as many. The scale of the last BatchNorm starts at 0, so that a new block is the
    identity and deep stacks tolerate a high learning rate.
    """

    def __init__(self, channels: int, *, expansion: float = 2.0, kernel: int = 3) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.spatial = conv(channels, channels, kernel=kernel, groups=channels, norm=True, act="none")
        self.expand = conv(channels, hidden, kernel=1)
        self.project = conv(hidden, channels, kernel=1, norm=True, act="none")
        nn.init.zeros_(self.project[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        return x + self.project(self.expand(self.spatial(x)))


class Float32Depthwise(nn.Conv2d):
    """A depthwise convolution that computes in float32 under CPU autocast and returns the autocast type.

    The gradient of wide depthwise kernels is slow in bfloat16 on CPUs: with plain layers a training step of
    ``coco_mini`` took 1.6 times as long and one of ``modern`` 1.4 times (one core with AMX, bf16-mixed).
    """

    @classmethod
    def like(cls, layer: nn.Conv2d) -> Self:
        """Build a layer with the settings of ``layer`` that shares its parameters."""
        settings: dict[str, Any] = {
            name: getattr(layer, name)
            for name in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        }
        new = cls(layer.in_channels, layer.out_channels, **settings, bias=False, device="meta")
        new.weight, new.bias = layer.weight, layer.bias
        return new

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W) as ``nn.Conv2d`` does."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


def use_float32_depthwise(network: nn.Module) -> None:
    """Replace trainable depthwise layers with kernels of 5x5 and more by :class:`Float32Depthwise`."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is not nn.Conv2d or not layer.weight.requires_grad:
                continue
            if 1 < layer.groups == layer.in_channels and min(layer.kernel_size) >= 5:
                setattr(parent, name, Float32Depthwise.like(layer))


class BasicBlock(nn.Module):
    """``relu(x + two dense 3x3 convolutions)``, the block of ResNet-18 (He et al., arXiv 1512.03385).

    Unlike there, only the second convolution has BatchNorm. It normalises the whole branch, and a second one
    would cost a large part of a training step on CPUs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels, norm=True, act="none")

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        return F.relu(x + self.second(self.first(x)), inplace=True)


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly to the height and width of ``like``, with values at cell centres."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
