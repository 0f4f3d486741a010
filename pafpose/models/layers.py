"""Layers that several backbones and heads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pafpose.errors import PafposeError

Activation = Callable[[int], nn.Module]


def activation(name: str) -> Activation:
    """A function from the number of channels to an activation module: relu, prelu, elu or none."""
    table: dict[str, Activation] = {
        "relu": lambda channels: nn.ReLU(inplace=True),
        "prelu": nn.PReLU,
        "elu": lambda channels: nn.ELU(inplace=True),
        "none": lambda channels: nn.Identity(),
    }
    return table[choice("activation", name, tuple(table))]


def choice(key: str, value: str | None, allowed: tuple[str, ...]) -> str:
    """The value when it is allowed, else an error that lists what is."""
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
    """Convolution that keeps the size (but for its stride), BatchNorm when asked, activation.

    ``bias`` defaults to what makes sense: none before BatchNorm.
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


def separable(in_channels: int, out_channels: int, *, kernel: int = 3, **kwargs: Any) -> nn.Sequential:
    """Depthwise convolution, then 1x1; both with BatchNorm and ReLU."""
    return nn.Sequential(
        conv(in_channels, in_channels, kernel=kernel, groups=in_channels, norm=True, **kwargs),
        conv(in_channels, out_channels, kernel=1, norm=True),
    )


class Residual(nn.Module):
    """``x + expand-and-project(depthwise(x))``: cheap on CPUs, where 1x1 and depthwise 3x3 are fast.

    The depthwise convolution works on the narrow side; ``expansion`` widens only between the two 1x1. The
    last BatchNorm starts at 0, so a deep stack starts as the identity and bears a high learning rate.
    """

    def __init__(self, channels: int, *, expansion: float = 2.0, kernel: int = 3) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.spatial = conv(channels, channels, kernel=kernel, groups=channels, norm=True, act="none")
        self.expand = conv(channels, hidden, kernel=1)
        self.project = conv(hidden, channels, kernel=1, norm=True, act="none")
        nn.init.zeros_(self.project[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return x + self.project(self.expand(self.spatial(x)))


class FloatDepthwise(nn.Conv2d):
    """A depthwise convolution that bfloat16 autocast on a CPU leaves in float32.

    The gradient of depthwise 5x5 layers is four times as slow in bfloat16 there; the result goes on in
    bfloat16, so that what follows gains as before.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Conv2d``."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


def keep_depthwise_fast(network: nn.Module) -> None:
    """Make trainable depthwise layers of 5x5 and more :class:`FloatDepthwise`, in place; weights stay."""
    for module in network.modules():
        if type(module) is not nn.Conv2d or not module.weight.requires_grad:
            continue
        if 1 < module.groups == module.in_channels and min(module.kernel_size) >= 5:
            module.__class__ = FloatDepthwise


class BasicBlock(nn.Module):
    """``relu(x + two dense 3x3 convolutions)``, the block of ResNet-18 (He et al., arXiv 1512.03385).

    Only the second convolution has BatchNorm: it normalises the whole branch, and the passes over memory
    that the first would take are a large part of a step on CPUs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels, norm=True, act="none")

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return F.relu(x + self.second(self.first(x)), inplace=True)


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear resize to the height and width of ``like``; cell centres, as everywhere."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
