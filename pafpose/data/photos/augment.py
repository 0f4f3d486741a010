"""The settings of augmentation, and its random geometry: one 2x3 matrix per sample.

The matrix maps photo pixels to crop pixels. It moves the picture, masks, boxes and keypoints alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pafpose.data.photos.colour import ColourSettings
from pafpose.errors import PafposeError

FILLS = ("background", "noise", "grey")


@dataclass(frozen=True)
class PatchSettings:
    """``augment.occlusion`` and ``augment.cutout``: rectangles that cover a part of the crop."""

    p: float = 0.0  # probability that a sample gets any
    count: tuple[int, int] = (1, 2)  # fewest and most
    size: tuple[float, float] = (
        0.1,
        0.3,
    )  # sides, relative to the person's height (occlusion) or crop (cutout)
    fill: str = "noise"  # background: of a photo without people; noise where there is none

    def __post_init__(self) -> None:
        _convert(self, p=float, count=_counts, size=_range)
        _check(0 <= self.p <= 1, self, "p", "is a probability: choose 0 to 1")
        size_rule = "needs [smallest, largest], above 0, up to 4"
        _check(0 < self.size[0] <= self.size[1] <= 4, self, "size", size_rule)
        _check(self.fill in FILLS, self, "fill", f"must be one of {', '.join(FILLS)}")


@dataclass(frozen=True)
class PasteSettings:
    """``augment.paste``: people cut out of other photos by their masks and put in front of others."""

    p: float = 0.0  # probability that a sample gets any
    count: tuple[int, int] = (1, 2)  # fewest and most
    height: tuple[float, float] = (0.6, 1.2)  # of a pasted person, relative to the neighbour's
    apart: tuple[float, float] = (0.3, 1.0)  # distance of the two centres, in mean widths of their boxes
    min_height: float = 64.0  # px in the source photo; smaller people would be blurred

    def __post_init__(self) -> None:
        _convert(self, p=float, count=_counts, height=_range, apart=_range, min_height=float)
        _check(0 <= self.p <= 1, self, "p", "is a probability: choose 0 to 1")
        height_rule = "needs [lowest, highest], above 0, up to 4"
        _check(0 < self.height[0] <= self.height[1] <= 4, self, "height", height_rule)
        _check(0 <= self.apart[0] <= self.apart[1], self, "apart", "needs [least, most], 0 or more")
        _check(self.min_height > 0, self, "min_height", "is a height in pixels: choose above 0")


@dataclass(frozen=True)
class AugmentSettings:
    """``conf/augment``: the ranges of the random geometry, and what else changes a crop."""

    crop: int = 368  # side of the square input, px
    target_dist: float = 0.6  # person height / crop before the random scale (sample_by=person)
    scale: tuple[float, float] = (0.5, 1.1)  # lowest and highest random factor
    scale_p: float = 1.0  # probability of the random factor; otherwise 1
    rotation: float = 40.0  # degrees: the largest (uniform), or one standard deviation (normal)
    rotation_draw: str = "uniform"  # uniform | normal
    rotation_p: float = 1.0  # probability of a rotation
    shift: float = 40.0  # px of the crop, largest shift of the centre in each direction
    flip: float = 0.5  # probability of a left-right flip
    occlusion: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(0.25, 0.75), fill="background")
    )
    cutout: PatchSettings = field(default_factory=PatchSettings)
    paste: PasteSettings = field(default_factory=PasteSettings)
    colour: ColourSettings = field(default_factory=ColourSettings)
    photometric: tuple[Mapping[str, Any], ...] = ()  # albumentations: {name: ..., p: ..., ...}

    def __post_init__(self) -> None:
        _convert(self, crop=int, target_dist=float, scale_p=float, rotation=float, rotation_p=float)
        _convert(self, shift=float, flip=float, scale=_range, photometric=_entries)
        for key, kind in (("occlusion", PatchSettings), ("cutout", PatchSettings), ("paste", PasteSettings)):
            _nest(self, key, kind)
        _nest(self, "colour", ColourSettings)
        for key in ("scale_p", "rotation_p", "flip"):
            _check(0 <= getattr(self, key) <= 1, self, key, "is a probability: choose 0 to 1")
        _check(self.crop > 0, self, "crop", "is a side in pixels: choose a multiple of head.stride")
        _check(0 < self.target_dist <= 4, self, "target_dist", "is a fraction of the crop: above 0, up to 4")
        low, high = self.scale
        _check(0 < low <= high, self, "scale", "needs [lowest, highest] with 0 < lowest <= highest")
        _check(self.rotation >= 0, self, "rotation", "is an angle in degrees: choose 0 or more")
        _check(self.shift >= 0, self, "shift", "is a distance in pixels: choose 0 or more")
        draws = ("uniform", "normal")
        _check(self.rotation_draw in draws, self, "rotation_draw", f"must be {' or '.join(draws)}")


class AffineParams(NamedTuple):
    """One random choice of geometry."""

    scale: float
    degrees: float
    shift: tuple[float, float]  # px of the crop
    flip: bool


def sample_affine(settings: AugmentSettings, rng: np.random.Generator) -> AffineParams:
    """Draw scale, rotation, shift and flip; normal rotations are clipped at two standard deviations."""
    scaled, scale, rotated, angle, dx, dy, flipped = rng.random(7).tolist()
    low, high = settings.scale
    angle = 2 * angle - 1
    if settings.rotation_draw == "normal":
        angle = min(2.0, max(-2.0, rng.standard_normal()))
    return AffineParams(
        low + (high - low) * scale if scaled < settings.scale_p else 1.0,
        settings.rotation * angle if rotated < settings.rotation_p else 0.0,
        (settings.shift * (2 * dx - 1), settings.shift * (2 * dy - 1)),
        flipped < settings.flip,
    )


def crop_matrix(params: AffineParams, *, centre: tuple[float, float], scale: float, crop: int) -> np.ndarray:
    """Return the matrix from photo to crop that brings ``centre`` (photo px) to the middle of the crop.

    The photo is scaled, rotated, flipped and then shifted. ``scale`` is crop pixels per photo pixel before
    the random factor.
    """
    angle, factor = math.radians(params.degrees), scale * params.scale
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    sign, middle = -1.0 if params.flip else 1.0, (crop - 1) / 2
    (x, y), (dx, dy) = centre, params.shift
    a, b = sign * c, -sign * s
    return np.array(((a, b, middle + dx - a * x - b * y), (s, c, middle + dy - s * x - c * y)))


def _nest(settings: AugmentSettings, key: str, kind: Callable[..., Any]) -> None:
    """Turn a mapping into the settings class of its key; errors name the key."""
    value = getattr(settings, key)
    if isinstance(value, Mapping):
        try:
            object.__setattr__(settings, key, kind(**value))
        except TypeError as error:
            raise PafposeError(f"augment.{key}: {error}; see conf/augment/default.yaml") from error
        except PafposeError as error:
            raise PafposeError(str(error).replace("augment.", f"augment.{key}.", 1)) from error


def _convert(settings: Any, **kinds: Any) -> None:
    """Convert fields in place; errors name the key."""
    for key, kind in kinds.items():
        value = getattr(settings, key)
        try:
            object.__setattr__(settings, key, kind(value))
        except (TypeError, ValueError) as error:
            raise PafposeError(f"augment.{key}={value!r}: {error}; see conf/augment/default.yaml") from error


def _range(value: Sequence[float]) -> tuple[float, float]:
    low, high = (float(v) for v in value)
    return low, high


def _counts(value: Sequence[int]) -> tuple[int, int]:
    low, high = (int(v) for v in value)
    if not 0 <= low <= high:
        raise ValueError("expected [fewest, most]")
    return low, high


def _entries(value: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    for entry in value or ():
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise ValueError("expected a list of entries such as {name: ColorJitter, p: 0.5}")
    return tuple(value or ())


def _check(good: bool, settings: Any, key: str, rule: str) -> None:
    if not good:
        raise PafposeError(f"augment.{key}={getattr(settings, key)!r}: {rule}")
