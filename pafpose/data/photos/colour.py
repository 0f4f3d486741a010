"""Colour changes: a linear map of RGB of our own, and albumentations' pixel transforms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np

from pafpose.errors import PafposeError

_TO_YIQ = np.array(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


@dataclass(frozen=True)
class ColourSettings:
    """``augment.colour``: the largest change up and down, as fractions of 1; the hue in degrees."""

    p: float = 0.0  # probability that a sample is changed
    brightness: float = 0.3
    contrast: float = 0.3  # about the mean brightness of the crop
    saturation: float = 0.4
    hue: float = 18.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, top = getattr(self, entry.name), 180 if entry.name == "hue" else 1
            if not isinstance(value, int | float) or not 0 <= value <= top:
                raise PafposeError(f"augment.{entry.name}={value!r}: choose 0 to {top}")


def colour_matrix(settings: ColourSettings, rng: np.random.Generator, mean: float) -> np.ndarray:
    """Draw a (3, 4) matrix that maps (R, G, B, 1) to RGB.

    Brightness and contrast are gains, the latter about ``mean`` (0 to 255). Saturation and hue stretch and
    turn the two chroma axes of YIQ.
    """
    brightness, contrast, saturation, turn = (2 * rng.random(4) - 1).tolist()
    brightness, contrast = settings.brightness * brightness, settings.contrast * contrast
    gain, angle = 1 + settings.saturation * saturation, math.radians(settings.hue * turn)
    c, s = gain * math.cos(angle), gain * math.sin(angle)
    chroma = np.array(((1, 0, 0), (0, c, -s), (0, s, c)))
    linear = (1 + brightness) * (1 + contrast) * _FROM_YIQ @ chroma @ _TO_YIQ
    return np.column_stack([linear, np.full(3, -contrast * (1 + brightness) * mean)])


def change_colour(image: np.ndarray, settings: ColourSettings, rng: np.random.Generator) -> np.ndarray:
    """Return an RGB picture (H, W, 3) with brightness, contrast, saturation and hue changed at random."""
    mean = float(image[::8, ::8].mean())
    return cv2.transform(image, colour_matrix(settings, rng, mean))


class Photometric:
    """albumentations' transforms named in ``augment.photometric``; they change pixels, never geometry."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        import albumentations

        self._compose = albumentations.Compose([_transform(entry) for entry in entries])

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a changed RGB picture; the changes depend on ``rng`` alone.

        albumentations 2.0.8 draws the same sequence in every loader process unless it is reseeded.
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
            f"augment.photometric: {name} moves pixels, and keypoints and masks would not follow; use only "
            "colour, blur and noise here, and augment.scale, rotation, shift and flip for geometry"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # albumentations only warns of a misspelt argument
        try:
            return kind(**values)
        except (UserWarning, ValueError, TypeError) as error:
            raise PafposeError(f"augment.photometric: {name}: {error}") from error
