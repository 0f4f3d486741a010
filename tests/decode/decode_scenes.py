"""People to decode: keypoints drawn from a seed, and their targets."""

from __future__ import annotations

import numpy as np
import torch

from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

# a standing figure of height 1 in the order of coco18 without the neck
FIGURE = np.array([
    [0.0, 0.08], [0.03, 0.05], [-0.03, 0.05], [0.07, 0.07], [-0.07, 0.07], [0.13, 0.22], [-0.13, 0.22],
    [0.2, 0.37], [-0.2, 0.37], [0.22, 0.52], [-0.22, 0.52], [0.09, 0.53], [-0.09, 0.53], [0.1, 0.75],
    [-0.1, 0.75], [0.1, 0.97], [-0.1, 0.97],
])  # fmt: skip


def figure(skeleton: Skeleton, x: float, y: float, height: float) -> np.ndarray:
    """One person (18, 3) whose head is near (x, y) px."""
    person = np.zeros((skeleton.num_keypoints, 3))
    person[:17, :2] = FIGURE * height + (x, y)
    person[:17, 2] = 2
    return skeleton.derive(person)


def builder(skeleton: Skeleton, *, stride: int = 8, **paf) -> TargetBuilder:
    """Targets at the defaults."""
    return TargetBuilder(
        skeleton, heatmap=HeatmapSettings(), paf=PafSettings(**paf), mask=MaskSettings(), stride=stride
    )


def fields(skeleton: Skeleton, people, size: tuple[int, int], *, stride: int = 8, **paf):
    """Heatmaps (K+1, h, w) and PAFs (2L, h, w) of people (P, K, 3)."""
    people = np.asarray(people, np.float32).reshape(1, -1, skeleton.num_keypoints, 3)
    made = builder(skeleton, stride=stride, **paf)(torch.from_numpy(people), size)
    return made.heatmaps[0], made.pafs[0]


def random_fields(skeleton: Skeleton, rng: np.random.Generator, size: tuple[int, int]):
    """Maps that look like nothing in particular: blobs, noise and vectors of all lengths; float32."""
    rows, cols = size
    y, x = np.mgrid[:rows, :cols]
    heat = rng.normal(0, 0.05, (skeleton.num_keypoints + 1, rows, cols))
    for plane in heat:
        for _ in range(rng.integers(0, 5)):
            centre, width = rng.uniform(-1, (cols, rows)), rng.uniform(0.6, 1.4)
            d2 = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
            np.maximum(plane, rng.uniform(0.2, 1.0) * np.exp(-d2 / (2 * width**2)), out=plane)
    paf = rng.normal(0, 0.6, (2 * skeleton.num_limbs, 1, 1)) + rng.normal(
        0, 0.3, (2 * skeleton.num_limbs, rows, cols)
    )
    return heat.astype(np.float32), paf.astype(np.float32)
