"""Drawing people and text on pictures: RGB uint8 (H, W, 3), coordinates in their pixels."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from pafpose.geometry import resize
from pafpose.skeleton import Skeleton

Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom

COLOURS = ("limb", "person")  # what has a colour of its own
SHIFT = 4  # OpenCV takes coordinates in 1/16 pixel
_DARK = (20, 20, 20)
_FULL_COLOUR = 0.6  # confidence from which on a keypoint has its full colour


def draw_people(
    image: np.ndarray,
    keypoints: np.ndarray | Tensor,
    skeleton: Skeleton,
    *,
    scores: Sequence[float] | np.ndarray | Tensor | None = None,
    ids: Sequence[int] | Tensor | None = None,
    colours: str = "limb",
    opacity: float = 0.85,
) -> np.ndarray:
    """Draw people on a copy of a picture.

    ``keypoints`` (N, K, 3) are x, y and confidence, or COCO's v; those with 0 are left out, and those of low
    confidence are fainter. Lines are thinner on smaller people. People with higher scores are drawn on top.
    Each score is written above its person unless it would cover a higher one. ``colours`` is one of
    ``COLOURS``: every limb has its own colour, or every person, by their id if there are ``ids``, else by
    their place among ``keypoints``. Ids above 0 are written before the scores.
    """
    people = as_numpy(keypoints).reshape(-1, skeleton.num_keypoints, 3)
    ranks = np.zeros(len(people)) if scores is None else as_numpy(scores).reshape(-1)
    numbers = [0] * len(people) if ids is None else [int(n) for n in ids]
    order = np.argsort(ranks, kind="stable")
    out = image.copy()
    for n in order:
        colour = person_colour(int(n) if ids is None else numbers[n]) if colours == "person" else None
        _draw_person(out, people[n], skeleton, colour=colour, opacity=opacity)
    if scores is not None:
        labels = [
            f"{number}: {rank:.2f}" if number else f"{rank:.2f}"
            for number, rank in zip(numbers, ranks, strict=True)
        ]
        _write_labels(out, people[order[::-1]], [labels[n] for n in order[::-1]])
    return out


def enlarge(image: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Resize a picture by ``factor``; return it and the (2, 3) matrix that moves points there.

    Sides are whole pixels, so the two factors in the matrix may differ a little.
    """
    height, width = image.shape[:2]
    new_width, new_height = (max(1, round(side * factor)) for side in (width, height))
    method = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    return (
        cv2.resize(image, (new_width, new_height), interpolation=method),
        resize(new_width / width, new_height / height),
    )


def line_width(person: np.ndarray, picture: tuple[int, ...]) -> float:
    """Return the width in pixels of a person's lines, from the person's extent and the picture's shape."""
    seen = person[person[:, 2] > 0, :2]
    extent = float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0
    return float(np.clip(0.02 * extent, 1.2, max(1.5, 0.012 * max(picture[:2]))))


