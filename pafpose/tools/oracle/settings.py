"""The keys below ``oracle`` in ``conf/oracle.yaml``, validated on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pafpose.errors import PafposeError

SPLITS = {"train": ("train",), "val": ("val",), "both": ("train", "val")}
DETAILS = ("total", "bounds", "full")


@dataclass(frozen=True)
class OracleSettings:
    """Which annotations are encoded, how the fields are perturbed, and which metrics are computed."""

    split: str = "val"  # train | val | both
    noise: float = 0.0  # standard deviation of the noise added to all fields
    blur: float = 0.0  # standard deviation of the blur of all fields, input px
    drop: float = 0.0  # 0..1, share of keypoints missing from the fields, with their limbs
    detail: str = "full"  # total: COCO's metrics; bounds: and the bounds; full: and AP by keypoint and crowd

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise PafposeError(f"oracle.split={self.split!r}: choose one of {', '.join(SPLITS)}")
        if self.detail not in DETAILS:
            raise PafposeError(f"oracle.detail={self.detail!r}: choose one of {', '.join(DETAILS)}")
        for key in ("noise", "blur", "drop"):
            value = getattr(self, key)
            if isinstance(value, bool | str) or value is None or not (0 <= value < math.inf):
                raise PafposeError(f"oracle.{key}={value!r}: must be a number >= 0; 0 turns it off")
            object.__setattr__(self, key, float(value))
        if self.drop > 1:
            raise PafposeError(f"oracle.drop={self.drop}: must be a share between 0 and 1")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits to read."""
        return SPLITS[self.split]
