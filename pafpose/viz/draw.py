"""People drawn on pictures: RGB uint8 (H, W, 3) in, a new one out; coordinates are its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from pafpose.geometry import resize, transform_points
from pafpose.skeleton import Skeleton

_SHIFT = 4  # cv2 takes coordinates in 1/16 pixel
_DARK = (20, 20, 20)


def draw_people(
    image: np.ndarray,
    keypoints: np.ndarray | Tensor,
    skeleton: Skeleton,
    *,
    scores: Sequence[float] | np.ndarray | Tensor | None = None,
    opacity: float = 0.85,
) -> np.ndarray:
    """Draw people (N, K, 3) as x, y, confidence (or COCO's v); keypoints with 0 are left out.

    Line widths follow each person's size; keypoints of low confidence are fainter; a score, where
    given, stands above its person's head, the higher ones first, where no other is in its place. Lower
    scores are drawn first.
    """
    people = _numpy(keypoints).reshape(-1, skeleton.num_keypoints, 3)
    marks = None if scores is None else _numpy(scores).reshape(-1)
    order = np.arange(len(people)) if marks is None else np.argsort(marks, kind="stable")
    out = image.copy()
    for n in order:
        _draw_person(out, people[n], skeleton, opacity=opacity)
    if marks is not None:
        _write_scores(out, people[order[::-1]], marks[order[::-1]])
    return out


def enlarge(image: np.ndarray, factor: float) -> np.ndarray:
    """The picture ``factor`` times as large, smoothly."""
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)


def enlarge_points(keypoints: np.ndarray, factor: float) -> np.ndarray:
    """Keypoints (..., 3) in the frame of the enlarged picture."""
    moved = np.array(keypoints, np.float64)
    moved[..., :2] = transform_points(resize(factor), moved[..., :2])
    return moved


def line_width(person: np.ndarray, picture: tuple[int, ...]) -> float:
    """Pixels, by the person's extent: thin on small figures, never thicker than the picture bears."""
    seen = person[person[:, 2] > 0, :2]
    extent = float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0
    return float(np.clip(0.02 * extent, 1.2, max(1.5, 0.012 * max(picture[:2]))))


def _draw_person(image: np.ndarray, person: np.ndarray, skeleton: Skeleton, *, opacity: float) -> None:
    width = line_width(person, image.shape)
    layer = image.copy()
    for (a, b), colour in zip(skeleton.limbs, skeleton.limb_colours, strict=True):
        if person[a, 2] > 0 and person[b, 2] > 0:
            _line(layer, person[a, :2], person[b, :2], _fade(colour, min(person[a, 2], person[b, 2])), width)
    for k in range(skeleton.num_keypoints):
        if person[k, 2] > 0:
            _dot(layer, person[k, :2], radius=1.1 * width + 0.6, colour=_DARK)
            _dot(layer, person[k, :2], radius=1.1 * width, colour=_fade(skeleton.colours[k], person[k, 2]))
    cv2.addWeighted(layer, opacity, image, 1 - opacity, 0, dst=image)


def _fade(colour: Sequence[int], confidence: float) -> tuple[int, int, int]:
    """Towards grey as the confidence falls; from 0.6 on the full colour."""
    strength = 0.35 + 0.65 * min(1.0, float(confidence) / 0.6)
    red, green, blue = (round(strength * c + (1 - strength) * 128) for c in colour)
    return red, green, blue


def _line(
    image: np.ndarray, start: np.ndarray, stop: np.ndarray, colour: tuple[int, int, int], width: float
) -> None:
    """A line with a dark rim, so that it shows on any ground."""
    a, b = _fixed(start), _fixed(stop)
    cv2.line(image, a, b, _DARK, max(1, round(width + 1.2)), cv2.LINE_AA, _SHIFT)
    cv2.line(image, a, b, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _dot(image: np.ndarray, centre: np.ndarray, *, radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(image, _fixed(centre), round(radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = (round(float(c) * 2**_SHIFT) for c in np.clip(point, -1e5, 1e5))
    return x, y


def _write_scores(image: np.ndarray, people: np.ndarray, scores: np.ndarray) -> None:
    """One after the other, those left out that would cover another."""
    size = max(9.0, 0.018 * max(image.shape[:2]))
    taken: list[tuple[int, int, int, int]] = []
    for person, score in zip(people, scores, strict=True):
        seen = person[person[:, 2] > 0, :2]
        if not len(seen):
            continue
        at = (seen[:, 0].mean(), seen[:, 1].min() - 3 * line_width(person, image.shape))
        text = f"{score:.2f}"
        ground = _ground(image, text, at, size=size, centred=True)
        if not any(_meet(ground, other) for other in taken):
            taken.append(ground)
            write(image, text, at, size=size, centred=True)


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two rectangles (left, top, right, bottom) share ground."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def write(
    image: np.ndarray, text: str, at: tuple[float, float], *, size: float = 12.0, centred: bool = False
) -> None:
    """White letters with a dark rim, ``size`` px high, their lower left (or lower middle) at (x, y)."""
    scale, thin = _letters(size)
    left, _, _, bottom = _ground(image, text, at, size=size, centred=centred)
    for colour, thickness in ((_DARK, thin + 2), ((255, 255, 255), thin)):
        start = (left, bottom)
        cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


def _letters(size: float) -> tuple[float, int]:
    """OpenCV's scale and thickness of letters ``size`` px high."""
    return size / 22.0, max(1, round(size / 14))


def _ground(
    image: np.ndarray, text: str, at: tuple[float, float], *, size: float, centred: bool
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what :func:`write` covers, inside the picture."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, *_letters(size))
    x = at[0] - width / 2 if centred else at[0]
    x = int(np.clip(x, 1, max(1, image.shape[1] - width - 1)))
    y = int(np.clip(at[1], height + 1, max(height + 1, image.shape[0] - 2)))
    return x, y - height, x + width, y


def _numpy(values: np.ndarray | Tensor | Sequence[float]) -> np.ndarray:
    return values.detach().float().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, float)
