"""Empty backgrounds: rooms, streets, hills, sports grounds and blurred ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from pafpose.synthetic.canvas import Canvas, Colour, capsule, ellipse, polygon, rectangle, shade

_BASE = 320  # px, side of the reliefs before they are scaled
_SPARE = 96  # px by which a texture is larger than the picture
_TEXTURES = 32
EARTH: tuple[Colour, ...] = ((120, 105, 80), (98, 120, 62), (150, 140, 120), (88, 92, 96), (176, 158, 120),
                             (70, 96, 54), (130, 90, 60), (205, 192, 165))  # fmt: skip
SKY: tuple[Colour, ...] = ((150, 190, 230), (205, 215, 225), (240, 200, 160), (110, 150, 205), (90, 100, 125))


@functools.cache
def textures(size: int) -> tuple[np.ndarray, ...]:
    """Return reliefs around 128 at several magnifications, uint8 RGB; always the same ones."""
    rng = np.random.default_rng(7)
    reliefs, side = _reliefs(rng), size + _SPARE
    out = []
    for n in range(_TEXTURES):
        window = int(_BASE * (0.3 + 0.7 * rng.random()))
        y, x = ((_BASE - window) * rng.random(2)).astype(int)
        patch = reliefs[n % len(reliefs)][y : y + window, x : x + window]
        out.append(cv2.resize(patch, (side, side), interpolation=cv2.INTER_LINEAR))
    return tuple(out)


def _reliefs(rng: np.random.Generator) -> list[np.ndarray]:
    """Return clouds, mottles, bricks, boards, tiles, cloth and stripes."""
    octaves = ((4, 16, 64), (8, 40, 160), (20, 80, 320), (5, 160), (40, 320))
    bank = [_clouds(rng, cells) for cells in octaves]
    y, x = np.mgrid[:_BASE, :_BASE]
    bricks = 26 * (((y % 16) < 2) | (((x + 16 * ((y // 16) % 2)) % 32) < 2))
    boards = 20 * ((x % 28) < 2) + 14 * np.sin(x / 3 + 3 * np.sin(y / 40))
    tiles = 22 * (((y % 40) < 2) | ((x % 40) < 2))
    cloth = 12 * np.sin(x * 0.9) * np.sin(y * 0.9)
    stripes = 16 * np.sign(np.sin(x * 0.22))
    for relief in (bricks, boards, tiles, cloth, stripes):
        grain = rng.normal(size=(_BASE, _BASE)) * 6
        bank.append(np.repeat((128 - relief + grain)[..., None], 3, 2))
    return [np.clip(t, 0, 255).astype(np.uint8) for t in bank]


def _clouds(rng: np.random.Generator, octaves: tuple[int, ...]) -> np.ndarray:
    total = np.full((_BASE, _BASE, 3), 128.0)
    for cells in octaves:
        grid = rng.normal(size=(cells, cells, 3)) * 0.25 + rng.normal(size=(cells, cells, 1))
        total += cv2.resize(grid * 17, (_BASE, _BASE), interpolation=cv2.INTER_CUBIC)
    return total


def add_texture(image: np.ndarray, u: Sequence[float], strength: float) -> np.ndarray:
    """Return a square image with a texture laid over it, which three uniform numbers ``u`` choose."""
    size = image.shape[0]
    bank = textures(size)
    y, x = int(u[0] * _SPARE), int(u[1] * _SPARE)
    patch = bank[int(u[2] * len(bank))][y : y + size, x : x + size]
    return cv2.addWeighted(image, 1.0, patch, strength, -128 * strength)


def draw_background(rng: np.random.Generator, size: int) -> Canvas:
    """Return a canvas with a textured background of a random kind."""
    u = rng.random(12).tolist()
    kind = int(u[0] * 5.6)
    ground, above = _sample_tint(rng, EARTH), _sample_tint(rng, SKY if kind else EARTH)
    canvas = Canvas(np.empty((size, size, 3), np.uint8))
    if kind >= len(_KINDS):
        canvas.image = _blurred(rng, size, ground)
    else:
        horizon = size * (0.3 + 0.45 * u[1])
        tilt = (u[2] - 0.5) * 0.06 * size
        canvas.fill_pixels((0, 0), (size, size), above)
        left, right = complex(-2, horizon - tilt), complex(size + 2, horizon + tilt)
        canvas.fill(polygon(left, right, complex(size + 2, size + 2), complex(-2, size + 2)), ground)
        _KINDS[kind](canvas, horizon, ground, rng)
    canvas.image = add_texture(add_texture(canvas.image, u[3:6], 0.4), u[6:9], 0.25)
    return canvas


def _sample_tint(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """Draw a colour near one of a palette."""
    u = rng.random(5).tolist()
    red, green, blue = palette[int(u[0] * len(palette))]
    light = 0.55 + 0.65 * u[1]
    return (red * light + 40 * u[2] - 20, green * light + 40 * u[3] - 20, blue * light + 40 * u[4] - 20)


def _blurred(rng: np.random.Generator, size: int, colour: Colour) -> np.ndarray:
    """Return a background out of focus: soft blobs of light and shade."""
    cells = 4 + int(rng.random() * 5)
    light, hue = rng.normal(size=(cells, cells, 1)) * 30, rng.normal(size=(cells, cells, 3)) * 10
    coarse = np.clip(np.array(colour) + light + hue, 0, 255).astype(np.uint8)
    smooth = cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR)


def _room(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Draw a skirting board, floor boards towards a vanishing point, and windows."""
    size = canvas.size
    u = rng.random(20).tolist()
    canvas.fill(rectangle(-2, horizon - 0.02 * size, size + 2, horizon + 0.01 * size), shade(ground, 0.6))
    for n in range(6):
        x = size * (n - 0.5 + u[0]) / 5
        near = complex((x - size / 2) * 3 + size / 2, size)
        canvas.line(complex(x, horizon), near, shade(ground, 0.75))
    for n in range(1 + int(u[1] * 3)):
        x, w, h = size * u[2 + 4 * n], size * (0.1 + 0.25 * u[3 + 4 * n]), size * (0.1 + 0.35 * u[4 + 4 * n])
        top = max(2.0, (horizon - h) * u[5 + 4 * n])
        canvas.fill(rectangle(x, top, x + w, top + h), shade(_sample_tint(rng, EARTH), 0.7))
        canvas.fill(rectangle(x + 2, top + 2, x + w - 2, top + h - 2), _sample_tint(rng, SKY))


