"""What people wear: skin, hair and clothes as RGB tuples, drawn at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from pafpose.synthetic.canvas import Colour

BALD, SHORT, BOB, LONG, CAP = range(5)
STRIPES, PRINT, JACKET, BUTTONS, SPOTS, HOOPS = range(3, 9)  # below: plain
TROUSERS, SHORTS, SKIRT = range(3)

_SKINS: tuple[Colour, ...] = ((255, 219, 186), (241, 194, 152), (224, 172, 115), (198, 134, 92),
                              (141, 88, 54), (96, 60, 40), (232, 184, 148))  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((24, 18, 16), (58, 38, 26), (98, 64, 36), (190, 150, 86), (140, 70, 34),
                              (165, 165, 165), (70, 66, 64))  # fmt: skip
_SHOES: tuple[Colour, ...] = ((30, 28, 28), (235, 235, 232), (110, 70, 40), (150, 30, 40), (40, 60, 120))


@dataclass(frozen=True)
class Look:
    """Colours and cuts of one person's skin, hair and clothes."""

    skin: Colour
    hair: Colour
    hair_style: int
    top: Colour
    second: Colour
    pattern: int
    sleeve: int  # 0 none, 1 short, 2 long
    bottom: Colour
    cut: int
    shoes: Colour
    bag: bool


def sample_look(rng: np.random.Generator) -> Look:
    """Clothes of one person; bright and muted colours alike."""
    u = rng.random(20).tolist()
    return Look(
        skin=_near(_SKINS, u[3], u[:3]),
        hair=_near(_HAIRS, u[13], u[:3]),
        hair_style=_pick(u[14], (0.06, 0.5, 0.68, 0.88)),
        top=_cloth(u[4], u[5], u[6]),
        second=_cloth(u[7], u[8], u[9]),
        pattern=int(u[15] * 9),
        sleeve=_pick(u[16], (0.1, 0.55)),
        bottom=_cloth(u[10], u[11] * 0.6, u[12] * 0.8),
        cut=_pick(u[17], (0.7, 0.88)),
        shoes=_near(_SHOES, u[18], u[:3]),
        bag=u[19] < 0.12,
    )


def _pick(u: float, bounds: tuple[float, ...]) -> int:
    return sum(u > bound for bound in bounds)


def _near(palette: tuple[Colour, ...], u: float, shift: list[float]) -> Colour:
    red, green, blue = palette[int(u * len(palette))]
    return (red + 24 * shift[0] - 12, green + 24 * shift[1] - 12, blue + 24 * shift[2] - 12)


def _cloth(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation**1.3, 0.12 + 0.86 * value)
    return (255 * red, 255 * green, 255 * blue)
