"""The keys of ``oracle`` in ``conf/oracle.yaml``, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pafpose.errors import PafposeError

SPLITS = {"train": ("train",), "val": ("val",), "both": ("train", "val")}
DETAILS = ("total", "bounds", "full")


@dataclass(frozen=True)
class OracleSettings:
    """What is encoded, and what is done to the fields before they are decoded."""

    split: str = "val"  # train | val | both
    noise: float = 0.0  # std of Gaussian noise in every cell of every field
    blur: float = 0.0  # std in input px of a Gaussian over every field
    drop: float = 0.0  # 0..1, share of the keypoints that the fields lack, with their limbs
    detail: str = "full"  # total: the ten numbers; bounds: what bounds them too; full: by keypoint and crowd

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise PafposeError(f"oracle.split={self.split!r}: choose one of {', '.join(SPLITS)}")
        if self.detail not in DETAILS:
            raise PafposeError(f"oracle.detail={self.detail!r}: choose one of {', '.join(DETAILS)}")
        for key in ("noise", "blur", "drop"):
            value = getattr(self, key)
            if isinstance(value, bool | str) or value is None or not (0 <= value < math.inf):
                raise PafposeError(f"oracle.{key}={value!r}: give a number of at least 0; 0 turns it off")
            object.__setattr__(self, key, float(value))
        if self.drop > 1:
            raise PafposeError(f"oracle.drop={self.drop}: a share of the keypoints is between 0 and 1")

    @property
    def splits(self) -> tuple[str, ...]:
        """The annotation files to read."""
        return SPLITS[self.split]
