"""What a person looks like: skin, hair and clothes, drawn at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from pafpose.synthetic.canvas import Colour

Hair = Literal["bald", "short", "bob", "long", "cap"]
Pattern = Literal["plain", "stripes", "print", "jacket", "buttons", "spots", "hoops"]
Sleeves = Literal["none", "short", "long"]
Legwear = Literal["trousers", "shorts", "skirt"]

_PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "plain", "stripes", "print", "jacket", "buttons", "spots",
                                  "hoops")  # fmt: skip
_SKINS: tuple[Colour, ...] = ((255, 219, 186), (241, 194, 152), (224, 172, 115), (198, 134, 92),
                              (141, 88, 54), (96, 60, 40), (232, 184, 148))  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((24, 18, 16), (58, 38, 26), (98, 64, 36), (190, 150, 86), (140, 70, 34),
                              (165, 165, 165), (70, 66, 64))  # fmt: skip
_SHOES: tuple[Colour, ...] = ((30, 28, 28), (235, 235, 232), (110, 70, 40), (150, 30, 40), (40, 60, 120))


T = TypeVar("T")


@dataclass(frozen=True)
class Appearance:
    """Colours and styles of one person; every colour is RGB, 0 to 255."""

    skin: Colour
    hair: Colour
    hair_style: Hair
    top: Colour
    accent: Colour  # of the pattern, the jacket, the cap and the rucksack
    pattern: Pattern
    sleeves: Sleeves
    bottom: Colour
    legwear: Legwear
    shoes: Colour
    rucksack: bool


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw the appearance of one person; clothes are bright and muted alike."""
    u = rng.random(20).tolist()
    return Appearance(
        skin=_vary(_SKINS, u[3], u[:3]),
        hair=_vary(_HAIRS, u[13], u[:3]),
        hair_style=_choose(u[14], (0.06, 0.5, 0.68, 0.88), get_args(Hair)),
        top=_cloth(u[4], u[5], u[6]),
        accent=_cloth(u[7], u[8], u[9]),
        pattern=_PATTERNS[int(u[15] * len(_PATTERNS))],
        sleeves=_choose(u[16], (0.1, 0.55), get_args(Sleeves)),
        bottom=_cloth(u[10], u[11] * 0.6, u[12] * 0.8),
        legwear=_choose(u[17], (0.7, 0.88), get_args(Legwear)),
        shoes=_vary(_SHOES, u[18], u[:3]),
        rucksack=u[19] < 0.12,
    )


def _choose(u: float, bounds: tuple[float, ...], options: tuple[T, ...]) -> T:
    return options[sum(u > bound for bound in bounds)]


def _vary(palette: tuple[Colour, ...], u: float, shift: list[float]) -> Colour:
    red, green, blue = palette[int(u * len(palette))]
    return (red + 24 * shift[0] - 12, green + 24 * shift[1] - 12, blue + 24 * shift[2] - 12)


def _cloth(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation**1.3, 0.12 + 0.86 * value)
    return (255 * red, 255 * green, 255 * blue)
