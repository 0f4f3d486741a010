"""Time and AP of the decoder on one thread, against a plain numpy decoder: perfect maps with noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.decode_crowds import DETECTIONS, _truth
from benchmarks.targets import REPEATS, SIDE, default_builder, median_ms, real_people
from pafpose.decode import Decoder, DecodeSettings
from pafpose.decode.candidates import find_candidates
from pafpose.decode.decoder import within_limit
from pafpose.decode.grouping import group_people
from pafpose.decode.pipeline import locate_peaks
from pafpose.fields import Poses
from pafpose.geometry import cell_to_px
from pafpose.metrics.coco_ap import coco_ap, people_to_coco
from pafpose.skeleton import Skeleton

NOISE = 0.02
GROWTH = (1, 2, 5, 10, 20, 50, 100, 200)  # people of ``growth_table``
PHOTOS = 6  # per row; real photos: as many as given
# a standing figure of height 1: x to its left and y downwards from the top of its head
FIGURE = {
    "nose": (0, 0.08), "eye": (0.03, 0.05), "ear": (0.07, 0.07), "shoulder": (0.13, 0.22),
    "elbow": (0.2, 0.37), "wrist": (0.22, 0.52), "hip": (0.09, 0.53),
    "knee": (0.1, 0.75), "ankle": (0.1, 0.97),
}  # fmt: skip


def decode_table(
    skeleton: Skeleton,
    coco: Path | None = None,
    *,
    settings: DecodeSettings | None = None,
    stride: int = 8,
    rounds: int = 5,
) -> list[dict[str, Any]]:
    """Time photos of 368 px on one thread: rows for real photos and for 10, 50 and 100 people.

    ``coco`` is a folder in COCO's layout, whose photos give the row ``real``; without it that row is left
    out. Columns: ``people``, ``found`` (people per photo), ``AP`` and ``numpy_AP`` of the people drawn, of
    any size, with 100 detections; ``decode_ms`` and ``numpy_ms`` per photo, and ``x``, their ratio.
    Both decoders run in every round and the median counts. A pass over the photos is too short to time, so
    the decoder makes five. Milliseconds vary with the machine and its load; the ratio hardly does.
    """
    rng = np.random.default_rng(0)
    sets = {str(n): [_crowd(rng, n, skeleton) for _ in range(PHOTOS)] for n in (10, 50, 100)}
    if coco is not None:
        sets = {"real": real_people(coco, skeleton), **sets}
    decoder = Decoder(skeleton, settings or DecodeSettings(), stride=stride, heatmap_sigma=7)
    decoder.warm_up()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(name, people, decoder, rounds=rounds, rng=rng) for name, people in sets.items()]
    finally:
        torch.set_num_threads(threads)


def growth_table(
    skeleton: Skeleton, *, settings: DecodeSettings | None = None, stride: int = 8, rounds: int = 5
) -> list[dict[str, Any]]:
    """Time each step on one thread: for 1 to 200 people, and for the same people on larger maps.

    Columns: ``map`` (cells per side), ``people``, ``found``, ``peaks``, ``limbs`` (accepted candidates); then
    ``read_ms`` (the check of all values), ``peaks_ms``, ``limbs_ms`` and ``people_ms``. The first
    grows with the cells, the second with cells and people, the others with people alone.
    """
    rng = np.random.default_rng(0)
    decoder = Decoder(skeleton, settings or DecodeSettings(), stride=stride, heatmap_sigma=7)
    decoder.warm_up()
    cases = [(SIDE, people) for people in GROWTH] + [(m * SIDE, n) for m in (2, 4) for n in (10, 50, 100)]
    rows = []
    for side, people in cases:
        crowd = _crowd(rng, people, skeleton, side)
        heat, paf = (f.numpy() for f in _fields(crowd, skeleton, stride=stride, rng=rng, side=side))
        rows.append({"map": side // stride, "people": people} | _steps(heat, paf, decoder, rounds=rounds))
    return rows


def _steps(heat: np.ndarray, paf: np.ndarray, decoder: Decoder, *, rounds: int) -> dict[str, Any]:
    """Time the steps of one photo."""
    parameters = decoder.parameters
    limbs, lines, groups = parameters.groups.limbs, parameters.lines, parameters.groups
    peaks = locate_peaks(heat, parameters)
    candidates = find_candidates(paf, peaks, limbs, lines)
    steps: dict[str, Callable[[], Any]] = {
        "read": lambda: within_limit(heat) and within_limit(paf),
        "peaks": lambda: locate_peaks(heat, parameters),
        "limbs": lambda: find_candidates(paf, peaks, limbs, lines),
        "people": lambda: group_people(peaks, candidates, groups),
    }
    repeats: dict[str, tuple[Callable[[], Any], int]] = {
        name: (partial(_repeat, call), REPEATS) for name, call in steps.items()
    }
    counts = {
        "found": len(group_people(peaks, candidates, groups)[1]),
        "peaks": len(peaks.points),
        "limbs": len(candidates.scores),
    }
    return counts | {f"{name}_ms": value for name, value in median_ms(repeats, rounds).items()}


def _repeat(call: Callable[[], Any]) -> None:
    for _ in range(REPEATS):
        call()


def _row(
    name: str, photos: list[np.ndarray], decoder: Decoder, *, rounds: int, rng: np.random.Generator
) -> dict[str, Any]:
    skeleton, stride = decoder.skeleton, decoder.stride
    fields = [_fields(people, skeleton, stride=stride, rng=rng) for people in photos]
    few = fields[: 3 if name == "real" else 1]
    times = median_ms(
        {
            "numpy": (lambda: [plain_decode(h, p, skeleton, stride=stride) for h, p in few], len(few)),
            "decode": (lambda: [decoder(h, p) for h, p in fields * REPEATS], len(fields) * REPEATS),
        },
        rounds,
    )
    found = [decoder(h, p) for h, p in fields]
    plain = [_people(plain_decode(h, p, skeleton, stride=stride), skeleton) for h, p in fields]
    row = {"people": name, "found": sum(len(one.scores) for one in found) / len(found)}
    row |= {"AP": _ap(found, photos, skeleton), "numpy_AP": _ap(plain, photos, skeleton)}
    row |= {f"{key}_ms": times[key] for key in ("decode", "numpy")}
    return row | {"x": times["numpy"] / times["decode"]}


def _ap(found: list[Poses], photos: list[np.ndarray], skeleton: Skeleton) -> float:
    """Return the AP of the people found in photos against those drawn."""
    detections = [d for n, people in enumerate(found) for d in people_to_coco(people, n, skeleton)]
    truth = _truth(photos, skeleton, SIDE)
    return coco_ap(detections, truth, skeleton, max_detections=DETECTIONS, areas=("all",))["AP"]


def _people(plain: list[tuple[float, dict[int, np.ndarray]]], skeleton: Skeleton) -> Poses:
    """Convert the result of ``plain_decode`` to the form of the decoder's."""
    keypoints = np.zeros((len(plain), skeleton.num_keypoints, 3), np.float32)
    for person, (_, points) in zip(keypoints, plain, strict=True):
        for k, xy in points.items():
            person[k] = *xy, 1
    return Poses(torch.from_numpy(keypoints), torch.tensor([score for score, _ in plain]))


