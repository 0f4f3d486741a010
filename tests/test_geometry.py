"""The half-pixel rule: cells, resizing, flips and matrices agree with each other and with OpenCV."""

from __future__ import annotations

import cv2
import numba
import numpy as np
import pytest

from pafpose import geometry as geo
from pafpose.errors import PafposeError


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_cell_centre_is_the_mean_of_its_pixels(stride: int) -> None:
    for cell in range(5):
        pixels = np.arange(cell * stride, (cell + 1) * stride)
        assert geo.cell_to_px(cell, stride) == pixels.mean()
        assert geo.px_to_cell(pixels.mean(), stride) == cell


@pytest.mark.parametrize("stride", [1, 2, 3, 8])
def test_kernels_share_the_rule_of_cells(stride: int) -> None:
    @numba.njit
    def compiled(value: float, stride: int) -> tuple[float, float, int]:
        return geo.cell_to_px(value, stride), geo.px_to_cell(value, stride), geo.cell_to_mask_px(2, stride)

    for value in (-7.25, 0.0, 0.1, 91.3):
        plain = geo.cell_to_px(value, stride), geo.px_to_cell(value, stride), geo.cell_to_mask_px(2, stride)
        assert compiled(value, stride) == plain


def test_a_mask_is_read_at_a_pixel_in_the_middle_of_the_cell() -> None:
    for stride in (1, 2, 3, 4, 8):
        for cell in range(4):
            assert abs(geo.cell_to_mask_px(cell, stride) - geo.cell_to_px(cell, stride)) <= 0.5


def test_boxes_of_coco_files_shift_by_half_a_pixel() -> None:
    whole = np.array([[0.0, 0.0, 640.0, 480.0]])
    ours = geo.box_from_corner_frame(whole)
    assert ours.tolist() == [[-0.5, -0.5, 640.0, 480.0]]
    assert np.array_equal(geo.box_to_corner_frame(ours), whole)
    half = geo.box_to_corner_frame(geo.transform_boxes(geo.resize(0.5), ours))
    assert half.tolist() == [[0.0, 0.0, 320.0, 240.0]]


def test_field_size_refuses_what_is_not_a_multiple() -> None:
    assert geo.field_size((368, 640), 8) == (46, 80)
    with pytest.raises(PafposeError, match=r"not a multiple of the field stride 8; pad it to \(376, 368\)"):
        geo.field_size((370, 368), 8)


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (-8, 8), (8, -8), (12, 8), (8, 12)])
def test_field_size_wants_positive_multiples(size: tuple[int, int]) -> None:
    padded = tuple(16 if side == 12 else 8 for side in size)
    with pytest.raises(PafposeError) as refused:
        geo.field_size(size, 8)
    assert str(padded) in str(refused.value)


def test_the_smallest_field_is_one_cell() -> None:
    assert geo.field_size((1, 1), 1) == (1, 1)
    assert {type(side) for side in geo.field_size((16, 8), 8)} == {int}


@pytest.mark.parametrize(("length", "padded"), [(0, 8), (1, 8), (8, 8), (9, 16), (368, 368)])
def test_lengths_are_padded_up_to_the_stride(length: int, padded: int) -> None:
    assert geo.pad_to_multiple(length, 8) == padded


def test_resize_keeps_corners_and_flip_twice_is_identity() -> None:
    corner = np.array([[-0.5, -0.5], [63.5, 47.5]])
    assert np.allclose(geo.transform_points(geo.resize(2.0), corner), [[-0.5, -0.5], [127.5, 95.5]])
    assert np.allclose(geo.compose(geo.flip(64), geo.flip(64)), geo.identity())


def test_compose_and_invert(rng: np.random.Generator) -> None:
    a = geo.compose(geo.rotation(33.0), geo.resize(1.7, 0.6))
    b = geo.compose(geo.translation(5.0, -3.0), geo.flip(100))
    points = rng.uniform(-50, 200, (7, 2))
    step = geo.transform_points(b, geo.transform_points(a, points))
    assert np.allclose(geo.transform_points(geo.compose(b, a), points), step)
    assert np.allclose(geo.transform_points(geo.invert(a), geo.transform_points(a, points)), points)


