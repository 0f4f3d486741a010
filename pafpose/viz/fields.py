"""Heatmaps, PAFs and masks laid over their picture: RGB uint8 (H, W, 3) in, a new picture out.

A field of any size is resized to the whole picture by the half-pixel rule, so that its cells lie where they
belong, on an enlarged picture too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from pafpose.geometry import resize, transform_points
from pafpose.skeleton import Skeleton
from pafpose.viz.draw import SHIFT, as_numpy, fixed_point

IGNORED = (255, 60, 60)


def heatmaps_overlay(
    image: np.ndarray,
    heatmaps: np.ndarray | Tensor,
    skeleton: Skeleton,
    *,
    channels: Sequence[int] | None = None,
    smooth: bool = True,
) -> np.ndarray:
    """Draw keypoint channels (C, h, w) in the keypoints' colours over the dimmed picture.

    ``channels`` are the keypoints to draw, by default all. The background channel is never drawn.
    """
    maps = as_numpy(heatmaps)[: skeleton.num_keypoints]
    wanted = list(range(len(maps))) if channels is None else list(channels)
    big = np.stack([_resize(maps[k], image, smooth=smooth) for k in wanted]).clip(0, 1)
    strongest = big.argmax(0)
    colours = np.array([skeleton.colours[k] for k in wanted], np.float32)[strongest]
    return _blend(dim(image), colours, big.max(0))


def map_overlay(image: np.ndarray, values: np.ndarray | Tensor, *, smooth: bool = True) -> np.ndarray:
    """Draw one map (h, w) of 0 to 1 as a glow from dark violet to yellow over the dimmed picture."""
    big = _resize(as_numpy(values), image, smooth=smooth).clip(0, 1)
    glow = cv2.applyColorMap((big * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return _blend(dim(image), glow.astype(np.float32), 0.85 * np.sqrt(big))


def strongest_limb(pafs: np.ndarray | Tensor, limbs: Sequence[int] | None = None) -> np.ndarray:
    """Return the longest vector in every cell, (2, h, w), of PAFs (2L, h, w); ``limbs``: of these only."""
    vectors = as_numpy(pafs).reshape(-1, 2, *pafs.shape[-2:])
    vectors = vectors if limbs is None else vectors[list(limbs)]
    longest = np.linalg.norm(vectors, axis=1).argmax(0)
    return np.take_along_axis(vectors, longest[None, None], 0)[0]


def pafs_overlay(
    image: np.ndarray,
    pafs: np.ndarray | Tensor,
    *,
    limbs: Sequence[int] | None = None,
    legend: bool = True,
    smooth: bool = False,
) -> np.ndarray:
    """Draw PAFs (2L, h, w) in the colours of a wheel: the hue is the direction, the strength the length.

    ``legend`` draws the wheel in a corner.
    """
    vector = np.stack([_resize(part, image, smooth=smooth) for part in strongest_limb(pafs, limbs)])
    out = _blend(dim(image), wheel_colours(vector), 0.9 * np.linalg.norm(vector, axis=0).clip(0, 1))
    return add_legend(out) if legend else out


def arrows_overlay(
    image: np.ndarray,
    pafs: np.ndarray | Tensor,
    *,
    limbs: Sequence[int] | None = None,
    threshold: float = 0.1,
) -> np.ndarray:
    """Draw an arrow in every cell where a vector is longer than ``threshold``, in the wheel's colours."""
    out = dim(image)
    field = strongest_limb(pafs, limbs)
    cell = np.array([image.shape[1] / field.shape[2], image.shape[0] / field.shape[1]])  # px
    colours = wheel_colours(field)
    width = max(1, round(cell.min() / 8))
    for row, column in np.argwhere(np.linalg.norm(field, axis=0) > threshold):
        centre = transform_points(resize(*cell), np.array([column, row]))
        half = 0.45 * cell * field[:, row, column]
        start, stop = fixed_point(centre - half), fixed_point(centre + half)
        colour = tuple(int(c) for c in colours[row, column])
        cv2.arrowedLine(out, start, stop, colour, width, cv2.LINE_AA, SHIFT, tipLength=0.45)
    return out


def wheel_colours(vector: np.ndarray) -> np.ndarray:
    """Return float32 RGB (..., 3) of directions (2, ...): red to the right, hues turning clockwise."""
    hue = np.degrees(np.arctan2(vector[1], vector[0])) % 360
    hsv = np.stack([hue, np.full_like(hue, 0.9), np.ones_like(hue)], -1).astype(np.float32)
    return 255 * cv2.cvtColor(hsv.reshape(-1, 1, 3), cv2.COLOR_HSV2RGB).reshape(hsv.shape)


def add_legend(image: np.ndarray, *, share: float = 0.16) -> np.ndarray:
    """Draw the colour wheel in the lower right corner: each colour stands where its vectors point."""
    out = image.copy()
    size = int(min(image.shape[:2]) * share)
    if size < 8:
        return out
    radius, rim = size / 2, max(2, size // 20)
    x, y = np.meshgrid(*[np.arange(size) + 0.5 - radius] * 2)
    inside = np.clip(radius - np.hypot(x, y), 0, 1)
    wheel = wheel_colours(np.stack([x, y]) / radius)
    hole = np.clip(np.hypot(x, y) - 0.35 * radius, 0, 1)
    corner = out[-size - rim : -rim, -size - rim : -rim]
    corner[:] = _blend(corner, wheel, inside * hole)
    return out


def hatch(
    image: np.ndarray, ignore: np.ndarray | Tensor, *, colour: tuple[int, int, int] = IGNORED
) -> np.ndarray:
    """Draw stripes over the cells (h, w) that are true: where the loss does not count."""
    area = _resize(as_numpy(ignore), image, smooth=False) > 0.5
    if not area.any():
        return image.copy()
    y, x = np.indices(image.shape[:2])
    period = max(6, round(max(image.shape[:2]) / 40))
    stripes = ((x + y) % period < max(2, period // 3)) & area
    out = _blend(image, np.array(colour, np.float32), 0.18 * area + 0.6 * stripes)
    outline, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(out, outline, -1, colour, max(1, period // 6), cv2.LINE_AA)
    return out


def dim(image: np.ndarray, *, strength: float = 0.45) -> np.ndarray:
    """Return the picture in darker grey, so that colours laid over it stay true."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.repeat((grey * strength).astype(np.uint8)[..., None], 3, -1)


def _resize(cells: np.ndarray, image: np.ndarray, *, smooth: bool) -> np.ndarray:
    """Return cells (h, w) as a map of the picture's pixels; both methods keep the half-pixel rule."""
    method = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(np.ascontiguousarray(cells), (image.shape[1], image.shape[0]), interpolation=method)


def _blend(image: np.ndarray, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    mixed = image + (colours - image.astype(np.float32)) * np.clip(alpha, 0, 1)[..., None]
    return mixed.round().clip(0, 255).astype(np.uint8)