def _fields(
    people: np.ndarray, skeleton: Skeleton, *, stride: int, rng: np.random.Generator, side: int = SIDE
) -> tuple[torch.Tensor, torch.Tensor]:
    keypoints = torch.from_numpy(people[None].astype(np.float32))
    made = default_builder(skeleton, stride, "numba")(keypoints, size=(side, side))
    heat, paf = (f[0] + torch.from_numpy(rng.normal(0, NOISE, f.shape[1:])).float() for f in made[:2])
    return heat, paf


def _crowd(rng: np.random.Generator, people: int, skeleton: Skeleton, side: int = SIDE) -> np.ndarray:
    """Place standing people far from each other ``(P, K, 3)``: the more, the smaller."""
    tall = min(250.0 * side / SIDE, 1.6 * side / np.sqrt(people))
    out = np.zeros((people, skeleton.num_keypoints, 3))
    feet: list[np.ndarray] = []
    for person in out:
        options = rng.uniform((0.2 * tall, 0), (side - 0.2 * tall, side - tall), (12, 2))
        distances = [min((np.hypot(*(o - f)) for f in feet), default=0.0) for o in options]
        feet.append(options[int(np.argmax(distances))])
        for k, name in enumerate(skeleton.keypoints):
            hand, _, part = name.rpartition("_")
            if part in FIGURE:
                x, y = FIGURE[part]
                person[k] = feet[-1][0] + (-x if hand == "right" else x) * tall, feet[-1][1] + y * tall, 2
        person[:, :2] += rng.normal(0, 0.01 * tall, person[:, :2].shape)
    return skeleton.derive(out)


