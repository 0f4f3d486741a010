"""Where the people are: rooms, streets, hills, sports grounds, and blurred places."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from pafpose.synthetic.canvas import Canvas, Colour, capsule, ellipse, polygon, quad, shade, to_fixed

_BASE = 320  # side of the reliefs before they are scaled, in pixels
_SPARE = 96  # px by which a stored texture is larger than the picture
_COPIES = 32
EARTH: tuple[Colour, ...] = ((120, 105, 80), (98, 120, 62), (150, 140, 120), (88, 92, 96), (176, 158, 120),
                             (70, 96, 54), (130, 90, 60), (205, 192, 165))  # fmt: skip
SKY: tuple[Colour, ...] = ((150, 190, 230), (205, 215, 225), (240, 200, 160), (110, 150, 205), (90, 100, 125))


@functools.cache
def textures(size: int) -> tuple[np.ndarray, ...]:
    """Fixed reliefs around 128 at several magnifications, uint8 RGB, somewhat larger than a picture."""
    rng = np.random.default_rng(7)
    reliefs, side = _reliefs(rng), size + _SPARE
    out = []
    for n in range(_COPIES):
        window = int(_BASE * (0.3 + 0.7 * rng.random()))
        y, x = ((_BASE - window) * rng.random(2)).astype(int)
        patch = reliefs[n % len(reliefs)][y : y + window, x : x + window]
        out.append(cv2.resize(patch, (side, side), interpolation=cv2.INTER_LINEAR))
    return tuple(out)


def _reliefs(rng: np.random.Generator) -> list[np.ndarray]:
    """Clouds, mottles, bricks, boards, tiles, cloth, stripes."""
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


def grain(image: np.ndarray, u: Sequence[float], strength: float) -> np.ndarray:
    """Lay a texture over a square picture; ``u`` are three uniform numbers that choose it."""
    size = image.shape[0]
    bank = textures(size)
    y, x = int(u[0] * _SPARE), int(u[1] * _SPARE)
    patch = bank[int(u[2] * len(bank))][y : y + size, x : x + size]
    return cv2.addWeighted(image, 1.0, patch, strength, -128 * strength)


def make_place(rng: np.random.Generator, size: int) -> Canvas:
    """An empty scene of one of several kinds, textured."""
    u = rng.random(12).tolist()
    kind = int(u[0] * 5.6)
    ground, above = tint(rng, EARTH), tint(rng, SKY if kind else EARTH)
    canvas = Canvas(np.empty((size, size, 3), np.uint8))
    if kind >= 4:
        canvas.image = _blurred(rng, size, ground)
    else:
        horizon = size * (0.3 + 0.45 * u[1])
        tilt = (u[2] - 0.5) * 0.06 * size
        canvas.rectangle((0, 0), (size, size), above)
        edge = ((-2, horizon - tilt), (size + 2, horizon + tilt))
        canvas.fill(polygon(*edge, (size + 2, size + 2), (-2, size + 2)), ground)
        (_room, _street, _hills, _hall)[kind](canvas, horizon, ground, rng)
    canvas.image = grain(grain(canvas.image, u[3:6], 0.4), u[6:9], 0.25)
    return canvas


def tint(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """A colour near one of a palette."""
    u = rng.random(5).tolist()
    red, green, blue = palette[int(u[0] * len(palette))]
    light = 0.55 + 0.65 * u[1]
    return (red * light + 40 * u[2] - 20, green * light + 40 * u[3] - 20, blue * light + 40 * u[4] - 20)


def _blurred(rng: np.random.Generator, size: int, colour: Colour) -> np.ndarray:
    """A place out of focus: soft blobs of light and shade."""
    cells = 4 + int(rng.random() * 5)
    light, hue = rng.normal(size=(cells, cells, 1)) * 30, rng.normal(size=(cells, cells, 3)) * 10
    coarse = np.clip(np.array(colour) + light + hue, 0, 255).astype(np.uint8)
    smooth = cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR)


def _room(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Skirting, floor boards towards a vanishing point, windows, doors, pictures on the wall."""
    size = canvas.size
    u = rng.random(20).tolist()
    canvas.fill(quad(-2, horizon - 0.02 * size, size + 2, horizon + 0.01 * size), shade(ground, 0.6))
    for n in range(6):
        x = size * (n - 0.5 + u[0]) / 5
        canvas.line((x, horizon), ((x - size / 2) * 3 + size / 2, size), shade(ground, 0.75))
    for n in range(1 + int(u[1] * 3)):
        x, w, h = size * u[2 + 4 * n], size * (0.1 + 0.25 * u[3 + 4 * n]), size * (0.1 + 0.35 * u[4 + 4 * n])
        top = max(2.0, (horizon - h) * u[5 + 4 * n])
        canvas.fill(quad(x, top, x + w, top + h), shade(tint(rng, EARTH), 0.7))
        canvas.fill(quad(x + 2, top + 2, x + w - 2, top + h - 2), tint(rng, SKY))


