"""Skeleton, settings and random people of the tests of targets, and how results are compared."""

from __future__ import annotations

import itertools

import numpy as np
import targets_reference
import torch

from pafpose.fields import Targets
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

KERNELS = ("numba", "torch")
SIZE = (48, 64)

TOY = {
    "name": "toy",
    "keypoints": ["head", "left_hand", "right_hand", "left_foot", "right_foot"],
    "derived": {"middle": ["left_hand", "right_hand"]},
    "pairs": [["left_hand", "right_hand"], ["left_foot", "right_foot"]],
    "sigmas": [0.03, 0.05, 0.05, 0.09, 0.09],
    "default_limbs": "all",
    "limb_sets": {
        "all": [
            ["head", "middle"],
            ["middle", "left_hand"],
            ["middle", "right_hand"],
            ["left_foot", "left_hand"],
            ["right_foot", "right_hand"],
            ["left_foot", "right_foot"],
        ]
    },
}
toy = Skeleton.from_config(TOY)

HEATMAPS = [
    HeatmapSettings(scale_by=scale_by, merge=merge, truncate=truncate, background=background, scale_ref=30)
    for scale_by, merge, truncate, background in itertools.product(
        *(HeatmapSettings.choices[key] for key in ("scale_by", "merge")),
        (0, 0.01, 0.3),
        HeatmapSettings.choices["background"],
    )
]
PAFS = [
    PafSettings(scale_by=scale_by, caps=caps, profile=profile, merge=merge, scale_ref=30, limb_ref=20)
    for scale_by, caps, profile, merge in itertools.product(
        *(PafSettings.choices[key] for key in ("scale_by", "caps", "profile", "merge")),
    )
]


def build(kernel="numba", *, skeleton=toy, heatmap=None, paf=None, mask=None, stride=8) -> TargetBuilder:
    return TargetBuilder(
        skeleton,
        heatmap=heatmap or HeatmapSettings(),
        paf=paf or PafSettings(),
        mask=mask or MaskSettings(),
        stride=stride,
        kernel=kernel,
    )


def crowd(rng, people, *, batch=1, size=SIZE, skeleton=toy, grid=None) -> np.ndarray:
    """Random people, partly outside, partly unlabelled; on multiples of ``grid`` px when given (ties)."""
    k = np.zeros((batch, people, skeleton.num_keypoints, 3))
    k[..., 0] = rng.uniform(-20, size[1] + 20, k.shape[:3])
    k[..., 1] = rng.uniform(-20, size[0] + 20, k.shape[:3])
    if grid:
        k[..., :2] = np.round(k[..., :2] / grid) * grid
    k[..., 2] = rng.choice([0, 1, 2], k.shape[:3], p=[0.2, 0.3, 0.5])
    k[..., 1, :] = np.where(rng.random(k.shape[:2])[..., None] < 0.1, k[..., 3, :], k[..., 1, :])  # length 0
    return skeleton.derive(k)


def random_boxes(rng, batch, people) -> np.ndarray:
    boxes = rng.uniform(5, 50, (batch, people, 4))
    missing = rng.random((batch, people))
    boxes[missing < 0.3] = 0
    boxes[missing > 0.8] = np.nan
    return boxes


def expected(builder, keypoints, size=SIZE, boxes=None, ignore=None) -> Targets:
    pictures = [
        targets_reference.targets(
            keypoints[b],
            size,
            None if boxes is None else boxes[b],
            None if ignore is None else ignore[b],
            skeleton=builder.skeleton,
            heatmap=builder.heatmap,
            paf=builder.paf,
            mask=builder.mask,
            stride=builder.stride,
        )
        for b in range(len(keypoints))
    ]
    return Targets(*(torch.from_numpy(np.stack(field)) for field in zip(*pictures, strict=True)))


def check(got: Targets, want: Targets, note: object = "") -> None:
    for name, a, b in zip(Targets._fields, got, want, strict=True):
        assert a.dtype == torch.float32, name
        error = (a.double() - b.double()).abs()
        assert bool((error <= 1e-5 + 1e-6 * b.double().abs()).all()), (name, note, error.max())


def compare(builder_of, keypoints, size=SIZE, boxes=None, ignore=None, *, note="") -> None:
    """Reference == numba == torch."""
    want = expected(builder_of("numba"), keypoints, size, boxes, ignore)
    arguments = [None if a is None else torch.from_numpy(a) for a in (boxes, ignore)]
    for kernel in KERNELS:
        check(builder_of(kernel)(torch.from_numpy(keypoints), size, *arguments), want, (kernel, note))


def two_people(*positions, skeleton=toy) -> torch.Tensor:
    """People of whom only the head is labelled."""
    keypoints = torch.zeros(1, len(positions), skeleton.num_keypoints, 3)
    for p, (x, y) in enumerate(positions):
        keypoints[0, p, 0] = torch.tensor([x, y, 2.0])
    return keypoints


def one_limb(*segments) -> torch.Tensor:
    """People of whom only left hand -> left foot ends are labelled; limb 3 runs from foot to hand."""
    keypoints = torch.zeros(1, len(segments), toy.num_keypoints, 3, dtype=torch.float64)
    for p, (start, end) in enumerate(segments):
        keypoints[0, p, 3] = torch.tensor([*start, 2.0], dtype=torch.float64)
        keypoints[0, p, 1] = torch.tensor([*end, 2.0], dtype=torch.float64)
    return keypoints
