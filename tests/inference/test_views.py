"""Perfect maps: mirror images and other sizes must cost nothing.

The picture itself carries its coordinates (two ramps), so the fake network knows, in whatever view it
gets, which point of the original each of its cells looks at, and draws the truth there.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.views import mirror_fields, predict_fields

STRIDE = 8
SIZE = (160, 240)


def ramps(size=SIZE):
    """(1, 3, H, W): every pixel holds its own x, its own y, and 0."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])[None]


def make_person(skeleton, rng):
    keypoints = np.zeros((skeleton.num_keypoints, 2), np.float32)
    keypoints[:] = rng.uniform([60, 40], [180, 120], keypoints.shape)
    return torch.from_numpy(keypoints)


def paint(x, y, person, skeleton, *, mirrored):
    """Analytic fields at points (h, w) of the original; names and signs as seen in a mirrored view."""
    if mirrored:
        person = person[list(skeleton.flip_keypoints)]
    d2 = (x - person[:, 0, None, None]) ** 2 + (y - person[:, 1, None, None]) ** 2
    heat = torch.exp(-d2 / (2 * 16.0**2))
    pafs = []
    for a, b in skeleton.limbs:
        along = nnf.normalize(person[b] - person[a], dim=0)
        middle = (person[a] + person[b]) / 2
        weight = torch.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * 20.0**2))
        pafs += [weight * along[0] * (-1 if mirrored else 1), weight * along[1]]
    return torch.cat([heat, 1 - heat.max(0, keepdim=True).values]), torch.stack(pafs)


def fake_network(person, skeleton):
    """Cells average their stride x stride pixels, which is the coordinate of their centre."""

    def network(images):
        where = nnf.avg_pool2d(images.float(), STRIDE)
        mirrored = bool(where[0, 0, 0, 0] > where[0, 0, 0, where.shape[-1] // 2])
        heatmaps, pafs = paint(where[0, 0], where[0, 1], person, skeleton, mirrored=mirrored)
        return [Fields(None, pafs[None]), Fields(heatmaps[None], pafs[None])]

    return network


def truth(person, skeleton):
    where = nnf.avg_pool2d(ramps(), STRIDE)[0]
    return paint(where[0], where[1], person, skeleton, mirrored=False)


def worst(fields, expected):
    """Largest error of keypoint and limb channels away from the border, where views hold padding.

    The background's creases between keypoints cannot be read between cells, so it is left out.
    """
    found, true = fields.heatmaps[0, :-1], expected[0][:-1]
    heat = (found - true)[..., 2:-2, 2:-2].abs().max()
    return max(heat, (fields.pafs[0] - expected[1])[..., 2:-2, 2:-2].abs().max())


def test_flip_is_exact(coco18, rng):
    person = make_person(coco18, rng)
    network, expected = fake_network(person, coco18), truth(person, coco18)
    plain = predict_fields(network, ramps(), skeleton=coco18, stride=STRIDE)
    flipped = predict_fields(network, ramps(), skeleton=coco18, stride=STRIDE, flip=True)
    assert worst(plain, expected) == 0
    assert worst(flipped, expected) < 2e-6


@pytest.mark.parametrize("scale", [0.5, 0.73, 1.37, 2.0])
@pytest.mark.parametrize("flip", [False, True])
def test_scales_are_half_pixel_exact(coco18, rng, scale, flip):
    person = make_person(coco18, rng)
    network, expected = fake_network(person, coco18), truth(person, coco18)
    fields = predict_fields(network, ramps(), skeleton=coco18, stride=STRIDE, flip=flip, scales=(scale,))
    assert fields.heatmaps.shape[-2:] == (20, 30)
    assert worst(fields, expected) < 0.03  # what reading between cells costs; a shift of half a cell: 0.15


def test_a_shift_of_half_a_cell_would_show(coco18, rng):
    person = make_person(coco18, rng)
    expected = truth(person, coco18)
    shifted = truth(person + STRIDE / 2, coco18)
    assert worst(Fields(shifted[0][None], shifted[1][None]), expected) > 0.15


def test_average_over_everything(coco18, rng):
    person = make_person(coco18, rng)
    network, expected = fake_network(person, coco18), truth(person, coco18)
    fields = predict_fields(
        network, ramps(), skeleton=coco18, stride=STRIDE, flip=True, scales=(0.5, 1, 1.5, 2)
    )
    assert worst(fields, expected) < 0.015


def test_mirroring_twice_gives_the_fields_back(coco18, rng):
    fields = Fields(torch.rand(2, 19, 6, 9), torch.rand(2, 38, 6, 9))
    twice = mirror_fields(mirror_fields(fields, coco18), coco18)
    assert torch.equal(twice.heatmaps, fields.heatmaps) and torch.equal(twice.pafs, fields.pafs)
    without_background = Fields(fields.heatmaps[:, :18], fields.pafs)
    assert mirror_fields(without_background, coco18).heatmaps.shape[1] == 18


def test_half_precision_comes_back_as_float32(coco18):
    def network(images):
        size = (1, 1, images.shape[-2] // 8, images.shape[-1] // 8)
        return [
            Fields(
                torch.rand(size).half().expand(1, 19, -1, -1), torch.rand(size).half().expand(1, 38, -1, -1)
            )
        ]

    fields = predict_fields(
        network, torch.zeros(1, 3, 64, 72, dtype=torch.uint8), skeleton=coco18, stride=8, scales=(1, 0.5)
    )
    assert fields.heatmaps.dtype == fields.pafs.dtype == torch.float32
    with pytest.raises(PafposeError, match="multiple"):
        predict_fields(network, torch.zeros(1, 3, 60, 72), skeleton=coco18, stride=8)


@pytest.mark.parametrize(
    ("precision", "inside"),
    [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float32)],
)
def test_the_network_alone_runs_in_the_precision_of_training(coco18, precision, inside):
    seen = []

    def network(images):
        product = nnf.conv2d(images.float(), torch.ones(57, 3, 8, 8) / 192 / 255, stride=8)
        seen.append(product.dtype)
        return [Fields(product[:, :19], product[:, 19:])]

    fields = predict_fields(
        network, ramps(), skeleton=coco18, stride=STRIDE, flip=True, scales=(0.5, 1), precision=precision
    )
    assert set(seen) == {inside}
    assert fields.heatmaps.dtype == fields.pafs.dtype == torch.float32
    exact = predict_fields(network, ramps(), skeleton=coco18, stride=STRIDE, flip=True, scales=(0.5, 1))
    torch.testing.assert_close(fields.heatmaps, exact.heatmaps, atol=0.01, rtol=0)
