"""One picture: a place, people from the farthest to the nearest, things in front, and the annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np

from pafpose.data.synthetic import places
from pafpose.data.synthetic.body import Bodies
from pafpose.data.synthetic.canvas import PART_BITS, Canvas
from pafpose.data.synthetic.creature import Creature, Layout, make_layout
from pafpose.data.synthetic.person import KEYPOINTS, Person, sample_look
from pafpose.data.synthetic.settings import SyntheticSettings
from pafpose.skeleton import Skeleton

SPLITS = ("train", "val")
FIRST = 2  # owner number of the first figure; 0 nobody, 1 things
_TRIES = 12
_CROWD = 63  # owner number of everybody in a crowd


class Figure(Protocol):
    """Anything that can stand in a picture."""

    box: np.ndarray  # x0, y0, x1, y1 in its own units, before it is placed

    def place(self, scale: float, offset: np.ndarray) -> None: ...
    def draw(self, canvas: Canvas, owner: int) -> None: ...
    def keypoints(self, names: tuple[str, ...]) -> np.ndarray: ...
    def shown(self, name: str) -> tuple[int, frozenset[int]]: ...


@dataclass(frozen=True)
class Cast:
    """Who plays: human bodies for skeletons whose names they know, else the skeleton's own creature."""

    names: tuple[str, ...]
    layout: Layout | None = None

    def figures(self, rng: np.random.Generator, count: int, *, detail: bool = True) -> list[Figure]:
        """``count`` new figures."""
        if self.layout is not None:
            return [Creature(self.layout, rng) for _ in range(count)]
        bodies = Bodies(rng, count)
        return [Person(bodies, n, sample_look(rng), detail=detail) for n in range(count)]


def make_cast(skeleton: Skeleton) -> Cast:
    """The cast for a skeleton; only its scored keypoints are annotated."""
    names = tuple(skeleton.keypoints[k] for k in skeleton.scored)
    return Cast(names, None if set(names) <= set(KEYPOINTS) else make_layout(skeleton))


@dataclass
class Picture:
    """RGB ``image`` and COCO annotations without ids."""

    image: np.ndarray
    annotations: list[dict[str, Any]] = field(default_factory=list)


def make_picture(settings: SyntheticSettings, cast: Cast, split: str, index: int) -> Picture:
    """Picture ``index`` of a split: a function of its arguments alone."""
    rng = np.random.default_rng([settings.generator_seed, SPLITS.index(split), index])
    size = settings.picture_size
    canvas = places.place(rng, size)
    places.clutter(canvas, rng, int(rng.poisson(settings.clutter)))
    crowd = rng.random() < settings.crowd
    if crowd:
        _draw_crowd(canvas, cast, rng)
    count = int(rng.integers(settings.people[0], settings.people[1] + 1))
    figures = cast.figures(rng, count)
    boxes = _arrange(figures, settings, rng)
    for n in np.argsort(boxes[:, 3], kind="stable"):  # who stands lower is nearer
        figures[n].draw(canvas, FIRST + int(n))
        if rng.random() < settings.occlusion:
            places.obstacle(canvas, rng, boxes[n])
    annotations = [_annotate(f, FIRST + n, canvas, cast, settings, rng) for n, f in enumerate(figures)]
    if crowd:
        annotations.append(_annotate_crowd(canvas, cast))
    return Picture(_develop(canvas.image, rng), [a for a in annotations if a])


def _arrange(figures: list[Figure], settings: SyntheticSettings, rng: np.random.Generator) -> np.ndarray:
    """Sizes and positions: boxes ``(n, 4)`` as corners; each aims at a share of overlap drawn for it."""
    size = settings.picture_size
    placed = np.zeros((len(figures), 4))
    for n, figure in enumerate(figures):
        low, high = settings.height
        u = rng.random((_TRIES, 2))
        v = rng.random(5)
        height = size * (low + (high - low) * v[0])
        scale = height / (figure.box[3] - figure.box[1])
        width = scale * (figure.box[2] - figure.box[0])
        free = np.array([size - width, size - height])
        corners = np.stack([free[0] * u[:, 0], free[1] * np.sqrt(u[:, 1])], 1)
        if v[1] < settings.cut:
            corners = _across_the_border(corners, np.array([width, height]), size, v[2:4], u)
        boxes = np.concatenate([corners, corners + [width, height]], 1)
        wanted = min(1.0, 2 * settings.overlap * v[4])
        placed[n] = boxes[np.argmin(np.abs(_covered(boxes, placed[:n], width * height) - wanted))]
        figure.place(scale, placed[n, :2] - scale * figure.box[:2])
    return placed


