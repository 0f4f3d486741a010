"""Every choice of target design as frozen settings; sizes are in pixels of the network input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pafpose.errors import PafposeError


@dataclass(frozen=True)
class HeatmapSettings:
    """Keypoint heatmaps: the keys of ``conf/heatmap``. Raises ``PafposeError`` on a bad value."""

    sigma: float = 7.0
    scale_by: str = "none"
    scale_ref: float = 184.0
    scale_min: float = 0.4
    scale_max: float = 2.5
    merge: str = "max"
    truncate: float = 0.01
    background: str = "max"

    def __post_init__(self) -> None:
        _positive(self, "heatmap", "sigma", "scale_ref")
        _scale_limits(self, "heatmap")
        _choice(self, "heatmap", "scale_by", ("none", "person", "keypoint", "both"))
        _choice(self, "heatmap", "merge", ("max", "sum"))
        _choice(self, "heatmap", "background", ("max", "sum", "none"))
        truncate = _number(self, "heatmap", "truncate")
        if not 0 <= truncate < 1:
            _fail("heatmap.truncate", truncate, "a height from 0 to below 1 (0 draws every Gaussian whole)")

    @property
    def by_person(self) -> bool:
        """Whether sigma follows the size of the person."""
        return self.scale_by in ("person", "both")

    @property
    def by_keypoint(self) -> bool:
        """Whether sigma follows the OKS sigma of the keypoint."""
        return self.scale_by in ("keypoint", "both")


@dataclass(frozen=True)
class PafSettings:
    """Part affinity fields: the keys of ``conf/paf``. Raises ``PafposeError`` on a bad value.

    ``limbs`` is kept for the record: the skeleton is built with it and owns the order.
    """

    width: float = 8.0
    scale_by: str = "none"
    limb_ref: float = 40.0
    scale_ref: float = 184.0
    scale_min: float = 0.4
    scale_max: float = 2.5
    limbs: str | Sequence[Sequence[str]] = "openpose"
    caps: str = "bbox"
    profile: str = "rigid"
    merge: str = "mean"

    def __post_init__(self) -> None:
        _positive(self, "paf", "width", "limb_ref", "scale_ref")
        _scale_limits(self, "paf")
        _choice(self, "paf", "scale_by", ("none", "limb", "person"))
        _choice(self, "paf", "caps", ("bbox", "none", "round"))
        _choice(self, "paf", "profile", ("rigid", "linear", "cosine", "gaussian"))
        _choice(self, "paf", "merge", ("mean", "nearest", "max", "sum", "last"))

    @property
    def by_person(self) -> bool:
        """Whether the width follows the size of the person."""
        return self.scale_by == "person"

    @property
    def by_limb(self) -> bool:
        """Whether the width follows the length of the limb."""
        return self.scale_by == "limb"

    @property
    def reach_factor(self) -> float:
        """How many widths from its axis a limb still covers."""
        return 3.0 if self.profile == "gaussian" else 1.0


@dataclass(frozen=True)
class MaskSettings:
    """Where the loss counts: the keys of ``conf/mask``. Raises ``PafposeError`` on a bad value."""

    crowd: bool = True
    unlabelled_people: bool = True
    small_people: str = "target"
    min_keypoints: int = 5
    min_area: float = 1024.0
    unlabelled_keypoints: bool = False
    occluded_keypoints: bool = True
    region: str = "segmentation"
    protect_labelled: bool = True
    outside_image: bool = False

    def __post_init__(self) -> None:
        _switches(self, "mask", "crowd", "unlabelled_people", "unlabelled_keypoints", "occluded_keypoints")
        _switches(self, "mask", "protect_labelled", "outside_image")
        _choice(self, "mask", "small_people", ("target", "ignore", "both"))
        _choice(self, "mask", "region", ("segmentation", "box"))
        for key in ("min_keypoints", "min_area"):
            value = _number(self, "mask", key)
            if not value >= 0:
                _fail(f"mask.{key}", value, "0 or more (0 lets everybody count)")
        if self.min_keypoints != int(self.min_keypoints):
            _fail("mask.min_keypoints", self.min_keypoints, "a whole number of keypoints")
        object.__setattr__(self, "min_keypoints", int(self.min_keypoints))


def _fail(key: str, value: Any, rule: str) -> None:
    raise PafposeError(f"{key}={value}: must be {rule}")


def _number(settings: Any, group: str, key: str) -> float:
    """The value as a float, stored back: YAML and the command line give integers."""
    value = getattr(settings, key)
    if value == ".inf":  # YAML's word, which Hydra's command line takes for a string
        value = math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        _fail(f"{group}.{key}", value, "a number")
    object.__setattr__(settings, key, float(value))
    return float(value)


def _positive(settings: Any, group: str, *keys: str) -> None:
    for key in keys:
        value = _number(settings, group, key)
        if not 0 < value < math.inf:
            _fail(f"{group}.{key}", value, "above 0 and finite, in pixels of the network input")


def _scale_limits(settings: Any, group: str) -> None:
    low, high = _number(settings, group, "scale_min"), _number(settings, group, "scale_max")
    if not 0 <= low < math.inf:
        _fail(f"{group}.scale_min", low, "a factor of 0 or more")
    if not (high > 0 and high >= low):
        _fail(f"{group}.scale_max", high, f"above 0 and at least {group}.scale_min={low} (.inf for no limit)")


def _choice(settings: Any, group: str, key: str, options: Sequence[str]) -> None:
    value = getattr(settings, key)
    if value is None and "none" in options:  # key=null on the command line
        value = "none"
        object.__setattr__(settings, key, value)
    if value not in options:
        _fail(f"{group}.{key}", value, f"one of {', '.join(options)}")


def _switches(settings: Any, group: str, *keys: str) -> None:
    for key in keys:
        if not isinstance(getattr(settings, key), bool):
            _fail(f"{group}.{key}", getattr(settings, key), "true or false")
