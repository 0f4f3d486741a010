"""Colour changes: one linear map of RGB, which costs next to nothing, and albumentations' transforms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np

from pafpose.errors import PafposeError
from pafpose.runtime.jit import njit

_LUMA = np.array((0.299, 0.587, 0.114))
_TO_YIQ = np.array((_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


@dataclass(frozen=True)
class ColourSettings:
    """``augment.colour``: the largest change each way; shares of 1, the hue in degrees of its circle."""

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


def colour_map(settings: ColourSettings, rng: np.random.Generator, mean: float) -> np.ndarray:
    """A random (3, 4) matrix of RGB and 1; ``mean`` is the grey that contrast leaves alone, 0 to 255."""
    light, contrast, saturation, turn = rng.random(4).tolist()
    return _map(
        settings.brightness * (2 * light - 1),
        settings.contrast * (2 * contrast - 1),
        settings.saturation * (2 * saturation - 1),
        math.radians(settings.hue * (2 * turn - 1)),
        mean,
    )


@njit
def _map(light: float, contrast: float, saturation: float, turn: float, mean: float) -> np.ndarray:
    """Turn and stretch the chroma in YIQ; all changes but the turn (radians) are shares of 1."""
    c, s = (1 + saturation) * math.cos(turn), (1 + saturation) * math.sin(turn)
    out = np.empty((3, 4))
    for j in range(3):
        y, i, q = _TO_YIQ[0, j], _TO_YIQ[1, j], _TO_YIQ[2, j]
        i, q = c * i - s * q, s * i + c * q
        for k in range(3):
            linear = _FROM_YIQ[k, 0] * y + _FROM_YIQ[k, 1] * i + _FROM_YIQ[k, 2] * q
            out[k, j] = (1 + light) * (1 + contrast) * linear
    out[:, 3] = -contrast * (1 + light) * mean
    return out


@njit
def _mean(image: np.ndarray) -> float:
    """The mean of every eighth row and column."""
    total, rows, columns = 0, image.shape[0], image.shape[1]
    for y in range(0, rows, 8):
        for x in range(0, columns, 8):
            total += int(image[y, x, 0]) + int(image[y, x, 1]) + int(image[y, x, 2])
    return total / (3 * ((rows + 7) // 8) * ((columns + 7) // 8))


def change_colour(
    image: np.ndarray,
    settings: ColourSettings,
    rng: np.random.Generator,
    *,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """An RGB picture (H, W, 3) with brightness, contrast, saturation and hue drawn anew.

    ``out`` is memory for it, which may be that of the picture: fresh pages cost more than the change itself.
    """
    return cv2.transform(image, colour_map(settings, rng, _mean(image)), dst=out)


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