def _street(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """A row of houses with windows, and a kerb."""
    size = canvas.size
    x = -size * 0.1
    while x < size:
        u = rng.random(6).tolist()
        w, h = size * (0.15 + 0.3 * u[0]), horizon * (0.35 + 0.75 * u[1])
        wall = tint(rng, EARTH)
        canvas.fill(quad(x, horizon - h, x + w, horizon + 1), wall)
        columns, rows = 2 + int(u[2] * 3), 2 + int(u[3] * 3)
        pane = shade(wall, 0.55) if u[4] < 0.7 else (230.0, 220.0, 160.0)
        for c in range(columns):
            for r in range(rows):
                left, top = x + w * (c + 0.3) / columns, horizon - h + h * (r + 0.25) / rows
                corner = (int(left + w * 0.4 / columns), int(top + h * 0.5 / rows))
                canvas.rectangle((int(left), int(top)), corner, pane)
        x += w
    kerb = horizon + (size - horizon) * 0.3
    canvas.fill(quad(-2, kerb, size + 2, kerb + 2), shade(ground, 1.3))


def _hills(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """Hills, and trees."""
    size = canvas.size
    xs = np.linspace(-5, size + 5, 8)
    for dark in (0.75, 0.9):
        ridge = horizon - size * 0.16 * rng.random(8) * dark
        outline = np.concatenate([np.stack([xs, ridge], 1), [[size + 5, horizon + 2], [-5, horizon + 2]]])
        canvas.fill_any(to_fixed(outline), shade(ground, dark, 10))
    for u in rng.random((int(rng.random() * 4), 14)).tolist():
        draw_tree(canvas, (size * u[12], horizon + 0.06 * size), 0.2 * size * (1 + u[13]), u)


def _hall(canvas: Canvas, horizon: float, ground: Colour, rng: np.random.Generator) -> None:
    """A sports ground or beach: bands of colour, lines on the floor, posts."""
    size = canvas.size
    u = rng.random(16).tolist()
    for n in range(2):
        y = horizon * (0.45 + 0.4 * n) * (0.8 + 0.3 * u[n])
        canvas.fill(quad(-2, y, size + 2, horizon), tint(rng, EARTH if u[2 + n] < 0.5 else SKY))
    for n in range(3):
        far, near = (size * u[4 + n], horizon), (size * (u[7 + n] * 3 - 1), size)
        canvas.line(far, near, (235, 235, 225), 1 + 2 * u[10 + n])
    for n in range(2):
        canvas.line(
            (size * u[13 + n], horizon * 0.2), (size * u[13 + n], horizon), shade(ground, 0.5), 1 + 3 * u[15]
        )


def draw_tree(
    canvas: Canvas, foot: Sequence[float], height: float, u: Sequence[float], tag: int | None = None
) -> None:
    """A trunk and a crown of five leafy blobs; ``u`` are twelve uniform numbers."""
    x, y = foot[0], foot[1] - height
    canvas.fill(capsule(foot, (x, y), 0.07 * height, 0.04 * height), (84, 62, 44), tag)
    for n in range(5):
        a, b = u[n], u[n + 5]
        r = height * (0.14 + 0.16 * ((a + 3 * b) % 1))
        green = (45 + 60 * u[10] + 30 * a, 85 + 60 * u[11] + 30 * a, 35 + 40 * u[10] + 20 * a)
        blob = (x + (a - 0.5) * 0.7 * height, y + (b - 0.5) * 0.5 * height)
        canvas.fill(ellipse(blob, r, r * 0.85, 0, 9), green, tag)
