"""How photos are fitted, run and averaged at test time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pafpose.data.photos.fit import PhotoFit
from pafpose.errors import PafposeError
from pafpose.metrics.coco_ap import MAX_DETECTIONS


@dataclass(frozen=True)
class EvaluateSettings(PhotoFit):
    """The keys of ``conf/evaluate``. Raises ``PafposeError`` on a bad value."""

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    save_fields: bool = False
    fields: str | None = None  # a folder of saved fields to decode again, without a network
    max_detections: int = MAX_DETECTIONS  # people found in a photo that AP counts
    detail: str = "total"  # total | full
    errors: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = self.scales if isinstance(self.scales, Sequence) else (self.scales,)
        object.__setattr__(self, "scales", tuple(float(scale) for scale in scales))
        if not isinstance(self.max_detections, int) or self.max_detections < 1:
            raise PafposeError(
                f"evaluate.max_detections={self.max_detections!r}: give a whole number above 0"
            )
        if self.detail not in ("total", "full"):
            raise PafposeError(f"evaluate.detail={self.detail!r}: choose 'total' or 'full'")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise PafposeError(
                f"evaluate.scales={list(self.scales)}: give factors above 0, such as [1] or [0.5,1,2]"
            )

    def at_largest_scale(self) -> EvaluateSettings:
        """Return the same views, with ``input_size`` that of the largest and scales relative to it.

        A photo is read once, at the size of the largest view, and the other views are reduced from that
        one. So no view is enlarged from a reduced photo.
        """
        largest = max(self.scales)
        return dataclasses.replace(
            self,
            input_size=max(1, round(self.input_size * largest)),
            scales=tuple(scale / largest for scale in self.scales),
        )
