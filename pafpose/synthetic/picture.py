"""One picture: background, people from the farthest to the nearest, obstacles before them, annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from pafpose.skeleton import Skeleton
from pafpose.synthetic.annotate import Annotation, annotate_crowd, annotate_figure
from pafpose.synthetic.appearance import sample_appearance
from pafpose.synthetic.arrange import arrange
from pafpose.synthetic.backgrounds import add_texture, draw_background
from pafpose.synthetic.body import sample_bodies
from pafpose.synthetic.canvas import MAX_OWNERS, Canvas
from pafpose.synthetic.clutter import draw_clutter, draw_obstacle
from pafpose.synthetic.creature import Creature, RestPose, make_rest_pose
from pafpose.synthetic.figure import Figure
from pafpose.synthetic.person import KEYPOINTS, Person
from pafpose.synthetic.settings import SyntheticSettings

SPLITS = ("train", "val")
FIRST_FIGURE = 2  # owner numbers: 0 nobody, 1 objects, then the figures
_CROWD = MAX_OWNERS  # owner number of everybody in a crowd


@dataclass(frozen=True)
class FigureSampler:
    """Draws figures for a skeleton: people if a human body has all its keypoints, else creatures."""

    names: tuple[str, ...]  # of the annotated keypoints
    sigmas: tuple[float, ...]  # of the annotated keypoints
    rest_pose: RestPose | None  # of creatures

    @staticmethod
    def of(skeleton: Skeleton) -> FigureSampler:
        """Return the sampler of a skeleton; its scored keypoints are the annotated ones."""
        names = tuple(skeleton.keypoints[k] for k in skeleton.scored)
        sigmas = tuple(skeleton.sigmas[k] for k in skeleton.scored)
        return FigureSampler(
            names, sigmas, None if set(names) <= set(KEYPOINTS) else make_rest_pose(skeleton)
        )

    def sample(
        self, settings: SyntheticSettings, rng: Generator, count: int, *, detail: bool = True
    ) -> list[Figure]:
        """Draw ``count`` new figures."""
        if self.rest_pose is not None:
            return [Creature(self.rest_pose, rng) for _ in range(count)]
        bodies = sample_bodies(rng, count, sides=settings.sides, liveliness=settings.liveliness)
        return [Person(body, sample_appearance(rng), detail=detail) for body in bodies]


class Picture(NamedTuple):
    """A drawn picture."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    annotations: list[Annotation]  # COCO's, without ids


def draw_picture(settings: SyntheticSettings, sampler: FigureSampler, split: str, index: int) -> Picture:
    """Draw picture ``index`` of a split; the same arguments give the same picture.

    Each concern has random numbers of its own, so that one setting can change and the rest stays.
    """
    seed = (settings.generator_seed, SPLITS.index(split), index)
    scenery, clutter, crowd, people, arrangement, obstacles, labels = (
        np.random.default_rng([*seed, stream]) for stream in range(7)
    )
    canvas = draw_background(scenery, settings.picture_size)
    draw_clutter(canvas, clutter, int(clutter.poisson(settings.clutter)))
    crowded = crowd.random() < settings.crowd
    if crowded:
        _draw_crowd(canvas, sampler, settings, crowd)
    count = int(arrangement.integers(settings.people[0], settings.people[1] + 1))
    figures = sampler.sample(settings, people, count)
    boxes = arrange(figures, settings, arrangement)
    hidden = obstacles.random(count) < settings.occlusion
    feet = boxes[:, 1] + boxes[:, 3]
    for n in np.argsort(feet, kind="stable").tolist():  # who stands lower is nearer
        figures[n].draw(canvas, FIRST_FIGURE + n)
        if hidden[n]:
            draw_obstacle(canvas, obstacles, boxes[n])
    annotations = _annotate(figures, canvas.owners, sampler, settings, labels)
    if crowded:
        annotations.append(annotate_crowd(canvas.owners, _CROWD, len(sampler.names)))
    return Picture(_add_camera_effects(canvas.image, scenery), [a for a in annotations if a is not None])


def _draw_crowd(canvas: Canvas, sampler: FigureSampler, settings: SyntheticSettings, rng: Generator) -> None:
    """Draw a band of tiny people far away."""
    size = canvas.size
    count = int(rng.integers(7, 16))
    u = rng.random((count, 3))
    height = size * (0.09 + 0.08 * rng.random())
    left, width = size * 0.4 * rng.random(), size * (0.35 + 0.25 * rng.random())
    top = size * (0.1 + 0.5 * rng.random())
    figures = sampler.sample(settings, rng, count, detail=False)
    for (x, y, tall), figure in zip(u[np.argsort(u[:, 1])], figures, strict=True):
        scale = height * (0.8 + 0.4 * tall) / (figure.box[3] - figure.box[1])
        corner = complex(left + width * x, top + height * 0.8 * y)
        figure.place(scale, corner - scale * complex(*figure.box[:2]))
        figure.draw(canvas, _CROWD)


def _annotate(
    figures: list[Figure],
    owners: np.ndarray,
    sampler: FigureSampler,
    settings: SyntheticSettings,
    rng: Generator,
) -> list[Annotation | None]:
    """Annotate all figures, with the errors and the share of unlabelled ones that the settings ask for."""
    labelled = rng.random(len(figures)) >= settings.unlabelled
    noise = rng.normal(size=(len(figures), len(sampler.names), 2)) * settings.noise
    errors = (noise[..., 0] + 1j * noise[..., 1]) * sampler.sigmas
    return [
        annotate_figure(
            figure, FIRST_FIGURE + n, owners, sampler.names, errors=errors[n], labelled=bool(labelled[n])
        )
        for n, figure in enumerate(figures)
    ]


def _add_camera_effects(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Return the image with grain over everything, another exposure and, now and then, a soft focus."""
    u = rng.random(8).tolist()
    image = add_texture(image, u[:3], 0.2)
    image = cv2.convertScaleAbs(image, alpha=0.8 + 0.4 * u[3], beta=26 * (u[4] - 0.5))
    if u[5] < 0.2:
        return cv2.blur(image, (2, 2)) if u[6] < 0.5 else cv2.GaussianBlur(image, (3, 3), 0)
    return image
