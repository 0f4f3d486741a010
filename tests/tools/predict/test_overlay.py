"""What is drawn lies where it was found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose.fields import Fields
from pafpose.inference.people import People
from pafpose.inference.predictor import Found, Frame
from pafpose.skeleton import Skeleton
from pafpose.tools.predict.overlay import OverlaySettings, draw_overlay


@pytest.mark.parametrize(
    ("size", "covered"), [((64, 64), (1.5, 1.0)), ((96, 32), (1.0, 2.0)), ((192, 128), (1, 1))]
)
def test_fields_lie_on_the_photos_part_of_the_input(
    coco18: Skeleton, size: tuple[int, int], covered: tuple[float, float]
) -> None:
    """12 x 8 cells cover 96 x 64 pixels of the input, of which the photo has a part, maybe enlarged."""
    heatmaps, pafs = torch.zeros(19, 12, 8), torch.zeros(2 * coco18.num_limbs, 12, 8)
    heatmaps[3, 4, 2] = 1
    nobody = People(torch.zeros(0, 18, 3), torch.zeros(0), coco18)
    found = Found(Frame(np.zeros((*size, 3), np.uint8)), nobody, Fields(heatmaps, pafs), covered)
    drawn = draw_overlay(found, coco18, OverlaySettings(draw="both")).astype(float).sum(-1)
    assert drawn.shape == size
    rows, columns = np.indices(size)
    cell = size[0] * covered[0] / 12
    centre = (rows * drawn).sum() / drawn.sum(), (columns * drawn).sum() / drawn.sum()
    np.testing.assert_allclose(centre, (4.5 * cell - 0.5, 2.5 * cell - 0.5), atol=0.1)


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"draw": "x"}, "draw=x: choose one of skeleton"), ({"drawn_score": -1}, "drawn_score=-1")],
)
def test_settings_name_their_choices(bad: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OverlaySettings(**bad)
