"""What network, loss and decoder hand to each other: nobody, and people moved from input to photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pafpose import geometry as geo
from pafpose.fields import Poses, to_photo


def test_nobody_has_the_shapes_of_somebody() -> None:
    nobody = Poses.nobody(17, "meta")
    assert nobody.keypoints.shape == (0, 17, 3) and nobody.scores.shape == (0,)
    assert {field.device.type for field in nobody} == {"meta"}
    assert {field.device.type for field in Poses.nobody(17)} == {"cpu"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_people_return_to_where_they_stood_in_the_photo(dtype: torch.dtype) -> None:
    """The second keypoint was not found, so it stays 0; the third is found at the picture's very edge."""
    matrix = geo.compose(geo.translation(5, -3), geo.compose(geo.rotation(30), geo.resize(0.5, 2.0)))
    photo = np.array([[120.0, 40.0], [0.0, 0.0], [-0.5, 7.0]])
    confidence = torch.tensor([0.75, 0.0, 0.001], dtype=dtype)[:, None]
    moved = torch.as_tensor(geo.transform_points(matrix, photo), dtype=dtype)
    scores = torch.tensor([3.0])
    found = to_photo(Poses(torch.cat([moved, confidence], 1)[None], scores), matrix)
    expected = torch.cat([torch.as_tensor(photo, dtype=dtype), confidence], 1)[None]
    torch.testing.assert_close(found.keypoints, expected, atol=1e-4, rtol=0)
    assert found.keypoints.dtype == dtype and found.scores is scores
    assert found.keypoints[0, 1].tolist() == [0, 0, 0]


def test_a_matrix_may_be_a_tensor_of_the_batch() -> None:
    people = Poses(torch.tensor([[[7.0, 9.0, 1.0]]]), torch.ones(1))
    matrix = torch.as_tensor(geo.resize(2.0), dtype=torch.float32)
    assert to_photo(people, matrix).keypoints[0, 0].tolist() == [3.25, 4.25, 1.0]


def test_people_stay_on_their_device() -> None:
    """Tensors of the device "meta" have no values, so that a copy to the CPU fails."""
    people = Poses(torch.zeros(2, 5, 3, device="meta"), torch.zeros(2, device="meta"))
    assert to_photo(people, geo.resize(2.0)).keypoints.device.type == "meta"
