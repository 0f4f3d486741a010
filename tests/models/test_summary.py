"""Figures of networks agree with those counted by hand."""

from __future__ import annotations

from torch import Tensor, nn

from pafpose.fields import Fields
from pafpose.models.summary import describe, summarise


class Toy(nn.Module):
    """A 3x3 convolution of stride 2, then a dilated one."""

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
    assert "frozen" in describe(figures)
