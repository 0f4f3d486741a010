"""Where the parameters of a head have channels that stand for keypoints, the background and limbs.

Every head says so itself, in a method ``field_channels() -> dict[str, list[FieldChannels]]`` by parameter
name. Fine-tuning moves these channels by the names of keypoints and limbs.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

OUTPUT, INPUT = 0, 1  # axes of the weight of a convolution
Block = tuple[Literal["features", "heatmaps", "pafs"], int]  # what some channels are, and how many there are


class FieldChannels(NamedTuple):
    """The channels ``start`` ... of one field along one axis of a parameter, in the order of the field.

    Each channel of the field has ``cells`` successive ones: more than one in a head that shuffles pixels.
    A parameter has channels of fields along one axis at most.
    """

    axis: int
    start: int
    field: Literal["heatmaps", "pafs"]
    cells: int = 1


FieldChannelsOf = dict[str, list[FieldChannels]]


def gives(layer: str, *blocks: Block, cells: int = 1) -> FieldChannelsOf:
    """Describe the weight and the bias of a convolution whose outputs are ``blocks``."""
    return {f"{layer}.{kind}": _along(OUTPUT, blocks, cells) for kind in ("weight", "bias")}


def sees(layer: str, *blocks: Block, cells: int = 1) -> FieldChannelsOf:
    """Describe the weight of a convolution that reads ``blocks``, concatenated in this order."""
    return {f"{layer}.weight": _along(INPUT, blocks, cells)}


def _along(axis: int, blocks: tuple[Block, ...], cells: int) -> list[FieldChannels]:
    found, start = [], 0
    for what, channels in blocks:
        if what == "features":
            start += channels
        else:
            found.append(FieldChannels(axis, start, what, cells))
            start += channels * cells
    return found
