"""Frames, settings, and perfect maps decoded through every view: flip and scales cost nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pafpose.decode import Decoder, DecodeSettings
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Poses, to_photo
from pafpose.geometry import letterbox, pad_to_multiple, transform_points
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.views import predict_fields
from pafpose.metrics import KeypointAP, people_to_coco
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

SIZE = (192, 256)

# a standing person, in the order of coco18's keypoints
_X = [0, 6, -6, 13, -13, 26, -26, 40, -40, 44, -44, 16, -16, 19, -19, 21, -21, 0]
_Y = [-80, -86, -86, -82, -82, -58, -58, -25, -25, 8, 8, 10, 10, 48, 48, 86, 86, -58]
STANDING = np.stack([_X, _Y], -1).astype(np.float64)


def ramps(size=SIZE):
    """(1, 3, H, W): every pixel holds its own x, its own y, and 0."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])[None]


def perfect_network(keypoints, skeleton):
    """Finds out from the ramps where the view looks, and draws the targets of that view."""
    settings = {"heatmap": HeatmapSettings(), "paf": PafSettings(), "mask": MaskSettings()}
    builder = TargetBuilder(skeleton, **settings, stride=8)

    def network(images):
        height, width = images.shape[-2:]
        x, y = images[0, 0, height // 4].double().numpy(), images[0, 1, :, width // 2].double().numpy()
        inside = slice(width // 4, width // 2)
        fx, x0 = np.polyfit(x[inside], np.arange(width)[inside], 1)
        fy, y0 = np.polyfit(y[height // 4 : height // 2], np.arange(height)[height // 4 : height // 2], 1)
        moved = keypoints.clone()
        moved[..., 0], moved[..., 1] = moved[..., 0] * fx + x0, moved[..., 1] * fy + y0
        if fx < 0:
            moved = moved[:, :, list(skeleton.flip_keypoints)]
        targets = builder(moved, (height, width))
        return [Fields(targets.heatmaps, targets.pafs)]

    return network


@pytest.mark.parametrize(
    ("flip", "scales"),
    [(False, (1,)), (True, (1,)), (False, (0.5, 1)), (True, (0.5, 0.75, 1)), (True, (1, 1.5))],
)
def test_perfect_maps_decode_the_same_through_every_view(coco18, flip, scales):
    people = np.stack([np.add(STANDING, [75, 95]), np.add(STANDING * 0.95, [180.5, 93.25])])
    keypoints = torch.from_numpy(np.concatenate([people, np.full((2, 18, 1), 2.0)], -1)).float()[None]
    fields = predict_fields(
        perfect_network(keypoints, coco18), ramps(), skeleton=coco18, stride=8, flip=flip, scales=scales
    )
    decoder = Decoder(coco18, DecodeSettings(), stride=8, heatmap_sigma=7.0, background=True)
    found = decoder(fields.heatmaps[0], fields.pafs[0]).keypoints.numpy()
    assert len(found) == 2
    found = found[np.argsort(found[:, 17, 0])]
    assert (found[..., 2] > 0).all()
    assert np.abs(found[..., :2] - people).mean() < (0.6 if scales == (1,) else 1.0)


def real_ap(root, skeleton, *, flip, scales, photos=20):
    """AP of a network without error on real photos, 368 px where the scale is 1."""
    views = EvaluateSettings(input_size=368, flip=flip, scales=scales).at_largest_scale()
    truth = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    people = {}
    for annotation in truth["annotations"]:
        points = np.array(annotation["keypoints"], float).reshape(17, 3)
        if points[:, 2].any():
            people.setdefault(annotation["image_id"], []).append(points)
    chosen = sorted(people)[:photos]
    truth["images"] = [image for image in truth["images"] if image["id"] in chosen]
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in chosen]
    metric, decoder = KeypointAP(), Decoder(skeleton, DecodeSettings(), stride=8, heatmap_sigma=7.0)
    for image in truth["images"]:
        matrix, size = letterbox(image["width"], image["height"], input_size=views.input_size)
        points = np.zeros((len(people[image["id"]]), 18, 3))
        points[:, :17] = people[image["id"]]
        points[..., :2] = transform_points(matrix, points[..., :2])
        keypoints = torch.from_numpy(skeleton.derive(points)).float()[None]
        fields = predict_fields(
            perfect_network(keypoints, skeleton), ramps([pad_to_multiple(n, 8) for n in size]),
            skeleton=skeleton, stride=8, flip=flip, scales=views.scales,
        )  # fmt: skip
        found = to_photo(decoder(fields.heatmaps[0], fields.pafs[0]), matrix)
        metric.update(people_to_coco(found, image["id"], skeleton), image["id"])
    return metric.compute(truth, skeleton)["AP"]


def test_flip_and_scales_cost_a_perfect_network_nothing(coco18, coco_mini):
    """A mirror image one pixel off costs .03 here, half a cell in the smaller scales .05."""
    alone = real_ap(coco_mini, coco18, flip=False, scales=(1,))
    assert alone > 0.7
    assert real_ap(coco_mini, coco18, flip=True, scales=(1,)) == pytest.approx(alone, abs=1e-3)
    assert real_ap(coco_mini, coco18, flip=False, scales=(0.5, 1, 1.5, 2)) > alone - 0.01
    assert real_ap(coco_mini, coco18, flip=True, scales=(0.5, 1, 1.5, 2)) > alone - 0.01


def test_to_photo_undoes_the_letterbox():
    matrix, _ = letterbox(640, 427, input_size=368)
    photo_xy = np.array([[[0.0, 0.0], [639.0, 426.0], [100.25, 300.5]]])
    keypoints = np.concatenate([transform_points(matrix, photo_xy), np.ones((1, 3, 1))], -1)
    keypoints[0, 2, 2] = 0  # not found
    for given in (matrix, torch.from_numpy(matrix)):
        people = to_photo(Poses(torch.from_numpy(keypoints).float(), torch.ones(1)), given)
        assert people.keypoints.dtype == torch.float32
        np.testing.assert_allclose(people.keypoints[0, :2, :2], photo_xy[0, :2], atol=1e-3)
        assert (people.keypoints[0, 2] == 0).all()
    assert to_photo(Poses.nobody(18), matrix).keypoints.shape == (0, 18, 3)


def test_settings_are_checked_and_converted():
    settings = EvaluateSettings(input_size=368.0, scales=[1, 2])
    assert settings.input_size == 368 and settings.scales == (1.0, 2.0)
    assert EvaluateSettings(scales=2).scales == (2.0,)
    for bad in (
        {"input_size": 0},
        {"fit": "width"},
        {"scales": []},
        {"scales": [1, 0]},
        {"scales": [float("nan")]},
    ):
        with pytest.raises(PafposeError, match=f"evaluate.{next(iter(bad))}"):
            EvaluateSettings(**bad)


def test_views_are_told_from_the_largest():
    views = EvaluateSettings(input_size=368, scales=[0.5, 1, 2]).at_largest_scale()
    assert views.input_size == 736 and views.scales == (0.25, 0.5, 1.0)
    assert EvaluateSettings().at_largest_scale() == EvaluateSettings()
