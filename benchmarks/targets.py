"""Speed of drawing targets: both kernels, through the public call, against plain numpy."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pafpose.geometry import cell_to_px
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

BATCH = 8
CROWDS = 4  # batches of each number of people
REPEATS = 5  # how often a quick candidate runs in one measurement
SIDE = 368  # px


def targets_table(
    skeleton: Skeleton, coco: Path | None = None, *, stride: int = 8, rounds: int = 7
) -> list[dict[str, Any]]:
    """Return milliseconds per photo on one thread, batches of 8 at 368 px; one row per number of people.

    ``coco`` is a folder in COCO's layout, whose photos give the row ``real``; None leaves that row out.
    Columns: ``people``, ``padded`` (P of the batches), ``numpy_ms`` (whole maps, person by person, as in the
    paper), ``numba_ms``, ``torch_ms``, and how many times faster than numpy these two are. All candidates run
    once per round, and medians are reported. The ratios can be trusted; the milliseconds depend on the
    machine.
    """
    rng = np.random.default_rng(0)
    sets = {str(n): [random_people(rng, n, skeleton) for _ in range(CROWDS * BATCH)] for n in (10, 50, 200)}
    if coco is not None:
        sets = {"real": real_people(coco, skeleton), **sets}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(name, photos, skeleton, stride=stride, rounds=rounds) for name, photos in sets.items()]
    finally:
        torch.set_num_threads(threads)


def _row(
    name: str, photos: list[np.ndarray], skeleton: Skeleton, *, stride: int, rounds: int
) -> dict[str, Any]:
    batches = [_pad(photos[i : i + BATCH]) for i in range(0, len(photos), BATCH)]
    builders = {kernel: default_builder(skeleton, stride, kernel) for kernel in ("numba", "torch")}
    few = photos[: 2 * BATCH]
    times = median_ms(
        {
            "numpy": (lambda: [plain_targets(p, skeleton, stride=stride) for p in few], len(few)),
            "numba": (lambda: _draw(builders["numba"], batches * REPEATS), len(photos) * REPEATS),
            "torch": (lambda: _draw(builders["torch"], batches), len(photos)),
        },
        rounds,
    )
    row = {"people": name, "padded": statistics.mean(b.shape[1] for b in batches)}
    row |= {f"{key}_ms": value for key, value in times.items()}
    return row | {f"{key}_x": times["numpy"] / times[key] for key in ("numba", "torch")}


def sizes_table(
    skeleton: Skeleton, *, people: int = 10, stride: int = 4, rounds: int = 7
) -> list[dict[str, Any]]:
    """Return milliseconds per photo of the numba kernel on one thread, for the same people in larger photos.

    Batches of 8. Columns: ``photo`` (px a side), ``cells`` of one channel, ``numba_ms``.
    """
    rng = np.random.default_rng(0)
    batch = _pad([random_people(rng, people, skeleton) for _ in range(BATCH)])
    builder = default_builder(skeleton, stride, "numba")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_size_row(builder, batch, factor * SIDE, rounds=rounds) for factor in (1, 2, 3)]
    finally:
        torch.set_num_threads(threads)


def _size_row(builder: TargetBuilder, batch: torch.Tensor, side: int, *, rounds: int) -> dict[str, Any]:
    times = median_ms({"numba": (lambda: _draw(builder, [batch] * REPEATS, side), REPEATS * BATCH)}, rounds)
    return {"photo": side, "cells": (side // builder.stride) ** 2, "numba_ms": times["numba"]}


def _draw(builder: TargetBuilder, batches: list[torch.Tensor], side: int = SIDE) -> None:
    for batch in batches:
        builder(batch, size=(side, side))


def default_builder(skeleton: Skeleton, stride: int, kernel: str) -> TargetBuilder:
    return TargetBuilder(
        skeleton,
        heatmap=HeatmapSettings(),
        paf=PafSettings(),
        mask=MaskSettings(),
        stride=stride,
        kernel=kernel,
    )


def median_ms(candidates: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds per photo of candidates ``name: (call, number of photos)``.

    Every candidate runs once per round, after one round to warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, (call, photos) in candidates.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3 / photos)
    return {name: statistics.median(values) for name, values in times.items()}


def plain_targets(keypoints: np.ndarray, skeleton: Skeleton, *, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return heatmaps and PAFs with the default settings, drawn in numpy as whole maps, one at a time."""
    cells = cell_to_px(np.arange(SIDE // stride), stride)
    x, y = np.meshgrid(cells, cells)
    heat = np.zeros((skeleton.num_keypoints + 1, *x.shape), np.float32)
    pafs = np.zeros((2 * skeleton.num_limbs, *x.shape), np.float32)
    count = np.zeros((skeleton.num_limbs, *x.shape), np.float32)
    for person in keypoints:
        for k in np.flatnonzero(person[:, 2] > 0):
            value = np.exp(-((x - person[k, 0]) ** 2 + (y - person[k, 1]) ** 2) / (2 * 7**2))
            heat[k] = np.maximum(heat[k], np.where(value >= 0.01, value, 0))
        for limb, (a, b) in enumerate(skeleton.limbs):
            vector = person[b, :2] - person[a, :2]
            length = np.hypot(*vector)
            if min(person[a, 2], person[b, 2]) <= 0 or length == 0:
                continue
            ux, uy = vector / length
            low, high = np.minimum(person[a], person[b]) - 8, np.maximum(person[a], person[b]) + 8
            inside = np.abs(ux * (y - person[a, 1]) - uy * (x - person[a, 0])) <= 8
            inside &= (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
            pafs[2 * limb][inside] += ux
            pafs[2 * limb + 1][inside] += uy
            count[limb] += inside
    heat[-1] = 1 - heat[:-1].max(0)
    return heat, pafs / np.maximum(count, 1).repeat(2, axis=0)


def _pad(photos: list[np.ndarray]) -> torch.Tensor:
    people = max(len(photo) for photo in photos)
    out = torch.zeros(len(photos), people, *photos[0].shape[1:])
    for b, photo in enumerate(photos):
        out[b, : len(photo)] = torch.from_numpy(photo)
    return out


def random_people(rng: np.random.Generator, people: int, skeleton: Skeleton) -> np.ndarray:
    """Return random people all over a picture, smaller if there are more; 3 of 4 keypoints are labelled."""
    tall = min(250.0, 1.6 * SIDE / np.sqrt(people))
    k = np.zeros((people, skeleton.num_keypoints, 3))
    k[..., :2] = rng.uniform(0, SIDE, (people, 1, 2)) + rng.uniform(-0.5, 0.5, k[..., :2].shape) * (
        tall * np.array([0.4, 1.0])
    )
    k[..., 2] = rng.choice([0, 2], k.shape[:2], p=[0.25, 0.75])
    return skeleton.derive(k)


def real_people(coco: Path, skeleton: Skeleton, photos: int = 64) -> list[np.ndarray]:
    """Return the labelled people of the first photos of a COCO folder's val2017, long side 368 px."""
    data = json.loads((Path(coco) / "annotations" / "person_keypoints_val2017.json").read_text())
    scale = {image["id"]: SIDE / max(image["width"], image["height"]) for image in data["images"]}
    names = data["categories"][0]["keypoints"]
    people: dict[int, list[np.ndarray]] = {}
    for annotation in data["annotations"]:
        k = np.reshape(np.asarray(annotation.get("keypoints", []), np.float64), (-1, 3))
        if (k[:, 2] > 0).any():
            k[:, :2] = (k[:, :2] + 0.5) * scale[annotation["image_id"]] - 0.5
            people.setdefault(annotation["image_id"], []).append(k)
    return [skeleton.from_dataset(np.stack(people[i]), names) for i in sorted(people)[:photos]]