def _street(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Draw a row of houses with windows, and a kerb."""
    size = canvas.size
    x = -size * 0.1
    while x < size:
        u = rng.random(6).tolist()
        w, h = size * (0.15 + 0.3 * u[0]), horizon * (0.35 + 0.75 * u[1])
        wall = _sample_tint(rng, EARTH)
        canvas.fill(rectangle(x, horizon - h, x + w, horizon + 1), wall)
        columns, rows = 2 + int(u[2] * 3), 2 + int(u[3] * 3)
        pane = shade(wall, 0.55) if u[4] < 0.7 else (230.0, 220.0, 160.0)
        for c in range(columns):
            for r in range(rows):
                left, top = x + w * (c + 0.3) / columns, horizon - h + h * (r + 0.25) / rows
                corner = (int(left + w * 0.4 / columns), int(top + h * 0.5 / rows))
                canvas.fill_pixels((int(left), int(top)), corner, pane)
        x += w
    kerb = horizon + (size - horizon) * 0.3
    canvas.fill(rectangle(-2, kerb, size + 2, kerb + 2), shade(ground, 1.3))


def _hills(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Draw hills and trees."""
    size = canvas.size
    xs = np.linspace(-5, size + 5, 8)
    for dark in (0.75, 0.9):
        ridge = horizon - size * 0.16 * rng.random(8) * dark
        bottom = complex(size + 5, horizon + 2), complex(-5, horizon + 2)
        canvas.fill_any(polygon(*(xs + 1j * ridge), *bottom), shade(ground, dark, 10))
    for u in rng.random((int(rng.random() * 4), 14)).tolist():
        draw_tree(canvas, complex(size * u[12], horizon + 0.06 * size), 0.2 * size * (1 + u[13]), u)


def _sports_ground(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Draw bands of colour, lines on the ground and posts; some look like a beach."""
    size = canvas.size
    u = rng.random(16).tolist()
    for n in range(2):
        y = horizon * (0.45 + 0.4 * n) * (0.8 + 0.3 * u[n])
        canvas.fill(rectangle(-2, y, size + 2, horizon), _sample_tint(rng, EARTH if u[2 + n] < 0.5 else SKY))
    for n in range(3):
        far, near = complex(size * u[4 + n], horizon), complex(size * (u[7 + n] * 3 - 1), size)
        canvas.line(far, near, (235, 235, 225), 1 + 2 * u[10 + n])
    for n in range(2):
        top, foot = complex(size * u[13 + n], horizon * 0.2), complex(size * u[13 + n], horizon)
        canvas.line(top, foot, shade(ground, 0.5), 1 + 3 * u[15])


_KINDS = (_room, _street, _hills, _sports_ground)


def draw_tree(
    canvas: Canvas, foot: complex, height: float, u: Sequence[float], tag: int | None = None
) -> None:
    """Draw a trunk with a crown of five leafy blobs; ``u`` are twelve uniform numbers."""
    top = foot - 1j * height
    canvas.fill(capsule(foot, top, 0.07 * height, 0.04 * height), (84, 62, 44), tag)
    for n in range(5):
        a, b = u[n], u[n + 5]
        r = height * (0.14 + 0.16 * ((a + 3 * b) % 1))
        green = (45 + 60 * u[10] + 30 * a, 85 + 60 * u[11] + 30 * a, 35 + 40 * u[10] + 20 * a)
        blob = top + complex((a - 0.5) * 0.7 * height, (b - 0.5) * 0.5 * height)
        canvas.fill(ellipse(blob, r, r * 0.85, corners=9), green, tag)