def plain_decode(
    heatmaps: torch.Tensor, pafs: torch.Tensor, skeleton: Skeleton, *, stride: int
) -> list[tuple[float, dict[int, np.ndarray]]]:
    """Decode as the paper says, in numpy with the default constants.

    Returns each person's score, and the position (x, y) in input pixels of each of its keypoints.
    """
    heat, paf = heatmaps.numpy(), pafs.numpy()
    kinds, points, heights = _plain_peaks(heat[: skeleton.num_keypoints])
    groups: dict[int, list[int]] = {n: [n] for n in range(len(kinds))}
    home, totals = list(range(len(kinds))), list(heights)
    for limb, (first, second) in enumerate(skeleton.limbs):
        ends = np.flatnonzero(kinds == first), np.flatnonzero(kinds == second)
        for a, b, score in _plain_limbs(points, paf[2 * limb : 2 * limb + 2], *ends):
            p, q = sorted((home[a], home[b]))
            if p != q:
                if {kinds[n] for n in groups[p]} & {kinds[n] for n in groups[q]}:
                    continue
                for n in groups[q]:
                    home[n] = p
                groups[p] += groups.pop(q)
                totals[p] += totals[q]
            totals[p] += score
    people = [(float(totals[n]), m) for n, m in groups.items() if len(m) >= 3 and totals[n] >= 0.2 * len(m)]
    places = cell_to_px(points, stride)
    return [(score, {int(kinds[n]): places[n] for n in members}) for score, members in people]


def _plain_peaks(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return type, (x, y) in cells and height of 3x3 maxima, placed by parabolas through logarithms."""
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=1e-4)
    height, width = heat.shape[1:]
    around = [padded[:, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    kinds, rows, cols = np.nonzero((heat > 0.1) & (heat >= np.max(around, axis=0)))

    def log(dy: int, dx: int) -> np.ndarray:
        return np.log(np.maximum(padded[kinds, rows + 1 + dy, cols + 1 + dx], 1e-4))

    def offset(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return 0.5 * (before - after) / np.minimum(before - 2 * log(0, 0) + after, -1e-6)

    points = np.stack([cols + offset(log(0, -1), log(0, 1)), rows + offset(log(-1, 0), log(1, 0))], 1)
    return kinds, points, heat[kinds, rows, cols]


def _plain_limbs(
    points: np.ndarray, field: np.ndarray, firsts: np.ndarray, seconds: np.ndarray
) -> list[tuple[int, int, float]]:
    """Return the accepted pairs of one limb, best first, no peak twice."""
    height, width = field.shape[1:]
    lines = points[seconds][None] - points[firsts][:, None]
    length = np.maximum(np.linalg.norm(lines, axis=-1), 1e-6)
    spots = points[firsts][:, None, None] + lines[:, :, None] * np.linspace(0, 1, 10)[:, None]
    spots = np.clip(spots, 0, [width - 1.001, height - 1.001])
    cell = spots.astype(int)
    part = spots - cell
    value = np.zeros((2, *part.shape[:3]))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - dx - part[..., 0]) * np.abs(1 - dy - part[..., 1])
        value += weight * field[:, cell[..., 1] + dy, cell[..., 0] + dx]
    along = (value * (lines / length[..., None]).transpose(2, 0, 1)[..., None]).sum(0)
    score = along.mean(-1) + np.minimum(0.5 * height / length - 1, 0)
    good = ((along > 0.05).sum(-1) > 8) & (score > 0)
    chosen: list[tuple[int, int, float]] = []
    for n in np.argsort(-np.where(good, score, 0), axis=None)[: int(good.sum())]:
        a, b = int(firsts[n // len(seconds)]), int(seconds[n % len(seconds)])
        if all(a != other[0] and b != other[1] for other in chosen):
            chosen.append((a, b, float(score.flat[n])))
    return chosen
