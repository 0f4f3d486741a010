"""What is drawn of the people in a photo or frame: ``draw``, ``colours`` and ``background``."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.predictor import Found
from pafpose.skeleton import Skeleton
from pafpose.viz import COLOURS, draw_people, heatmaps_overlay, pafs_overlay

DRAW = ("skeleton", "fields", "both", "none")
BACKGROUNDS = ("photo", "black")


@dataclass(frozen=True)
class OverlaySettings:
    """What overlays show, by the keys of ``conf/predict.yaml``."""

    draw: str = "skeleton"
    colours: str = "limb"
    background: str = "photo"
    drawn_score: float = 0.1

    def __post_init__(self) -> None:
        for key, choices in (("draw", DRAW), ("colours", COLOURS), ("background", BACKGROUNDS)):
            if getattr(self, key) not in choices:
                raise PafposeError(f"{key}={getattr(self, key)}: choose one of {', '.join(choices)}")
        if not 0 <= self.drawn_score <= 1:
            raise PafposeError(
                f"drawn_score={self.drawn_score}: give a score from 0 (everybody is drawn) to 1"
            )

    @property
    def needs_fields(self) -> bool:
        """Whether fields are drawn."""
        return self.draw in ("fields", "both")


def draw_overlay(found: Found, skeleton: Skeleton, settings: OverlaySettings) -> np.ndarray:
    """Draw what was found in a frame; return a new picture of its size."""
    image = found.frame.image
    if settings.background == "black":
        image = np.zeros_like(image)
    if settings.needs_fields:
        assert found.fields is not None
        image = draw_fields(image, found.fields, skeleton, covered=found.covered)
    if settings.draw == "fields":
        return image
    people = found.people.at_least(settings.drawn_score)
    return draw_people(
        image, people.keypoints, skeleton, scores=people.scores, ids=people.ids, colours=settings.colours
    )


def draw_fields(
    image: np.ndarray, fields: Fields, skeleton: Skeleton, *, covered: tuple[float, float]
) -> np.ndarray:
    """Draw PAFs in the colours of a wheel and heatmaps over the dimmed picture, the brighter of both.

    The fields cover ``covered`` times the height and width of the picture, as the network's input is padded.
    """
    assert fields.heatmaps is not None and fields.pafs is not None
    height, width = image.shape[:2]
    full = [round(side * share) for side, share in zip((height, width), covered, strict=True)]
    padded = cv2.copyMakeBorder(
        image, 0, full[0] - height, 0, full[1] - width, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
    pafs = pafs_overlay(padded, fields.pafs, smooth=True, legend=False)
    heatmaps = heatmaps_overlay(padded, fields.heatmaps, skeleton)
    return np.maximum(pafs, heatmaps)[:height, :width]
