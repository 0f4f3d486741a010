"""One picture: a place, people from the farthest to the nearest, things in front, and the annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from pafpose.skeleton import Skeleton
from pafpose.synthetic.annotate import annotate, annotate_crowd
from pafpose.synthetic.appearance import sample_look
from pafpose.synthetic.backgrounds import grain, make_place
from pafpose.synthetic.body import Bodies
from pafpose.synthetic.canvas import MAX_OWNERS, Canvas
from pafpose.synthetic.clutter import draw_clutter, draw_obstacle
from pafpose.synthetic.creature import Creature, Layout, make_layout
from pafpose.synthetic.person import KEYPOINTS, Person
from pafpose.synthetic.settings import SyntheticSettings

SPLITS = ("train", "val")
FIRST = 2  # owner number of the first figure; 0 nobody, 1 things
_TRIES = 12
_CROWD = MAX_OWNERS  # owner number of everybody in a crowd


class Figure(Protocol):
    """Anything that can stand in a picture."""

    box: np.ndarray  # x0, y0, x1, y1 in its own units, before it is placed

    def place(self, scale: float, offset: np.ndarray) -> None: ...
    def draw(self, canvas: Canvas, owner: int) -> None: ...
    def keypoints(self, names: tuple[str, ...]) -> np.ndarray: ...
    def shown(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]: ...


@dataclass(frozen=True)
class Cast:
    """Who plays: human bodies for skeletons whose names they know, else the skeleton's own creature."""

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    layout: Layout | None = None

    def figures(
        self, settings: SyntheticSettings, rng: Generator, count: int, *, detail: bool = True
    ) -> list[Figure]:
        """``count`` new figures."""
        if self.layout is not None:
            return [Creature(self.layout, rng) for _ in range(count)]
        bodies = Bodies(rng, count, sides=settings.sides, liveliness=settings.liveliness)
        return [Person(bodies, n, sample_look(rng), detail=detail) for n in range(count)]


def make_cast(skeleton: Skeleton) -> Cast:
    """The cast for a skeleton; only its scored keypoints are annotated."""
    names, sigmas = zip(*((skeleton.keypoints[k], skeleton.sigmas[k]) for k in skeleton.scored), strict=True)
    return Cast(names, sigmas, None if set(names) <= set(KEYPOINTS) else make_layout(skeleton))


@dataclass
class Picture:
    """RGB ``image`` and COCO annotations without ids."""

    image: np.ndarray
    annotations: list[dict[str, Any]] = field(default_factory=list)


def make_picture(settings: SyntheticSettings, cast: Cast, split: str, index: int) -> Picture:
    """Picture ``index`` of a split: a function of its arguments alone.

    Each concern has random numbers of its own, so that a changed setting leaves the others as they were.
    """
    start = [settings.generator_seed, SPLITS.index(split), index]
    # numbers of 32 bits are quick to seed with
    kind = np.uint32 if settings.generator_seed < 1 << 32 else object
    scenery, clutter, crowd, people, stage, obstacles, labels = (
        Generator(PCG64(SeedSequence(np.array([*start, stream], kind)))) for stream in range(7)
    )
    canvas = make_place(scenery, settings.picture_size)
    draw_clutter(canvas, clutter, int(clutter.poisson(settings.clutter)))
    crowded = crowd.random() < settings.crowd
    if crowded:
        _draw_crowd(canvas, cast, settings, crowd)
    count = int(stage.integers(settings.people[0], settings.people[1] + 1))
    figures = cast.figures(settings, people, count)
    boxes = _arrange(figures, settings, stage)
    hidden = obstacles.random(count) < settings.occlusion
    for n in np.argsort(boxes[:, 3], kind="stable").tolist():  # who stands lower is nearer
        figures[n].draw(canvas, FIRST + n)
        if hidden[n]:
            draw_obstacle(canvas, obstacles, boxes[n])
    annotations = _annotate_all(figures, canvas, cast, settings, labels)
    crowd_record = annotate_crowd(canvas.owner, _CROWD, len(cast.names)) if crowded else None
    if crowd_record:
        annotations.append(crowd_record)
    return Picture(_develop(canvas.image, scenery), annotations)


