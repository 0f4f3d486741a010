"""Shapes are drawn where their coordinates say, in the picture and in the owner map."""

from __future__ import annotations

import numpy as np
import pytest

from pafpose.errors import PafposeError
from pafpose.synthetic.canvas import (
    MAX_OWNERS,
    MAX_PARTS,
    Canvas,
    capsule,
    ellipse,
    hull,
    owner_mask,
    owner_tag,
    polygon,
    rectangle,
)

WHITE = (255.0, 255.0, 255.0)


def drawn(outline: np.ndarray) -> np.ndarray:
    canvas = Canvas(np.zeros((64, 64, 3), np.uint8))
    canvas.fill(outline, WHITE)
    return canvas.image[..., 0].astype(float) / 255


def centroid(weights: np.ndarray) -> complex:
    y, x = np.indices(weights.shape)
    return complex((x * weights).sum(), (y * weights).sum()) / weights.sum()


@pytest.mark.parametrize(
    ("outline", "centre", "area"),
    [
        (ellipse(30.25 + 20.5j, 12, 8, corners=64), 30.25 + 20.5j, np.pi * 96),
        (ellipse(30.25 + 20.5j, 12, 8, 0.6, corners=64), 30.25 + 20.5j, np.pi * 96),
        (rectangle(10, 20, 30, 26), 20 + 23j, 120),
        (polygon(10 + 10j, 40 + 10j, 40 + 30j, 10 + 30j), 25 + 20j, 600),
        (capsule(20 + 15j, 40 + 35j, 6.0, 6.0), 30 + 25j, np.pi * 36 + 12 * abs(20 + 20j)),
        (hull((20 + 20j, 40 + 20j, 20 + 40j, 40 + 40j), (4, 4, 4, 4)), 30 + 30j, 20 * 36 + 20 * 8),
    ],
)
def test_shapes_have_their_centre_and_area(outline: np.ndarray, centre: complex, area: float) -> None:
    picture = drawn(outline)
    assert abs(centroid(picture) - centre) < 0.1
    # OpenCV also paints about half of the pixels on the outline
    assert area * 0.9 < picture.sum() < area * 1.05 + 60


def test_an_ellipse_turns_clockwise_on_the_screen() -> None:
    y, x = np.nonzero(drawn(ellipse(32 + 32j, 20, 3, 0.5)) > 0.5)
    assert np.polyfit(x, y, 1)[0] == pytest.approx(np.tan(0.5), abs=0.05)


def test_a_capsule_tapers_from_its_start_to_its_end() -> None:
    picture = drawn(capsule(16 + 32j, 48 + 32j, 10.0, 4.0)) > 0.5
    assert picture[:, 16].sum() == pytest.approx(20, abs=2) and picture[:, 48].sum() == pytest.approx(
        8, abs=2
    )
    assert np.nonzero(picture.any(0))[0].tolist()[:: picture.any(0).sum() - 1] == [6, 52]


def test_many_capsules_are_the_same_as_one_by_one(rng: np.random.Generator) -> None:
    a, b = (rng.random((5, 1)) * 50 + 1j * rng.random((5, 1)) * 50 for _ in range(2))
    ra, rb = rng.random((2, 5, 1)) * 5
    together = capsule(a, b, ra, rb)
    assert together.shape == (5, 12, 2)
    for n in range(5):
        one = capsule(complex(a[n, 0]), complex(b[n, 0]), ra[n, 0], rb[n, 0])
        np.testing.assert_array_equal(together[n], one)


def test_the_owner_map_has_the_drawn_pixels() -> None:
    canvas = Canvas(np.zeros((20, 20, 3), np.uint8))
    canvas.fill(rectangle(4, 4, 9, 7), WHITE, owner_tag(3, 2))
    canvas.fill(rectangle(12, 12, 15, 15), WHITE)
    mask = owner_mask(canvas.owners, 3) > 0
    assert mask.sum() == 6 * 4 and mask[4:8, 4:10].all()
    assert (canvas.image[mask] == 255).all() and (canvas.owners[mask] == owner_tag(3, 2)).all()
    assert not owner_mask(canvas.owners, 2).any()


def test_lines_are_at_least_a_pixel_wide() -> None:
    canvas = Canvas(np.zeros((20, 20, 3), np.uint8))
    canvas.line(4 + 10j, 15 + 10j, WHITE, 0.1)
    assert (canvas.image[10, 5:15] > 200).all()


@pytest.mark.parametrize(("owner", "part"), [(0, 0), (MAX_OWNERS + 1, 0), (1, MAX_PARTS)])
def test_owners_and_parts_that_do_not_fit_are_refused(owner: int, part: int) -> None:
    with pytest.raises(PafposeError, match=r"lower data\.people"):
        owner_tag(owner, part)
