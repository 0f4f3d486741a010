"""Figures stand where the settings want them: sizes, overlap, and who crosses the border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pafpose.skeleton import Skeleton
from pafpose.synthetic.arrange import arrange, shared_shares
from pafpose.synthetic.picture import FigureSampler
from pafpose.synthetic.settings import SyntheticSettings
from tests.synthetic.helpers import PLAIN


def arrangements(settings: SyntheticSettings, skeleton: Skeleton, people: int, count: int) -> np.ndarray:
    """Boxes ``(count, people, 4)`` as x, y, w, h."""
    rng, sampler = np.random.default_rng(0), FigureSampler.of(skeleton)
    return np.stack([arrange(sampler.sample(settings, rng, people), settings, rng) for _ in range(count)])


def overlaps(boxes: np.ndarray) -> np.ndarray:
    """The largest share of each box with one before it."""
    return np.array([shared_shares(group[1:2], group[:1])[0, 0] for group in boxes])


def test_figures_stand_in_their_boxes(coco18: Skeleton, rng: np.random.Generator) -> None:
    figures = FigureSampler.of(coco18).sample(PLAIN, rng, 5)
    boxes = arrange(figures, PLAIN, rng)
    for figure, (x, y, w, h) in zip(figures, boxes, strict=True):
        scale = h / (figure.box[3] - figure.box[1])
        points = figure.keypoints(coco18.keypoints[:17])
        margin = 0.02 * scale
        assert points.real.min() >= x + margin - 1e-9 and points.real.max() <= x + w - margin + 1e-9
        assert points.imag.min() >= y + margin - 1e-9 and points.imag.max() <= y + h - margin + 1e-9
        assert w == pytest.approx(scale * (figure.box[2] - figure.box[0]))


def test_heights_spread_over_the_range(coco18: Skeleton) -> None:
    heights = arrangements(replace(PLAIN, height=(0.33, 1.0)), coco18, 3, 100)[..., 3].ravel() / 96
    assert 0.33 <= heights.min() < 0.35 and 0.98 < heights.max() <= 1.0
    assert heights.mean() == pytest.approx(0.665, abs=0.03)


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.4])
def test_where_there_is_room_the_overlap_is_the_one_asked_for(coco18: Skeleton, overlap: float) -> None:
    settings = replace(PLAIN, overlap=overlap, height=(0.3, 0.6))
    boxes = arrangements(settings, coco18, 2, 200)
    assert overlaps(boxes).mean() == pytest.approx(overlap, abs=0.03)
    assert (boxes[..., :2] >= 0).all() and (boxes[..., :2] + boxes[..., 2:] <= 96 + 1e-9).all()


@pytest.mark.parametrize("cut", [0.0, 0.3, 1.0])
def test_the_share_that_is_cut_crosses_one_border(coco18: Skeleton, cut: float) -> None:
    boxes = arrangements(replace(PLAIN, cut=cut, height=(0.3, 0.6)), coco18, 4, 100).reshape(-1, 4)
    start, sides = boxes[:, :2], boxes[:, 2:]
    before, beyond = np.maximum(-start, 0) / sides, np.maximum(start + sides - 96, 0) / sides
    outside = np.concatenate([before, np.where(beyond > 1e-9, beyond, 0)], 1)  # left, top, right, bottom
    assert (outside.max(1) > 0).mean() == pytest.approx(cut, abs=0.07)
    crossing = outside[outside.max(1) > 0]
    assert ((crossing > 0).sum(1) == 1).all()
    assert ((crossing.max(1) >= 0.1 - 1e-9) & (crossing.max(1) <= 0.5 + 1e-9)).all()
    if cut == 1:
        left, top, right, bottom = (crossing > 0).mean(0)
        assert bottom > 2 * top and left == pytest.approx(right, abs=0.1)


def test_shares_by_hand() -> None:
    small, large = np.array([[0, 0, 2, 2]]), np.array([[1, 1, 10, 10]])
    assert shared_shares(small, large).tolist() == shared_shares(large, small).tolist() == [[0.25]]
    assert shared_shares(small, np.array([[2, 0, 2, 2]])).tolist() == [[0]]
    assert shared_shares(small, np.zeros((0, 4))).shape == (1, 0)