def _across_the_border(
    corners: np.ndarray, extent: np.ndarray, size: int, v: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Move boxes over one border by 10 to 50 percent of their extent; the bottom most often."""
    outside = (0.1 + 0.4 * u[:, 0]) * 1.0
    axis = 0 if v[0] < 0.5 else 1
    lower = v[1] < 0.5 if axis == 0 else v[1] < 0.2
    corners = corners.copy()
    corners[:, axis] = -outside * extent[axis] if lower else size - (1 - outside) * extent[axis]
    return corners


def _covered(boxes: np.ndarray, placed: np.ndarray, area: float) -> np.ndarray:
    """Largest share of each box ``(t, 4)`` that one placed box ``(n, 4)`` covers, or is covered by."""
    if not len(placed):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], placed[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], placed[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    return (common / np.minimum(area, (placed[:, 2:] - placed[:, :2]).prod(-1))).max(1)


def _draw_crowd(canvas: Canvas, cast: Cast, rng: np.random.Generator) -> None:
    """A band of tiny people far away."""
    size = canvas.image.shape[0]
    count = int(rng.integers(8, 22))
    u = rng.random((count, 3))
    height = size * (0.09 + 0.08 * rng.random())
    left, width = size * 0.4 * rng.random(), size * (0.35 + 0.25 * rng.random())
    top = size * (0.1 + 0.5 * rng.random())
    order = np.argsort(u[:, 1])
    for n, figure in zip(order, cast.figures(rng, count, detail=False), strict=True):
        scale = height * (0.8 + 0.4 * u[n, 2]) / (figure.box[3] - figure.box[1])
        corner = np.array([left + width * u[n, 0], top + height * 0.8 * u[n, 1]])
        figure.place(scale, corner - scale * figure.box[:2])
        figure.draw(canvas, _CROWD)


def _annotate(
    figure: Figure,
    owner: int,
    canvas: Canvas,
    cast: Cast,
    settings: SyntheticSettings,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """COCO's record of one figure, None when nothing of it is to be seen."""
    unlabelled = rng.random() < settings.unlabelled
    jitter = rng.normal(size=(len(cast.names), 2)) if settings.noise else None
    mask = (canvas.owner >> PART_BITS) == owner
    region = _region(mask)
    if region is None:
        return None
    xy = figure.keypoints(cast.names)
    v = _visibility(figure, xy, owner, canvas.owner, cast.names)
    if unlabelled or (v > 0).sum() == 0 or (len(v) > 4 and (v == 2).sum() < 2):
        v[:] = 0
    if jitter is not None:
        xy = xy + jitter * settings.noise * 0.025 * np.sqrt(region["bbox"][2] * region["bbox"][3])
    points = np.concatenate([np.round(xy, 2), v[:, None]], 1)
    points[v == 0] = 0
    keypoints = [x if i % 3 < 2 else int(x) for i, x in enumerate(points.ravel().tolist())]
    return {
        **region,
        "iscrowd": 0,
        "num_keypoints": int((v > 0).sum()),
        "keypoints": keypoints,
        "category_id": 1,
    }


def _visibility(
    figure: Figure, xy: np.ndarray, owner: int, owners: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """v of each keypoint: 0 outside the picture, 1 when something lies before it, 2 in sight."""
    height, width = owners.shape
    v = np.zeros(len(names), int)
    for k, (name, (x, y)) in enumerate(zip(names, np.rint(xy).astype(int).tolist(), strict=True)):
        if not (-0.5 <= xy[k, 0] <= width - 0.5 and -0.5 <= xy[k, 1] <= height - 0.5):
            continue
        v[k], parts = figure.shown(name)
        if v[k] == 2:
            around = owners[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].ravel().tolist()
            tags = {(owner << PART_BITS) | part for part in parts}
            v[k] = 2 if tags.intersection(around) else 1
    return v


def _region(mask: np.ndarray) -> dict[str, Any] | None:
    """Polygons, box and area of what can be seen of a figure; coordinates as COCO's, pixel corners."""
    x0, y0, w, h = cv2.boundingRect(mask.view(np.uint8))
    if w == 0:
        return None
    crop = mask[y0 : y0 + h, x0 : x0 + w].view(np.uint8)
    # doubled, so that outlines run a quarter pixel inside the border instead of half a pixel
    double = cv2.resize(crop, (2 * w, 2 * h), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    offset = [x0 + 0.25, y0 + 0.25]
    polygons = [(o[:, 0] / 2 + offset).ravel().tolist() for o in outlines if len(o) > 2]
    if not polygons:
        return None
    return {
        "segmentation": polygons,
        "area": float(cv2.countNonZero(crop)),
        "bbox": [float(x0), float(y0), float(w), float(h)],
    }


def _annotate_crowd(canvas: Canvas, cast: Cast) -> dict[str, Any] | None:
    """COCO's record of a crowd: run lengths, no keypoints."""
    mask = (canvas.owner >> PART_BITS) == _CROWD
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if w == 0:
        return None
    return {
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "area": float(mask.sum()),
        "bbox": [float(x), float(y), float(w), float(h)],
        "iscrowd": 1,
        "num_keypoints": 0,
        "keypoints": [0] * (3 * len(cast.names)),
        "category_id": 1,
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE of a mask: column by column, zeros first.

    >>> run_lengths(np.array([[0, 1], [1, 1]], bool))
    [1, 3]
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


def _develop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera: exposure, tint, sensor noise from the stored textures, now and then a soft lens."""
    u = rng.random(8)
    size = image.shape[0]
    bank = places.textures()
    y, x = (u[:2] * 60).astype(int)
    grain = cv2.resize(bank[2 + 2 * int(u[2] * 2)][y : y + 256, x : x + 256], (size, size))
    image = cv2.addWeighted(image, 0.8 + 0.35 * u[3], grain, 0.22, -28 + 30 * (u[4] - 0.5))
    if u[5] < 0.2:
        image = cv2.blur(image, (2, 2)) if u[6] < 0.5 else cv2.GaussianBlur(image, (3, 3), 0)
    return image
