"""Annotations from the owner map, by hand: outlines, boxes, areas and what is visible."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pafpose.skeleton import Skeleton
from pafpose.synthetic.annotate import (
    annotate_crowd,
    annotate_figure,
    outline,
    run_lengths,
    unlabel_unguessable,
    visibility,
)
from pafpose.synthetic.canvas import Canvas, ellipse, owner_tag, rectangle
from pafpose.synthetic.figure import Figure
from pafpose.synthetic.person import HEAD, TORSO
from tests.synthetic.helpers import PLAIN, SMALL, draw_annotations, people_of

pytestmark = pytest.mark.filterwarnings(  # pycocotools 2.0.11
    "ignore:.*__array__ implementation.*:DeprecationWarning"
)

OWNER = 5
GREY = (9.0, 9.0, 9.0)
NAMES = ("a", "b", "c", "near", "far", "outside")
NO_ERRORS = np.zeros(6, complex)


class Square(Figure):
    """A square of 20 x 20 pixels with five keypoints along its diagonal and one outside the picture."""

    def place(self, scale: float, offset: complex) -> None:
        raise NotImplementedError

    def draw(self, canvas: Canvas, owner: int) -> None:
        canvas.fill(rectangle(10, 30, 29, 49), GREY, owner_tag(owner, TORSO))

    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        return np.array([12 + 32j, 14 + 34j, 16.3 + 35.7j, 22 + 42j, 28 + 48j, 70 + 40j])

    def own_visibility(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        return np.full(6, 2), np.full(6, 1 << TORSO)


@pytest.fixture
def canvas() -> Canvas:
    canvas = Canvas(np.zeros((64, 64, 3), np.uint8))
    Square().draw(canvas, OWNER)
    return canvas


def annotate(canvas: Canvas, errors: np.ndarray = NO_ERRORS, *, labelled: bool = True):
    return annotate_figure(Square(), OWNER, canvas.owners, NAMES, errors=errors, labelled=labelled)


def test_a_square_by_hand(canvas: Canvas) -> None:
    """Pixels 10 to 29 reach from 10 to 30 when counted from corners, as COCO does for boxes and outlines."""
    record = annotate(canvas)
    assert record["bbox"] == [10, 30, 20, 20] and record["area"] == 400
    corners = np.array(record["segmentation"]).reshape(-1, 2)
    np.testing.assert_array_equal(corners.min(0), [10.25, 30.25])
    np.testing.assert_array_equal(corners.max(0), [29.75, 49.75])
    assert record["keypoints"][:9] == [12.0, 32.0, 2, 14.0, 34.0, 2, 16.3, 35.7, 2]
    assert record["keypoints"][9:] == [22.0, 42.0, 2, 28.0, 48.0, 2, 0, 0, 0]
    assert (record["num_keypoints"], record["iscrowd"], record["category_id"]) == (5, 0, 1)
    decoded = coco_mask.decode(coco_mask.frPyObjects(record["segmentation"], 64, 64))[..., 0]
    assert (decoded[30:50, 10:30] == 1).all() and decoded.sum() == 400


def test_errors_are_in_roots_of_the_visible_area(canvas: Canvas) -> None:
    errors = np.array([0.1, 0.2j, 0, 0, 0, 0])
    assert annotate(canvas, errors)["keypoints"][:6] == [14.0, 32.0, 2, 14.0, 38.0, 2]
    canvas.fill(rectangle(10, 42, 17, 49), GREY, owner_tag(1))  # 64 pixels, no keypoint
    record = annotate(canvas, errors)
    assert record["keypoints"][0] == pytest.approx(12 + 0.1 * (400 - 64) ** 0.5, abs=0.01)


def test_people_without_labels(canvas: Canvas) -> None:
    assert annotate(canvas, labelled=False)["keypoints"] == [0] * 18
    canvas.fill(rectangle(15, 34, 29, 49), GREY, owner_tag(1))  # two keypoints stay visible
    record = annotate(canvas)
    assert record["keypoints"] == [0] * 18 and record["num_keypoints"] == 0
    assert record["area"] == 400 - 15 * 16 and record["bbox"] == [10, 30, 20, 20]


def test_covered_keypoints_are_labelled_within_reach_of_visible_ones(canvas: Canvas) -> None:
    canvas.fill(rectangle(20, 40, 24, 44), GREY, owner_tag(1))
    canvas.fill(rectangle(26, 46, 29, 49), GREY, owner_tag(1))
    record = annotate(canvas)  # the reach is 0.6 of the root of about 360 px^2, 11.4 px
    assert record["keypoints"][9:] == [22.0, 42.0, 1, 0, 0, 0, 0, 0, 0]
    assert record["num_keypoints"] == 4


def test_a_hidden_figure_has_no_annotation(canvas: Canvas) -> None:
    canvas.fill(rectangle(0, 0, 63, 63), GREY, owner_tag(1))
    assert annotate(canvas) is None


def test_visibility_by_hand() -> None:
    canvas = Canvas(np.zeros((32, 32, 3), np.uint8))
    canvas.fill(ellipse(10 + 12j, 6, 6), GREY, owner_tag(OWNER, TORSO))

    def labels(*points: complex, own: int = 2, part: int = TORSO) -> list[int]:
        count = len(points)
        return visibility(
            np.array(points), OWNER, canvas.owners, own=np.full(count, own), parts=np.full(count, 1 << part)
        ).tolist()

    assert labels(10 + 12j, 30.4 + 12j) == [2, 1]  # the second lies off the disc
    assert labels(17 + 12j, 18 + 12j) == [2, 1]  # a pixel beside the disc, and two
    assert labels(10 + 12j, part=HEAD) == [1]
    assert labels(10 + 12j, own=1) == [1] and labels(10 + 12j, 30 + 12j, own=0) == [0, 0]
    canvas.fill(ellipse(10 + 12j, 3, 3), GREY, owner_tag(1))
    assert labels(10 + 12j, 30.4 + 12j) == [1, 1]
    canvas.fill(rectangle(0, 0, 31, 31), GREY, owner_tag(OWNER, TORSO))
    inside = labels(-0.5 + 5j, 31.5 + 5j, 5 - 0.5j, 5 + 31.5j)
    assert inside == [2] * 4
    assert labels(-0.6 + 5j, 31.6 + 5j, 5 - 0.6j, 5 + 31.6j) == [0] * 4


def test_one_of_nine_pixels_is_enough_to_see_a_keypoint() -> None:
    owners = np.zeros((16, 16), np.uint16)
    owners[5, 8] = owner_tag(OWNER, TORSO)
    steps = [complex(x, y) for x in (-2, -1, 0, 1, 2) for y in (-2, -1, 0, 1, 2)]
    own, parts = np.full(25, 2), np.full(25, 1 << TORSO)
    v = visibility(8 + 5j + np.array(steps), OWNER, owners, own=own, parts=parts)
    assert v.tolist() == [2 if max(abs(step.real), abs(step.imag)) < 2 else 1 for step in steps]


def test_covered_keypoints_far_from_visible_ones_are_unlabelled() -> None:
    xy = np.array([0, 9, 11, 11, 40], complex)
    v, own = np.array([2, 1, 1, 1, 0]), np.array([2, 2, 2, 1, 2])
    assert unlabel_unguessable(v, xy, own=own, reach=10).tolist() == [2, 1, 0, 1, 0]
    nothing = np.array([1, 1, 1, 1, 0])
    assert unlabel_unguessable(nothing, xy, own=own, reach=10).tolist() == nothing.tolist()


def test_a_crowd_has_the_exact_mask_and_no_keypoints(canvas: Canvas) -> None:
    canvas.fill(ellipse(40 + 40j, 9, 5, 0.4), GREY, owner_tag(OWNER, 3))
    record = annotate_crowd(canvas.owners, OWNER, 17)
    rle = coco_mask.frPyObjects(record["segmentation"], 64, 64)
    np.testing.assert_array_equal(coco_mask.decode(rle), canvas.owners > 0)
    assert record["area"] == (canvas.owners > 0).sum() and record["iscrowd"] == 1
    assert record["bbox"] == coco_mask.toBbox(rle).tolist()
    assert record["keypoints"] == [0] * 51 and record["num_keypoints"] == 0
    assert annotate_crowd(canvas.owners, 6, 17) is None


def test_run_lengths_start_with_zeros_and_go_down_the_columns() -> None:
    assert run_lengths(np.array([[1, 1], [0, 1]], bool)) == [0, 1, 1, 2]


def test_thin_shapes_have_an_outline_or_none() -> None:
    mask = np.zeros((64, 64), np.uint8)
    assert outline(mask) == []
    mask[5, 7] = 255
    assert sorted(set(outline(mask)[0])) == [5.25, 5.75, 7.25, 7.75]


def test_simplified_outlines_stay_within_half_a_pixel(coco18: Skeleton) -> None:
    for record in people_of(draw_annotations(PLAIN, coco18, 20)):
        drawn = np.zeros((96, 96), np.uint8)
        for polygon in record["segmentation"]:
            corners = np.array(polygon).reshape(-1, 1, 2) - 0.5
            cv2.fillPoly(drawn, [np.rint(corners * 16).astype(np.int32)], (1,), shift=4)
        rim = sum(cv2.arcLength(np.float32(p).reshape(-1, 1, 2), True) for p in record["segmentation"])
        assert abs(int(drawn.sum()) - record["area"]) <= 0.75 * rim


def test_keypoints_are_inside_or_zero(coco18: Skeleton) -> None:
    pictures = draw_annotations(replace(SMALL, cut=1.0), coco18, 40)
    points = np.array([a["keypoints"] for a in people_of(pictures)], float).reshape(-1, 3)
    outside, inside = points[points[:, 2] == 0], points[points[:, 2] > 0, :2]
    assert len(outside) and not outside.any()
    assert (inside >= -0.5).all() and (inside <= 95.5).all()
