"""Golden: the targets of real annotations decode back to the people they are of, measured as COCO AP."""

from __future__ import annotations

import json

import decode_scenes as scenes
import numpy as np
import pytest
import torch

from pafpose import geometry
from pafpose.config import load_config, settings
from pafpose.decode import Decoder, DecodeSettings
from pafpose.fields import to_photo
from pafpose.metrics import KeypointAP, people_to_coco
from pafpose.skeleton import Skeleton
from tests.conftest import skeleton_config


def oracle_ap(root, limbs, preset, *, noise=0.0, size=368, **paf):
    """AP of decoding the perfect maps of all val2017 photos that have labelled people."""
    skeleton = Skeleton.from_config(skeleton_config("coco18"), limbs=limbs)
    chosen = settings(DecodeSettings, load_config([f"decode={preset}"]).decode, "decode")
    decoder = Decoder(skeleton, chosen, stride=8, heatmap_sigma=7)
    truth = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    people = {}
    for annotation in truth["annotations"]:
        points = np.array(annotation["keypoints"], float).reshape(17, 3)
        if points[:, 2].any():
            people.setdefault(annotation["image_id"], []).append(points)
    truth["images"] = [image for image in truth["images"] if image["id"] in people]
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in people]
    metric, rng = KeypointAP(), np.random.default_rng(0)
    for image in truth["images"]:
        matrix, (height, width) = geometry.letterbox(image["width"], image["height"], input_size=size)
        padded = geometry.pad_to_multiple(height, 8), geometry.pad_to_multiple(width, 8)
        points = np.zeros((len(people[image["id"]]), 18, 3))
        points[:, :17] = people[image["id"]]
        points[..., :2] = geometry.transform_points(matrix, points[..., :2])
        heat, maps = scenes.fields(skeleton, skeleton.derive(points), padded, **paf)
        heat, maps = (f + torch.from_numpy(rng.normal(0, noise, f.shape)).float() for f in (heat, maps))
        found = to_photo(decoder(heat, maps), matrix)
        metric.update(people_to_coco(found, image["id"], skeleton), image["id"])
    return metric.compute(truth, skeleton)["AP"]


@pytest.mark.parametrize(
    ("limbs", "preset", "paf", "least"),
    [
        ("openpose", "default", {}, 0.77),
        ("openpose", "default", {"caps": "none"}, 0.75),
        ("dense", "coco", {}, 0.92),
        ("openpose", "paper", {}, 0.69),
    ],
)
def test_perfect_maps_reach_the_documented_ap(coco_mini, limbs, preset, paf, least):
    assert oracle_ap(coco_mini, limbs, preset, **paf) >= least


def test_noise_costs_little(coco_mini):
    assert oracle_ap(coco_mini, "openpose", "default", noise=0.02) >= 0.74