def _arrange(figures: list[Figure], settings: SyntheticSettings, rng: Generator) -> np.ndarray:
    """Sizes and positions: boxes ``(n, 4)`` as corners; each aims at a share of overlap drawn for it."""
    size, count = settings.picture_size, len(figures)
    u, v = np.hsplit(rng.random((count, 2 * _TRIES + 5)), [2 * _TRIES])
    u = u.reshape(count, _TRIES, 2)
    low, high = settings.height
    heights = size * (low + (high - low) * v[:, 0])
    boxes = np.array([figure.box for figure in figures]).reshape(count, 4)
    scales = heights / (boxes[:, 3] - boxes[:, 1])
    extents = np.stack([scales * (boxes[:, 2] - boxes[:, 0]), heights], 1)
    free = size - extents[:, None]
    corners = np.stack([free[..., 0] * u[..., 0], free[..., 1] * np.sqrt(u[..., 1])], -1)
    for n in np.flatnonzero(v[:, 1] < settings.cut).tolist():
        corners[n] = _across_the_border(corners[n], extents[n], size, v[n, 2:4], u[n])
    tries = np.concatenate([corners, corners + extents[:, None]], 2)
    spread = min(settings.overlap, 1 - settings.overlap)
    wanted = settings.overlap - spread + 2 * spread * v[:, 4]
    placed = np.zeros((count, 4))
    for n, figure in enumerate(figures):
        covered = _covered(tries[n], placed[:n], extents[n, 0] * extents[n, 1])
        placed[n] = tries[n, np.abs(covered - wanted[n]).argmin()]
        figure.place(scales[n], placed[n, :2] - scales[n] * boxes[n, :2])
    return placed


def _across_the_border(
    corners: np.ndarray, extent: np.ndarray, size: int, v: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Move boxes over one border by 10 to 50 percent of their extent; the bottom most often."""
    outside = 0.1 + 0.4 * u[:, 0]
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
    common = np.maximum(high - low, 0).prod(-1)
    return (common / np.minimum(area, (placed[:, 2:] - placed[:, :2]).prod(-1))).max(1)


def _draw_crowd(canvas: Canvas, cast: Cast, settings: SyntheticSettings, rng: Generator) -> None:
    """A band of tiny people far away."""
    size = canvas.size
    count = int(rng.integers(7, 16))
    u = rng.random((count, 3))
    height = size * (0.09 + 0.08 * rng.random())
    left, width = size * 0.4 * rng.random(), size * (0.35 + 0.25 * rng.random())
    top = size * (0.1 + 0.5 * rng.random())
    figures = cast.figures(settings, rng, count, detail=False)
    order = np.argsort(u[:, 1]).tolist()
    for n, figure in zip(order, figures, strict=True):
        scale = height * (0.8 + 0.4 * u[n, 2]) / (figure.box[3] - figure.box[1])
        corner = np.array([left + width * u[n, 0], top + height * 0.8 * u[n, 1]])
        figure.place(scale, corner - scale * figure.box[:2])
    for figure in figures:
        figure.draw(canvas, _CROWD)


def _annotate_all(
    figures: list[Figure], canvas: Canvas, cast: Cast, settings: SyntheticSettings, rng: Generator
) -> list[dict[str, Any]]:
    """Records of all figures, with the share of unlabelled ones and the errors that the settings ask for."""
    unlabelled = rng.random(len(figures)) < settings.unlabelled
    errors = (
        rng.normal(size=(len(figures), len(cast.names), 2)) * settings.noise * np.array(cast.sigmas)[:, None]
    )
    return annotate(figures, FIRST, canvas.owner, cast.names, errors=errors, unlabelled=unlabelled.tolist())


def _develop(image: np.ndarray, rng: Generator) -> np.ndarray:
    """The camera: texture over everything, exposure, now and then a soft lens."""
    u = rng.random(8).tolist()
    image = grain(image, u[:3], 0.2)
    image = cv2.convertScaleAbs(image, alpha=0.8 + 0.4 * u[3], beta=26 * (u[4] - 0.5))
    if u[5] < 0.2:
        return cv2.blur(image, (2, 2)) if u[6] < 0.5 else cv2.GaussianBlur(image, (3, 3), 0)
    return image
