"""Layers of our own compute what plain ones do; only wide depthwise layers use other arithmetic."""

from __future__ import annotations

import torch
from torch import nn

from pafpose.models.layers import BasicBlock, Float32Depthwise, use_float32_depthwise


def test_wide_depthwise_layers_stay_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 5, stride=2, padding=4, dilation=2, groups=8, padding_mode="reflect")
    x = torch.randn(2, 8, 12, 12)
    expected = plain(x)
    network = nn.Sequential(nn.Sequential(plain))
    use_float32_depthwise(network)
    layer = network[0][0]
    assert isinstance(layer, Float32Depthwise) and torch.equal(layer(x), expected)
    assert layer.weight is plain.weight and layer.bias is plain.bias
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(x)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, expected.bfloat16())  # rounded once, at the end
    result.float().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


def test_other_layers_are_left_alone() -> None:
    frozen = nn.Conv2d(8, 8, 5, groups=8).requires_grad_(False)
    layers = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 5), nn.Conv2d(1, 1, 5), frozen)
    use_float32_depthwise(layers)
    assert all(type(layer) is nn.Conv2d for layer in layers)


def test_a_basic_block_adds_to_its_input() -> None:
    block = BasicBlock(4).eval()
    nn.init.zeros_(block.second[1].weight)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(block(x), x.relu())
