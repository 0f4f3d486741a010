"""All choices of the targets, as frozen settings. Sizes are in pixels of the network input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, NoReturn

from pafpose.errors import PafposeError
from pafpose.targets.heatmaps_numba import Background, HeatmapMerge
from pafpose.targets.pafs_numba import Caps, PafMerge, Profile

Choices = Mapping[str, tuple[Any, ...]]
SWITCH = (True, False)


def _names(choices: type[IntEnum]) -> tuple[str, ...]:
    return tuple(choices.__members__)


@dataclass(frozen=True)
class HeatmapSettings:
    """The keys of ``conf/heatmap``. Raises ``PafposeError`` on a bad value."""

    sigma: float = 7.0
    scale_by: str = "none"
    scale_ref: float = 184.0
    scale_min: float = 0.4
    scale_max: float = 2.5
    merge: str = "max"
    truncate: float = 0.01
    background: str = "max"

    choices: ClassVar[Choices] = {
        "scale_by": ("none", "person", "keypoint", "both"),
        "merge": _names(HeatmapMerge),
        "background": _names(Background),
    }

    def __post_init__(self) -> None:
        _check_choices(self, "heatmap")
        _check_sizes(self, "heatmap", "sigma", "scale_ref")
        _check_scale_limits(self, "heatmap")
        truncate = _number(self, "heatmap", "truncate")
        if not 0 <= truncate < 1:
            _fail("heatmap.truncate", truncate, "at least 0 and below 1 (0 draws whole Gaussians)")

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
    """The keys of ``conf/paf``. Raises ``PafposeError`` on a bad value.

    ``limbs`` is only kept for the record: the skeleton is built with it and owns the order of the channels.
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

    choices: ClassVar[Choices] = {
        "scale_by": ("none", "limb", "person"),
        "caps": _names(Caps),
        "profile": _names(Profile),
        "merge": _names(PafMerge),
    }

    def __post_init__(self) -> None:
        _check_choices(self, "paf")
        _check_sizes(self, "paf", "width", "limb_ref", "scale_ref")
        _check_scale_limits(self, "paf")

    @property
    def by_person(self) -> bool:
        """Whether the width follows the size of the person."""
        return self.scale_by == "person"

    @property
    def by_limb(self) -> bool:
        """Whether the width follows the length of the limb."""
        return self.scale_by == "limb"


@dataclass(frozen=True)
class MaskSettings:
    """The keys of ``conf/mask``: where the loss counts. Raises ``PafposeError`` on a bad value."""

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

    choices: ClassVar[Choices] = {
        "crowd": SWITCH,
        "unlabelled_people": SWITCH,
        "small_people": ("target", "ignore", "both"),
        "unlabelled_keypoints": SWITCH,
        "occluded_keypoints": SWITCH,
        "region": ("segmentation", "box"),
        "protect_labelled": SWITCH,
        "outside_image": SWITCH,
    }

    def __post_init__(self) -> None:
        _check_choices(self, "mask")
        for key in ("min_keypoints", "min_area"):
            value = _number(self, "mask", key)
            if not value >= 0:
                _fail(f"mask.{key}", value, "0 or more (0: nobody is small)")
        if self.min_keypoints != int(self.min_keypoints):
            _fail("mask.min_keypoints", self.min_keypoints, "a whole number of keypoints")
        object.__setattr__(self, "min_keypoints", int(self.min_keypoints))


GROUPS: dict[str, type[HeatmapSettings | PafSettings | MaskSettings]] = {
    "heatmap": HeatmapSettings,
    "paf": PafSettings,
    "mask": MaskSettings,
}
CHOICES: Choices = {  # all keys that have a list of values, as they are typed: heatmap.merge
    f"{group}.{key}": values for group, cls in GROUPS.items() for key, values in cls.choices.items()
}


def _fail(key: str, value: Any, rule: str) -> NoReturn:
    raise PafposeError(f"{key}={value}: must be {rule}")


def _check_choices(settings: Any, group: str) -> None:
    for key, options in settings.choices.items():
        value = getattr(settings, key)
        if value is None and "none" in options:  # key=null on the command line
            value = "none"
            object.__setattr__(settings, key, value)
        if options is SWITCH and not isinstance(value, bool):
            _fail(f"{group}.{key}", value, "true or false")
        if value not in options:
            _fail(f"{group}.{key}", value, f"one of {', '.join(options)}")


def _number(settings: Any, group: str, key: str) -> float:
    """Return a value as a float and store it as one: YAML and the command line also give integers."""
    value = getattr(settings, key)
    if value == ".inf":  # YAML's infinity, which Hydra's command line takes for a string
        value = math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        _fail(f"{group}.{key}", value, "a number")
    object.__setattr__(settings, key, float(value))
    return float(value)


def _check_sizes(settings: Any, group: str, *keys: str) -> None:
    for key in keys:
        value = _number(settings, group, key)
        if not 0 < value < math.inf:
            _fail(f"{group}.{key}", value, "above 0 and finite, in pixels of the network input")


def _check_scale_limits(settings: Any, group: str) -> None:
    low, high = _number(settings, group, "scale_min"), _number(settings, group, "scale_max")
    if not 0 <= low < math.inf:
        _fail(f"{group}.scale_min", low, "a factor of 0 or more")
    if not (high > 0 and high >= low):
        _fail(f"{group}.scale_max", high, f"above 0 and at least {group}.scale_min={low} (.inf: no limit)")
