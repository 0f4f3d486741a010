"""The keys of ``data.*`` that say what synthetic pictures show, checked when made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pafpose.errors import PafposeError

GENERATOR_VERSION = 7  # raise it when the same settings give other pictures, so that folders are drawn anew


@dataclass(frozen=True)
class SyntheticSettings:
    """What the pictures show; ``conf/data/synthetic.yaml`` explains the keys."""

    train_count: int = 3000
    val_count: int = 400
    generator_seed: int = 0
    picture_size: int = 192
    people: Sequence[int] = (1, 5)
    height: Sequence[float] = (0.33, 1.0)
    sides: float = 0.1
    liveliness: float = 0.5
    overlap: float = 0.12
    cut: float = 0.15
    occlusion: float = 0.15
    crowd: float = 0.1
    unlabelled: float = 0.05
    noise: float = 0.0
    clutter: float = 2.0

    def __post_init__(self) -> None:
        for key, least in (("train_count", 0), ("val_count", 0), ("generator_seed", 0), ("picture_size", 32)):
            self._convert(key, int)
            self._require(key, getattr(self, key) >= least, f"must be at least {least}")
        for key in ("sides", "overlap", "cut", "occlusion", "crowd", "unlabelled"):
            self._convert(key, float)
            self._require(key, 0 <= getattr(self, key) <= 1, "is a share: choose 0 to 1")
        for key in ("liveliness", "noise", "clutter"):
            self._convert(key, float)
            self._require(key, getattr(self, key) >= 0, "must not be negative; 0 turns it off")
        for key, kind in (("people", int), ("height", float)):
            values = [kind(value) for value in getattr(self, key)]
            ordered = len(values) == 2 and values[0] <= values[1]
            self._require(key, ordered, "give [lowest, highest], in this order")
            object.__setattr__(self, key, tuple(values))
        self._require("people", self.people[0] >= 0, "must not be negative; [0, 2] allows empty pictures")
        self._require("height", self.height[0] >= 0.05 and self.height[1] <= 2, "must lie in 0.05 to 2")

    def _convert(self, key: str, kind: type) -> None:
        object.__setattr__(self, key, kind(getattr(self, key)))

    def _require(self, key: str, holds: bool, rule: str) -> None:
        if not holds:
            raise PafposeError(f"data.{key}={getattr(self, key)}: {rule}")

    def count(self, split: str) -> int:
        """Return the number of pictures of a split, ``train`` or ``val``."""
        return self.train_count if split == "train" else self.val_count

    def fingerprint(self, *extra: object) -> str:
        """Return ten hex digits that change when these settings or ``extra`` do."""
        text = json.dumps([GENERATOR_VERSION, asdict(self), extra], sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:10]