def person_colour(number: int) -> Colour:
    """Return a bright colour for a person; those of any few successive numbers are far apart.

    The hue turns by the golden ratio.

    >>> person_colour(0), person_colour(1)
    ((255, 64, 64), (64, 120, 255))
    """
    red, green, blue = colorsys.hsv_to_rgb(number * 0.6180339887 % 1, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_person(
    image: np.ndarray, person: np.ndarray, skeleton: Skeleton, *, colour: Colour | None, opacity: float
) -> None:
    """Draw a person on the picture itself, in the colours of the skeleton or in one ``colour``."""
    limb_colours = skeleton.limb_colours if colour is None else [colour] * skeleton.num_limbs
    colours = skeleton.colours if colour is None else [colour] * skeleton.num_keypoints
    width = line_width(person, image.shape)
    layer = image.copy()
    for (a, b), own in zip(skeleton.limbs, limb_colours, strict=True):
        if person[a, 2] > 0 and person[b, 2] > 0:
            _line(layer, person[a, :2], person[b, :2], _fade(own, min(person[a, 2], person[b, 2])), width)
    for (x, y, confidence), own in zip(person.tolist(), colours, strict=True):
        if confidence > 0:
            draw_dot(layer, (x, y), radius=1.1 * width + 0.6, colour=_DARK)
            draw_dot(layer, (x, y), radius=1.1 * width, colour=_fade(own, confidence))
    cv2.addWeighted(layer, opacity, image, 1 - opacity, 0, dst=image)


def _fade(colour: Sequence[int], confidence: float) -> Colour:
    """Return the colour, greyer for lower confidence."""
    strength = 0.35 + 0.65 * min(1.0, float(confidence) / _FULL_COLOUR)
    red, green, blue = (round(strength * c + (1 - strength) * 128) for c in colour)
    return red, green, blue


def _line(image: np.ndarray, start: np.ndarray, stop: np.ndarray, colour: Colour, width: float) -> None:
    """Draw a line with a dark rim, so that it shows on any background."""
    a, b = fixed_point(start), fixed_point(stop)
    cv2.line(image, a, b, _DARK, max(1, round(width + 1.2)), cv2.LINE_AA, SHIFT)
    cv2.line(image, a, b, colour, max(1, round(width)), cv2.LINE_AA, SHIFT)


def draw_dot(image: np.ndarray, centre: Sequence[float], *, radius: float, colour: Colour) -> None:
    """Draw a disc on the picture itself; centre and radius are fractional pixels."""
    cv2.circle(image, fixed_point(centre), round(radius * 2**SHIFT), colour, -1, cv2.LINE_AA, SHIFT)


def fixed_point(point: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """Return x, y in the fixed-point integers of OpenCV's drawing functions (``SHIFT``)."""
    x, y = (round(float(c) * 2**SHIFT) for c in np.clip(point, -1e5, 1e5))
    return x, y


def _write_labels(image: np.ndarray, people: np.ndarray, labels: Sequence[str]) -> None:
    """Write labels above people's heads in their order, leaving out those that would cover another."""
    size = max(9.0, 0.018 * max(image.shape[:2]))
    taken: list[Rectangle] = []
    for person, text in zip(people, labels, strict=True):
        seen = person[person[:, 2] > 0, :2]
        if not len(seen):
            continue
        at = (seen[:, 0].mean(), seen[:, 1].min() - 3 * line_width(person, image.shape))
        area = _text_area(image, text, at, size=size, centred=True)
        if not any(_overlap(area, other) for other in taken):
            taken.append(area)
            write(image, text, at, size=size, centred=True)


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def write(
    image: np.ndarray, text: str, at: tuple[float, float], *, size: float = 12.0, centred: bool = False
) -> None:
    """Write white letters with a dark rim on the picture itself.

    They are ``size`` pixels high and stay inside the picture. ``at`` (x, y) is their lower left corner, or
    with ``centred`` the middle of their lower edge.
    """
    scale, thin = _font(size)
    left, _, _, bottom = _text_area(image, text, at, size=size, centred=centred)
    for colour, thickness in ((_DARK, thin + 2), ((255, 255, 255), thin)):
        start = (left, bottom)
        cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


def _font(size: float) -> tuple[float, int]:
    """Return OpenCV's scale and thickness of letters ``size`` pixels high."""
    return size / 22.0, max(1, round(size / 14))


def _text_area(
    image: np.ndarray, text: str, at: tuple[float, float], *, size: float, centred: bool
) -> Rectangle:
    """Return what :func:`write` covers."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, *_font(size))
    x = at[0] - width / 2 if centred else at[0]
    x = int(np.clip(x, 1, max(1, image.shape[1] - width - 1)))
    y = int(np.clip(at[1], height + 1, max(height + 1, image.shape[0] - 2)))
    return x, y - height, x + width, y


def as_numpy(values: np.ndarray | Tensor | Sequence[float]) -> np.ndarray:
    """Return an array, or a tensor of any device and dtype, as float32 in the host's memory."""
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, np.float32)
