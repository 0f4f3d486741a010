"""How photos meet the network at test time: the keys of ``conf/evaluate``, checked when made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pafpose.data.photos.fit import PhotoFit
from pafpose.errors import PafposeError


@dataclass(frozen=True)
class EvaluateSettings(PhotoFit):
    """How photos meet the network at test time (``conf/evaluate``); checked when made."""

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    save_fields: bool = False
    fields: str | None = None  # a folder of saved fields, decoded instead of running a network
    detail: str = "total"  # total | full
    errors: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = self.scales if isinstance(self.scales, Sequence) else (self.scales,)
        object.__setattr__(self, "scales", tuple(float(scale) for scale in scales))
        if self.detail not in ("total", "full"):
            raise PafposeError(f"evaluate.detail={self.detail!r}: choose 'total' or 'full'")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise PafposeError(
                f"evaluate.scales={list(self.scales)}: give factors above 0, such as [1] or [0.5,1,2]"
            )

    def at_largest_scale(self) -> EvaluateSettings:
        """The same views, told from the frame of the largest one: its scale becomes 1.

        Photos are read once, at that size, and every other view is made from it, so that no view is
        enlarged from fewer pixels than the photo has.
        """
        largest = max(self.scales)
        return dataclasses.replace(
            self,
            input_size=max(1, round(self.input_size * largest)),
            scales=tuple(scale / largest for scale in self.scales),
        )
