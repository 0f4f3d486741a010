"""What synthetic pictures show: every share and range that a design choice may be tested against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pafpose.errors import PafposeError

GENERATOR_VERSION = 6  # raise it when the same settings give other pictures: cached folders are then remade


@dataclass(frozen=True)
class SyntheticSettings:
    """Keys of ``data.*`` that shape the pictures; lengths are shares of the picture's height."""

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
        for name, low in (("train_count", 0), ("val_count", 0), ("generator_seed", 0), ("picture_size", 32)):
            _set(self, name, int(getattr(self, name)))
            _demand(getattr(self, name) >= low, name, getattr(self, name), f"must be at least {low}")
        _set(self, "people", _pair("people", self.people, int))
        _set(self, "height", _pair("height", self.height, float))
        _demand(
            self.people[0] >= 0, "people", self.people, "must not be negative; [0, 2] allows empty pictures"
        )
        _demand(
            self.height[0] >= 0.05 and self.height[1] <= 2, "height", self.height, "must lie in 0.05 to 2"
        )
        for name in ("sides", "overlap", "cut", "occlusion", "crowd", "unlabelled"):
            _set(self, name, float(getattr(self, name)))
            _demand(0 <= getattr(self, name) <= 1, name, getattr(self, name), "is a share: choose 0 to 1")
        for name in ("liveliness", "noise", "clutter"):
            _set(self, name, float(getattr(self, name)))
            _demand(
                getattr(self, name) >= 0, name, getattr(self, name), "must not be negative; 0 turns it off"
            )

    def count(self, split: str) -> int:
        """Pictures in ``train`` or ``val``."""
        return self.train_count if split == "train" else self.val_count

    def fingerprint(self, *extra: object) -> str:
        """Ten hex digits that change when the pictures would."""
        text = json.dumps([GENERATOR_VERSION, asdict(self), extra], sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:10]


def _set(settings: SyntheticSettings, name: str, value: object) -> None:
    object.__setattr__(settings, name, value)


def _demand(holds: object, name: str, value: object, rule: str) -> None:
    if not holds:
        raise PafposeError(f"data.{name}={value}: {rule}")


def _pair(name: str, value: Sequence[float], kind: type) -> tuple:
    values = tuple(kind(v) for v in value)
    _demand(
        len(values) == 2 and values[0] <= values[-1],
        name,
        list(value),
        "give [lowest, highest], in this order",
    )
    return values
