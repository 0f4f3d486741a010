"""From photos to people: how photos are fitted, fields averaged over flip and scales, people put back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pafpose.errors import PafposeError


@dataclass(frozen=True)
class EvaluateSettings:
    """How photos meet the network at test time (``conf/evaluate``); checked when made."""

    input_size: int = 368  # px of the long side, or of the height
    fit: str = "long"  # long | height
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    save_fields: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_size", int(self.input_size))
        scales = self.scales if isinstance(self.scales, Sequence) else (self.scales,)
        object.__setattr__(self, "scales", tuple(float(scale) for scale in scales))
        if self.input_size < 1:
            raise PafposeError(f"evaluate.input_size={self.input_size}: give a number of pixels above 0")
        if self.fit not in ("long", "height"):
            raise PafposeError(f"evaluate.fit={self.fit!r}: choose 'long' (long side) or 'height'")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise PafposeError(
                f"evaluate.scales={list(self.scales)}: give factors above 0, such as [1] or [0.5,1,2]"
            )
