"""Where the people are: rooms, streets, fields, and the things that stand about and in front of people."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from pafpose.data.synthetic.canvas import Canvas, capsules, ellipse, owner_tag, to_fixed

THING = owner_tag(1)
_BANK = 320  # side of the stored textures in pixels
_EARTH = np.array([[120, 105, 80], [98, 120, 62], [150, 140, 120], [88, 92, 96], [176, 158, 120], [70, 96, 54],
                   [130, 90, 60], [205, 192, 165]], float)  # fmt: skip
_SKY = np.array([[150, 190, 230], [205, 215, 225], [240, 200, 160], [110, 150, 205], [90, 100, 125]], float)


@functools.cache
def textures() -> tuple[np.ndarray, ...]:
    """Fixed relief pictures ``(320, 320, 3)`` uint8 around 128, laid over everything for grain."""
    rng = np.random.default_rng(7)
    bank = [
        _clouds(rng, octaves) for octaves in ((4, 16, 64), (8, 40, 160), (20, 80, 320), (5, 160), (40, 320))
    ]
    y, x = np.mgrid[:_BANK, :_BANK]
    brick = 26 * (((y % 16) < 2) | (((x + 16 * ((y // 16) % 2)) % 32) < 2))
    plank = 20 * ((x % 28) < 2) + 14 * np.sin(x / 3 + 3 * np.sin(y / 40))
    tile = 22 * (((y % 40) < 2) | ((x % 40) < 2))
    weave = 12 * np.sin(x * 0.9) * np.sin(y * 0.9)
    stripes = 16 * np.sign(np.sin(x * 0.22))
    for relief in (brick, plank, tile, weave, stripes):
        grain = rng.normal(size=(_BANK, _BANK)) * 6
        bank.append(np.repeat((128 - relief + grain)[..., None], 3, 2))
    return tuple(np.clip(t, 0, 255).astype(np.uint8) for t in bank)


def _clouds(rng: np.random.Generator, octaves: tuple[int, ...]) -> np.ndarray:
    total = np.full((_BANK, _BANK, 3), 128.0)
    for cells in octaves:
        grid = rng.normal(size=(cells, cells, 3)) * 0.35 + rng.normal(size=(cells, cells, 1))
        total += cv2.resize(grid * 17, (_BANK, _BANK), interpolation=cv2.INTER_CUBIC)
    return total


def place(rng: np.random.Generator, size: int) -> Canvas:
    """An empty scene of one of several kinds, textured."""
    kind = int(rng.random() * 5)
    sky, ground = _shade(rng, _SKY), _shade(rng, _EARTH)
    if kind == 4:  # out of focus
        coarse = np.clip(sky * 0.5 + ground * 0.5 + rng.normal(size=(5, 5, 3)) * 45, 0, 255).astype(np.uint8)
        return Canvas(_grain(rng, cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), size))
    canvas = Canvas(np.empty((size, size, 3), np.uint8))
    horizon = size * (0.3 + 0.45 * rng.random())
    canvas.image[:] = np.clip(sky if kind else _shade(rng, _EARTH) * 1.2, 0, 255)
    _floor(canvas, horizon, ground, rng)
    (_room, _street, _hills, _hall)[kind](canvas, horizon, ground, rng)
    canvas.image = _grain(rng, canvas.image, size)
    return canvas


def _shade(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    u = rng.random(5)
    return np.clip(palette[int(u[0] * len(palette))] * (0.55 + 0.65 * u[1]) + (u[2:] - 0.5) * 50, 8, 250)


def _grain(rng: np.random.Generator, image: np.ndarray, size: int) -> np.ndarray:
    """Lay two textures over the picture."""
    bank = textures()
    for strength in (0.75, 0.5):
        u = rng.random(4)
        window = max(24, min(_BANK, int(size * (0.4 + 0.9 * u[0]))))
        y, x = ((_BANK - window) * u[1:3]).astype(int)
        patch = bank[int(u[3] * len(bank))][y : y + window, x : x + window]
        patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_LINEAR)
        image = cv2.addWeighted(image, 1.0, patch, strength, -128 * strength)
    return image


def _quad(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return to_fixed(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))


def _floor(canvas: Canvas, horizon: float, colour: np.ndarray, rng: np.random.Generator) -> None:
    size = canvas.image.shape[0]
    tilt = (rng.random() - 0.5) * 0.06 * size
    corners = np.array(
        [[-2, horizon - tilt], [size + 2, horizon + tilt], [size + 2, size + 2], [-2, size + 2]]
    )
    canvas.convex(to_fixed(corners), colour)


def _room(canvas: Canvas, horizon: float, ground: np.ndarray, rng: np.random.Generator) -> None:
    """Skirting, floor boards towards a vanishing point, a window or door, pictures on the wall."""
    size = canvas.image.shape[0]
    u = rng.random(24)
    canvas.convex(_quad(-2, horizon - 0.02 * size, size + 2, horizon + 0.01 * size), ground * 0.6)
    for n in range(6):
        x = size * (n - 0.5 + u[0]) / 5
        canvas.line(np.array([x, horizon]), np.array([(x - size / 2) * 3 + size / 2, size]), ground * 0.75, 1)
    for n in range(1 + int(u[1] * 3)):
        x, w, h = size * u[2 + 4 * n], size * (0.1 + 0.25 * u[3 + 4 * n]), size * (0.1 + 0.35 * u[4 + 4 * n])
        top = max(2.0, (horizon - h) * u[5 + 4 * n])
        frame = _shade(rng, _EARTH)
        canvas.convex(_quad(x, top, x + w, top + h), frame * 0.7)
        canvas.convex(_quad(x + 2, top + 2, x + w - 2, top + h - 2), _shade(rng, _SKY))


def _street(canvas: Canvas, horizon: float, ground: np.ndarray, rng: np.random.Generator) -> None:
    """A row of houses with windows, a kerb and a marking on the road."""
    size = canvas.image.shape[0]
    x = -size * 0.1
    while x < size:
        u = rng.random(6)
        w, h = size * (0.15 + 0.3 * u[0]), horizon * (0.35 + 0.75 * u[1])
        colour = _shade(rng, _EARTH)
        canvas.convex(_quad(x, horizon - h, x + w, horizon + 1), colour)
        cols, rows = 2 + int(u[2] * 3), 2 + int(u[3] * 3)
        pane = colour * 0.55 if u[4] < 0.7 else np.array([230, 220, 160.0])
        for c in range(cols):
            for r in range(rows):
                wx, wy = x + w * (c + 0.3) / cols, horizon - h + h * (r + 0.25) / rows
                cv2.rectangle(canvas.image, (int(wx), int(wy)), (int(wx + w * 0.4 / cols), int(wy + h * 0.5 / rows)),
                              tuple(pane.tolist()), -1)  # fmt: skip
        x += w
    kerb = horizon + (size - horizon) * 0.3
    canvas.convex(_quad(-2, kerb, size + 2, kerb + 2), ground * 1.3)


def _hills(canvas: Canvas, horizon: float, ground: np.ndarray, rng: np.random.Generator) -> None:
    """Hills, and trees as trunks with crowns."""
    size = canvas.image.shape[0]
    xs = np.linspace(-5, size + 5, 8)
    for shade in (0.75, 0.9):
        ridge = horizon - size * 0.16 * rng.random(8) * shade
        outline = np.concatenate([np.stack([xs, ridge], 1), [[size + 5, horizon + 2], [-5, horizon + 2]]])
        canvas.polygon(outline, ground * shade + 10)
    for _ in range(int(rng.random() * 4)):
        _tree(
            canvas,
            np.array([size * rng.random(), horizon + 0.06 * size]),
            0.2 * size * (1 + rng.random()),
            rng,
        )


def _hall(canvas: Canvas, horizon: float, ground: np.ndarray, rng: np.random.Generator) -> None:
    """A sports ground or beach: bands of colour, lines on the floor, posts."""
    size = canvas.image.shape[0]
    for n, u in enumerate(rng.random((2, 3))):
        y = horizon * (0.45 + 0.4 * n) * (0.8 + 0.3 * u[0])
        canvas.convex(_quad(-2, y, size + 2, horizon), _shade(rng, _EARTH if u[1] < 0.5 else _SKY))
    for u in rng.random((3, 4)):
        a, b = np.array([size * u[0], horizon]), np.array([size * (u[1] * 3 - 1), size])
        canvas.line(a, b, (235, 235, 225), 1 + 2 * u[2])
    for u in rng.random((2, 3)):
        x = size * u[0]
        canvas.line(np.array([x, horizon * 0.2 * u[1]]), np.array([x, horizon]), ground * 0.5, 1 + 3 * u[2])


def _tree(
    canvas: Canvas, foot: np.ndarray, height: float, rng: np.random.Generator, tag: int | None = None
) -> None:
    crown = foot - [0, height]
    trunk = capsules(foot[None], crown[None], np.array([0.07 * height]), np.array([0.04 * height]))
    canvas.convex(to_fixed(trunk)[0], (84, 62, 44), tag)
    green = np.array([50, 90, 40]) + rng.random(3) * [60, 70, 40]
    for u in rng.random((5, 3)):
        spot = crown + (u[:2] - 0.5) * height * [0.7, 0.5]
        r = height * (0.14 + 0.16 * u[2])
        canvas.convex(to_fixed(ellipse(spot, (r, r * 0.85), 0, 9)), green * (0.7 + 0.5 * u[0]), tag)


def clutter(canvas: Canvas, rng: np.random.Generator, count: int) -> None:
    """Things behind people: boxes, balls, posts, and limb-like and skin-coloured shapes that are nobody."""
    size = canvas.image.shape[0]
    for u in rng.random((count, 12)):
        colour = u[:3] * 230 + 12
        spot, r = u[3:5] * size, size * (0.03 + 0.1 * u[5] ** 2)
        kind = int(u[6] * 6)
        if kind == 0:
            _box(canvas, spot, r, u, colour)
        elif kind == 1:
            canvas.convex(to_fixed(ellipse(spot, (r, r * (0.6 + 0.4 * u[7])), u[8] * 3)), colour * 0.7)
            canvas.convex(to_fixed(ellipse(spot - 0.15 * r, (0.75 * r, 0.7 * r), 0)), colour)
        elif kind == 2:
            _sticks(canvas, spot, u, colour, size)
        elif kind == 3:
            _sticks(canvas, spot, u, np.array([224, 172, 130]) * (0.45 + 0.6 * u[7]), size)
        elif kind == 4:
            _tree(canvas, spot + [0, r], 2.5 * r, rng)
        else:
            _dummy(canvas, spot, 1.6 * r, u, colour)


def _box(
    canvas: Canvas, spot: np.ndarray, r: float, u: np.ndarray, colour: np.ndarray, tag: int | None = None
) -> None:
    """A crate or cupboard with two visible sides."""
    turn = (u[7] - 0.5) * 0.5
    outline = ellipse(spot, (r * 1.4, r * (0.8 + u[8])), np.pi / 4 + turn, 4)
    canvas.convex(to_fixed(outline), colour * 0.75, tag)
    canvas.convex(to_fixed(outline * [0.55, 0.9] + spot * [0.45, 0.1] - [0.3 * r, 0]), colour)


def _sticks(canvas: Canvas, spot: np.ndarray, u: np.ndarray, colour: np.ndarray, size: int) -> None:
    """Two jointed rods, like an arm or a leg without a body."""
    angle, bend = u[8] * 2 * np.pi, (u[9] - 0.5) * 3
    length = size * (0.06 + 0.12 * u[10])
    middle = spot + length * np.array([np.cos(angle), np.sin(angle)])
    end = middle + length * np.array([np.cos(angle + bend), np.sin(angle + bend)])
    r = length * (0.08 + 0.16 * u[11])
    rods = capsules(
        np.stack([spot, middle]), np.stack([middle, end]), np.array([r, r]), np.array([r, 0.7 * r])
    )
    for rod in to_fixed(rods):
        canvas.convex(rod, colour * 0.8)


def _dummy(canvas: Canvas, spot: np.ndarray, r: float, u: np.ndarray, colour: np.ndarray) -> None:
    """A coat stand or shop window dummy: a trunk and perhaps a faceless head, no limbs."""
    canvas.convex(to_fixed(ellipse(spot, (0.5 * r, r), 0, 10)), colour * 0.8)
    canvas.convex(to_fixed(ellipse(spot - [0.06 * r, 0], (0.38 * r, 0.85 * r), 0, 10)), colour)
    if u[9] < 0.6:
        canvas.convex(to_fixed(ellipse(spot - [0, 1.35 * r], (0.27 * r, 0.34 * r))), colour * 0.6)


def obstacle(canvas: Canvas, rng: np.random.Generator, box: np.ndarray) -> None:
    """A thing in front of the person in ``box`` (x0, y0, x1, y1): it hides a part of them."""
    u = rng.random(12)
    colour = u[:3] * 220 + 15
    w, h = box[2:] - box[:2]
    spot = box[:2] + (box[2:] - box[:2]) * (0.1 + 0.8 * u[3:5])
    kind = int(u[5] * 5)
    if kind == 0:  # a post
        x, half = spot[0], max(1.5, 0.035 * h * (0.6 + u[6]))
        canvas.convex(
            _quad(x - half, box[1] - h * u[7] * 0.4, x + half, box[3] + 0.05 * h), colour * 0.7, THING
        )
        canvas.convex(
            _quad(x - half * 0.6, box[1] - h * u[7] * 0.4, x + half * 0.2, box[3] + 0.05 * h), colour
        )
    elif kind == 1:  # a table or wall
        top, left = box[1] + h * (0.45 + 0.35 * u[6]), box[0] - w * (0.4 * u[7] + 0.1)
        right = box[2] + w * (0.4 * u[8] + 0.1)
        canvas.convex(_quad(left, top, right, top + h * (0.15 + 0.4 * u[9])), colour * 0.65, THING)
        canvas.convex(_quad(left, top, right, top + h * 0.05), colour, THING)
    elif kind == 2:
        _tree(canvas, np.array([spot[0], box[3] + 0.04 * h]), h * (0.25 + 0.25 * u[6]), rng, THING)
    elif kind == 3:
        _box(canvas, spot, 0.1 * h * (0.7 + u[6]), u, colour, THING)
    else:
        r = h * (0.05 + 0.07 * u[6])
        canvas.convex(to_fixed(ellipse(spot, (r, r))), colour * 0.7, THING)
        canvas.convex(to_fixed(ellipse(spot - 0.15 * r, (0.75 * r, 0.75 * r))), colour)
