"""All settings combined at random, on random people: kernels == slow reference, batch == one by one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from target_cases import KERNELS, build, check, crowd, expected, random_boxes, toy

from pafpose.fields import Targets
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings

INF = float("inf")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def settings(rng: np.random.Generator) -> dict[str, Any]:
    """Any heatmap, paf and mask settings that change what is drawn."""

    def pick(*options):
        return options[rng.integers(len(options))]

    limits = {"scale_min": pick(0.0, 0.4), "scale_max": pick(1.0, 2.5, INF)}
    return {
        "heatmap": HeatmapSettings(
            sigma=float(rng.uniform(1, 15)),
            scale_ref=float(rng.uniform(10, 200)),
            truncate=float(pick(0, 0.01, 0.3, rng.uniform(0, 0.9))),
            **{key: pick(*values) for key, values in HeatmapSettings.choices.items()},
            **limits,
        ),
        "paf": PafSettings(
            width=float(pick(2, 4, 8, rng.uniform(0.5, 20))),
            limb_ref=float(rng.uniform(5, 60)),
            scale_ref=float(rng.uniform(10, 200)),
            **{key: pick(*values) for key, values in PafSettings.choices.items()},
            **limits,
        ),
        "mask": MaskSettings(unlabelled_keypoints=bool(pick(0, 1)), occluded_keypoints=bool(pick(0, 1))),
        "stride": pick(2, 4, 8),
    }


def one_case(seed: int, skeleton=toy) -> None:
    """Draw one random batch with random settings in every way there is."""
    rng = np.random.default_rng(seed)
    chosen = settings(rng) | {"skeleton": skeleton}
    people = int(rng.choice([0, 1, 2, 3, 5, 8, 30, 200]))
    cells = rng.integers(2, 4 if people > 30 else 7, 2)
    size = int(cells[0]) * chosen["stride"], int(cells[1]) * chosen["stride"]
    batch = int(rng.choice([1, 2, 3])) if people < 30 else 1
    grid = (None, 0.5, 1, 4)[rng.integers(4)]
    points = crowd(rng, people, batch=batch, size=size, skeleton=skeleton, grid=grid)
    if people and rng.random() < 0.3:  # padding
        points[:, rng.integers(people)] = (rng.choice([np.nan, 0, 20, 1e6]), 3, 0)
    dtype = DTYPES[rng.integers(len(DTYPES))]
    keypoints = torch.from_numpy(points).to(dtype)
    boxes = torch.from_numpy(random_boxes(rng, batch, people)).to(dtype) if rng.random() < 0.6 else None
    ignore = torch.from_numpy(rng.random((batch, *size)) < 0.3) if rng.random() < 0.4 else None
    want = expected(
        build(**chosen),
        keypoints.double().numpy(),
        size,
        None if boxes is None else boxes.double().numpy(),
        None if ignore is None else ignore.numpy(),
    )
    for kernel in KERNELS:
        builder, note = build(kernel, **chosen), (seed, kernel, people, dtype, chosen)
        check(builder(keypoints, size, boxes, ignore), want, note)
        for b in range(batch if batch > 1 else 0):
            given = (None if a is None else a[b : b + 1] for a in (boxes, ignore))
            alone = builder(keypoints[b : b + 1], size, *given)
            check(alone, Targets(*(field[b : b + 1] for field in want)), note)


@pytest.mark.parametrize("part", range(4))
def test_any_settings_on_any_people(part):
    for seed in range(40 * part, 40 * part + 40):
        one_case(seed)


@pytest.mark.soak
def test_any_settings_on_any_people_for_minutes(coco18):
    started, seed = time.perf_counter(), 10**6
    while time.perf_counter() - started < 300:
        one_case(seed, coco18 if seed % 8 == 0 else toy)
        seed += 1
