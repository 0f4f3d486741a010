"""Augmentation: one random 2x3 matrix per sample, and colour changes named in YAML.

The matrix maps photo pixels to crop pixels; picture, masks, boxes and keypoints are all moved by it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pafpose import geometry
from pafpose.errors import PafposeError


@dataclass(frozen=True)
class AugmentSettings:
    """``conf/augment``: ranges of the random geometry, and the list of colour transforms."""

    crop: int = 368  # side of the square input, px
    target_dist: float = 0.6  # person height / crop before the random scale (sample_by=person)
    scale: tuple[float, float] = (0.5, 1.1)  # lowest and highest random factor
    scale_p: float = 1.0  # probability of the random factor; else 1
    rotation: float = 40.0  # degrees: largest turn (uniform) or standard deviation (normal, cut at twice)
    rotation_draw: str = "uniform"
    rotation_p: float = 1.0  # probability of a turn
    shift: float = 40.0  # px of the crop, largest shift of the centre each way
    flip: float = 0.5  # probability of a mirror
    photometric: tuple[Mapping[str, Any], ...] = ()  # albumentations: {name: ..., p: ..., ...}

    def __post_init__(self) -> None:
        _convert(self, crop=int, target_dist=float, scale_p=float, rotation=float, rotation_p=float)
        _convert(self, shift=float, flip=float, scale=_range, photometric=_entries)
        for key in ("scale_p", "rotation_p", "flip"):
            _check(0 <= getattr(self, key) <= 1, self, key, "is a probability: choose 0 to 1")
        _check(self.crop > 0, self, "crop", "is a side in pixels: choose a multiple of head.stride")
        _check(0 < self.target_dist <= 4, self, "target_dist", "is a share of the crop: above 0, up to 4")
        low, high = self.scale
        _check(0 < low <= high, self, "scale", "needs [lowest, highest] with 0 < lowest <= highest")
        _check(self.rotation >= 0, self, "rotation", "is an angle in degrees: choose 0 or more")
        _check(self.shift >= 0, self, "shift", "is a distance in pixels: choose 0 or more")
        _check(
            self.rotation_draw in ("uniform", "normal"), self, "rotation_draw", "must be uniform or normal"
        )


class Draw(NamedTuple):
    """One random choice of geometry."""

    scale: float
    degrees: float
    shift: tuple[float, float]  # px of the crop
    flip: bool


def draw_geometry(settings: AugmentSettings, rng: np.random.Generator) -> Draw:
    """Draw scale, turn, shift and mirror."""
    scale = rng.uniform(*settings.scale) if rng.random() < settings.scale_p else 1.0
    turned = rng.random() < settings.rotation_p
    if settings.rotation_draw == "normal":
        degrees = settings.rotation * float(np.clip(rng.standard_normal(), -2, 2))
    else:
        degrees = rng.uniform(-settings.rotation, settings.rotation)
    dx, dy = rng.uniform(-settings.shift, settings.shift, 2)
    return Draw(float(scale), degrees if turned else 0.0, (dx, dy), bool(rng.random() < settings.flip))


def crop_matrix(draw: Draw, *, centre: tuple[float, float], scale: float, crop: int) -> np.ndarray:
    """Photo -> crop: ``centre`` (photo px) lands in the middle, after all scaled, turned, mirrored, shifted.

    ``scale`` is crop pixels per photo pixel before the draw's own factor.
    """
    middle = (crop - 1) / 2
    matrix = geometry.compose(geometry.rotation(draw.degrees), geometry.translation(-centre[0], -centre[1]))
    matrix = matrix * (scale * draw.scale)
    if draw.flip:
        matrix[0] *= -1
    return geometry.compose(geometry.translation(middle + draw.shift[0], middle + draw.shift[1]), matrix)


def matrix_scale(matrix: np.ndarray) -> float:
    """Input pixels per photo pixel."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))


class Photometric:
    """Colour, blur, noise: albumentations transforms named in YAML; pixels only, never geometry."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        import albumentations

        self._compose = albumentations.Compose([_transform(entry) for entry in entries])

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change an RGB picture; the draw depends on ``rng`` alone.

        albumentations 2.0.8 draws the same sequence in every worker unless it is reseeded.
        """
        self._compose.set_random_seed(int(rng.integers(2**31 - 1)))
        return self._compose(image=image)["image"]


def _transform(entry: Mapping[str, Any]) -> Any:
    import albumentations

    values = dict(entry)
    name = str(values.pop("name"))
    kind = getattr(albumentations, name, None)
    if kind is None or not isinstance(kind, type):
        raise PafposeError(
            f"augment.photometric: albumentations {albumentations.__version__} has no transform {name!r}"
        )
    if not issubclass(kind, albumentations.ImageOnlyTransform):
        raise PafposeError(
            f"augment.photometric: {name} moves pixels, which would leave keypoints and masks behind; take "
            "geometry from augment.scale, rotation, shift and flip, and only colour, blur or noise from here"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # albumentations only warns of a misspelt argument
        try:
            return kind(**values)
        except (UserWarning, ValueError, TypeError) as error:
            raise PafposeError(f"augment.photometric: {name}: {error}") from error


def _convert(settings: AugmentSettings, **kinds: Any) -> None:
    for key, kind in kinds.items():
        value = getattr(settings, key)
        try:
            object.__setattr__(settings, key, kind(value))
        except (TypeError, ValueError) as error:
            raise PafposeError(f"augment.{key}={value!r}: {error}; see conf/augment/default.yaml") from error


def _range(value: Sequence[float]) -> tuple[float, float]:
    low, high = (float(v) for v in value)
    return low, high


def _entries(value: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    for entry in value or ():
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise ValueError("expected a list of entries such as {name: ColorJitter, p: 0.5}")
    return tuple(value or ())


def _check(good: bool, settings: AugmentSettings, key: str, rule: str) -> None:
    if not good:
        raise PafposeError(f"augment.{key}={getattr(settings, key)!r}: {rule}")
