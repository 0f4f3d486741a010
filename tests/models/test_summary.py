"""Figures of networks, against ones counted by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pafpose.fields import Fields
from pafpose.models.summary import describe, summarise


class Toy(nn.Module):
    """3x3, stride 2; 3x3 dilated by 2: sees 3 + 4 * 2 = 11 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 2, 3, padding=2, dilation=2)

    def forward(self, x: Tensor) -> list[Fields]:
        y = self.second(self.first(x).relu())
        return [Fields(y, y)]


def test_figures_by_hand() -> None:
    network = Toy()
    network.first.requires_grad_(False)
    figures = summarise(network, size=32)
    assert figures["parameters"] == 3 * 4 * 9 + 4 + 4 * 2 * 9 + 2
    assert figures["trainable"] == 4 * 2 * 9 + 2
    assert figures["gflops"] * 1e9 == 2 * 16 * 16 * (3 * 4 * 9 + 4 * 2 * 9)
    assert figures["stride"] == 2
    assert figures["receptive_field"] == 11
    assert "frozen" in describe(figures)


def test_receptive_field_agrees_with_gradients() -> None:
    network = Toy().double()
    x = torch.zeros(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)
    network(x)[0].pafs[0, 0, 16, 16].backward()
    assert x.grad is not None
    touched = x.grad[0].sum(0).sum(0).nonzero()
    assert touched.max() - touched.min() + 1 == summarise(Toy(), size=32)["receptive_field"]