def test_resize_agrees_with_opencv_pixel_for_pixel(rng: np.random.Generator) -> None:
    picture = rng.uniform(0, 255, (40, 60)).astype(np.float32)
    warped = cv2.warpAffine(picture, geo.resize(2.0), (120, 80), borderMode=cv2.BORDER_REPLICATE)
    resized = cv2.resize(picture, (120, 80), interpolation=cv2.INTER_LINEAR)
    assert np.abs(warped - resized).max() < 255 / 32  # warpAffine interpolates in steps of 1/32


def test_boxes_move_exactly_by_shifts_quarter_turns_and_mirrors() -> None:
    box = np.array([10.0, 20.0, 30.0, 40.0])
    assert np.allclose(geo.transform_boxes(geo.translation(1, 2), box), [11, 22, 30, 40])
    assert np.allclose(geo.transform_boxes(geo.rotation(90), box), [-60, 10, 40, 30])
    assert np.allclose(geo.transform_boxes(geo.flip(101), box), [60, 20, 30, 40])
    assert np.allclose(geo.transform_boxes(geo.resize(0.5), box), [4.75, 9.75, 15, 20])


def test_boxes_of_small_integers_do_not_overflow() -> None:
    box = np.array([0, 0, 300, 200], np.int16)
    assert np.allclose(geo.transform_boxes(geo.rotation(90), box), [-200, 0, 200, 300])


def test_boxes_below_a_pixel_scale_too() -> None:
    moved = geo.transform_boxes(geo.resize(0.5), np.array([3.5, 7.5, 0.2, 0.1]))
    assert np.allclose(moved, [1.5, 3.5, 0.1, 0.05])


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_keypoints_move_and_keep_their_third_value(dtype: type) -> None:
    keypoints = np.array([[[10, 20, 2], [0, 5, 0]]], dtype)
    moved = geo.transform_keypoints(geo.compose(geo.translation(1, 2), geo.resize(2.0, 4.0)), keypoints)
    assert moved.dtype == np.float64
    assert np.allclose(moved, [[[21.5, 83.5, 2], [1.5, 23.5, 0]]])


def test_a_turn_does_not_make_a_person_larger() -> None:
    """The area is the person's scale (heatmap.scale_by=person); boxes around turned corners grew by 2.7."""
    boxes = np.array([[10.0, 20.0, 30.0, 90.0], [5.0, 5.0, 0.0, 0.0], [5.0, 5.0, 7.0, 0.0]])
    for degrees in range(-180, 181, 15):
        matrix = geo.compose(geo.rotation(degrees), geo.resize(1.5))
        moved = geo.transform_boxes(matrix, boxes)
        assert np.allclose(moved[:, 2] * moved[:, 3], 1.5**2 * boxes[:, 2] * boxes[:, 3])
        centres = geo.transform_points(matrix, boxes[:, :2] + boxes[:, 2:] / 2)
        assert np.allclose(moved[:, :2] + moved[:, 2:] / 2, centres)


@pytest.mark.parametrize(
    ("fit", "expected"), [("long", (276, 368)), ("height", (368, 491))], ids=["long", "height"]
)
def test_letterbox_keeps_the_aspect(fit: str, expected: tuple[int, int]) -> None:
    matrix, size = geo.letterbox(640, 480, input_size=368, fit=fit)
    assert size == expected
    corners = geo.transform_points(matrix, np.array([[-0.5, -0.5], [639.5, 479.5]]))
    assert np.allclose(corners, [[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]])


def test_letterbox_fits_the_long_side_and_leaves_no_side_empty() -> None:
    assert geo.letterbox(1000, 2, input_size=100)[1] == (1, 100)
    assert geo.letterbox(2, 1000, input_size=100)[1] == (100, 1)


def test_letterbox_names_the_choices() -> None:
    with pytest.raises(PafposeError, match=r"evaluate\.fit='wide'"):
        geo.letterbox(640, 480, input_size=368, fit="wide")


def test_scale_of_a_matrix() -> None:
    assert geo.scale_of(geo.compose(geo.rotation(33), geo.resize(0.3))) == pytest.approx(0.3)
