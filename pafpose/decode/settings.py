"""The constants of the decoder, checked on creation; ``conf/decode/default.yaml`` says what each means."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pafpose.decode.interpolation import Interpolation
from pafpose.decode.matching import Matching
from pafpose.decode.peaks import Refine
from pafpose.errors import PafposeError, shown

_CHOICES = {"refine": Refine, "interpolation": Interpolation, "matching": Matching}
_WHOLE_FROM = {"max_peaks": 1, "samples": 2, "min_keypoints": 1}  # whole numbers and the smallest of each
_AT_LEAST_ZERO = (
    "peak_threshold",
    "min_support",
    "split_error",
    "length_factor",
    "near",
    "near_score",
    "peak_weight",
    "min_sum_per_keypoint",
    "min_score",
    "complete",
)


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """The keys of ``conf/decode``. Raises ``PafposeError`` on a bad value."""

    peak_threshold: float = 0.05
    min_support: float = 0.7
    refine: str = "log_quadratic"
    max_peaks: int = 256
    split_error: float = 0.04
    samples: int = 10
    interpolation: str = "bilinear"
    paf_threshold: float = 0.03
    min_ratio: float = 0.8
    length_factor: float = 0.5
    near: float = 8.0
    near_score: float = 0.05
    peak_weight: float = 0.5
    matching: str = "hungarian"
    min_keypoints: int = 2
    min_sum_per_keypoint: float = 0.2
    min_score: float = 0.0
    complete: float = 0.01

    def __post_init__(self) -> None:
        for key, least in _WHOLE_FROM.items():
            _whole(self, key, least)
        for key, known in _CHOICES.items():
            if str(getattr(self, key)) not in known.__members__:
                _refuse(self, key, f"choose one of {', '.join(known.__members__)}")
        for item in fields(self):
            if item.type == "float":
                _number(self, item.name)
        for key in _AT_LEAST_ZERO:
            if getattr(self, key) < 0:
                _refuse(self, key, "choose 0 or more")
        if self.min_score > 1:
            _refuse(self, "min_score", "choose a number from 0 to 1")
        if self.peak_weight > 10:
            _refuse(self, "peak_weight", "choose at most 10")
        if not 0 <= self.min_ratio < 1:
            _refuse(self, "min_ratio", "choose at least 0 and below 1, as more than this share must pass")


def _refuse(settings: DecodeSettings, key: str, rule: str) -> None:
    raise PafposeError(f"decode.{key}={shown(getattr(settings, key))}: {rule}; see conf/decode/default.yaml")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(settings: DecodeSettings, key: str) -> None:
    value = getattr(settings, key)
    if not _is_number(value):
        _refuse(settings, key, "expected a finite number")
    object.__setattr__(settings, key, float(value))


def _whole(settings: DecodeSettings, key: str, least: int) -> None:
    value = getattr(settings, key)
    if not _is_number(value) or value != int(value) or value < least:
        _refuse(settings, key, f"expected a whole number of at least {least}")
    object.__setattr__(settings, key, int(value))
