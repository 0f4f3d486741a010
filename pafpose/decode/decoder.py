"""The decoder: fields of one picture, or of a batch, to people in input pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from pafpose.decode.complete import complete_people
from pafpose.decode.device import find_candidates
from pafpose.decode.grouping import collect_people, group_peaks
from pafpose.decode.limbs import INTERPOLATION, find_links, sample_positions, samples_needed
from pafpose.decode.matching import MATCHING, link_ranks, match_greedy, match_hungarian, rank_links
from pafpose.decode.peaks import REFINE, find_peaks
from pafpose.decode.settings import DecodeSettings
from pafpose.decode.sorting import all_finite
from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.runtime.jit import njit
from pafpose.skeleton import Skeleton

KERNELS = ("auto", "numba", "torch")


class Plan(NamedTuple):
    """Settings and skeleton as the kernels take them; lengths in cells."""

    limbs: np.ndarray  # (L, 2) int64
    scored: np.ndarray  # (K,) bool: not derived
    stride: int
    peak_threshold: float
    refine: int
    variance: float
    max_peaks: int
    split_error: float
    positions: np.ndarray
    needed: int
    paf_threshold: float
    length_factor: float
    near: float
    near_score: float
    cubic: int
    peak_weight: float
    hungarian: int
    min_keypoints: int
    min_score: float
    complete: float


def make_plan(skeleton: Skeleton, settings: DecodeSettings, *, stride: int, heatmap_sigma: float) -> Plan:
    """Names to numbers, pixels to cells."""
    scored = np.zeros(skeleton.num_keypoints, np.bool_)
    scored[list(skeleton.scored)] = True
    return Plan(
        limbs=np.array(skeleton.limbs, np.int64).reshape(-1, 2),
        scored=scored,
        stride=stride,
        peak_threshold=settings.peak_threshold,
        refine=REFINE[settings.refine],
        variance=(heatmap_sigma / stride) ** 2,
        max_peaks=settings.max_peaks,
        split_error=settings.split_error,
        positions=sample_positions(settings.samples),
        needed=samples_needed(settings.samples, settings.min_ratio),
        paf_threshold=settings.paf_threshold,
        length_factor=settings.length_factor,
        near=settings.near / stride,
        near_score=settings.near_score,
        cubic=INTERPOLATION[settings.interpolation],
        peak_weight=settings.peak_weight,
        hungarian=MATCHING[settings.matching],
        min_keypoints=settings.min_keypoints,
        min_score=settings.min_score,
        complete=settings.complete,
    )


@njit
def group_links(
    peaks: np.ndarray, starts: np.ndarray, links: np.ndarray, scores: np.ndarray, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """People from peaks ``(N, 3)`` in cells and limb candidates in any order."""
    kinds = np.empty(peaks.shape[0], np.int64)
    for k in range(plan.scored.size):
        kinds[starts[k] : starts[k + 1]] = k
    ranks = link_ranks(links, scores, peaks, plan.peak_weight)
    order = rank_links(links, ranks, peaks.shape[0])
    if plan.hungarian:
        order = match_hungarian(links, ranks, order, plan.limbs, starts)
    else:
        order = match_greedy(links, order, plan.limbs, starts)
    words = (plan.scored.size + 63) // 64
    groups, sizes, totals = group_peaks(peaks, kinds, links, scores, order, words)
    return collect_people(
        peaks, kinds, groups, sizes, totals, plan.scored, plan.min_keypoints, plan.min_score, plan.stride
    )


@njit
def decode_fields(
    heatmaps: np.ndarray, pafs: np.ndarray, rows: int, cols: int, plan: Plan
) -> tuple[np.ndarray, np.ndarray, bool]:
    """People in the first ``rows`` x ``cols`` cells of contiguous float32 fields; whether all is finite."""
    num_keypoints = plan.scored.size
    if not (all_finite(heatmaps.ravel().view(np.int32)) and all_finite(pafs.ravel().view(np.int32))):
        return np.zeros((0, num_keypoints, 3), np.float32), np.zeros(0, np.float32), False
    peaks, starts = find_peaks(
        heatmaps, num_keypoints, rows, cols, plan.peak_threshold, plan.refine, plan.variance,
        plan.max_peaks, plan.split_error,
    )  # fmt: skip
    links, scores = find_links(
        pafs, rows, cols, plan.limbs, peaks, starts, plan.positions, plan.needed, plan.paf_threshold,
        plan.length_factor, plan.near, plan.near_score, plan.cubic,
    )  # fmt: skip
    people, person_scores = group_links(peaks, starts, links, scores, plan)
    if plan.complete > 0.0:
        complete_people(people, heatmaps, pafs, rows, cols, plan)
    return people, person_scores, True


def _device(field: Tensor | np.ndarray) -> torch.device | None:
    """Where a field is; None is the host's memory."""
    return field.device if isinstance(field, Tensor) and not field.is_cpu else None


def _float32(field: Tensor | np.ndarray) -> np.ndarray:
    """A contiguous float32 array of a field, wherever and however it is stored."""
    if isinstance(field, Tensor):
        if field.dtype is torch.float32 and field.is_cpu and not field.requires_grad:
            return (field if field.is_contiguous() else field.contiguous()).numpy()
        return field.detach().to("cpu", torch.float32).contiguous().numpy()
    return np.require(field, np.float32, ["C", "W"])  # numba would compile once more for read-only arrays


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process, started when first needed."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "pafpose-decode")


if hasattr(os, "register_at_fork"):  # a fork has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _in_threads(job: Callable[[int], Any], count: int) -> list[Any]:
    """``job(0) .. job(count - 1)``, on as many threads as the machine has cores."""
    if min(count, os.cpu_count() or 1) < 2:
        return [job(index) for index in range(count)]
    return list(_pool().map(job, range(count)))


class Decoder:
    """Turns fields into people; made once, used from any thread.

    ``stride`` is the fields', ``heatmap_sigma`` (input px) the Gaussians' they were trained with, and
    ``background`` whether the heatmaps end with a background channel. ``kernel``: ``auto`` takes numba for
    fields in the host's memory and torch elsewhere; ``numba`` and ``torch`` insist. Both mean the same.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        settings: DecodeSettings,
        *,
        stride: int,
        heatmap_sigma: float,
        background: bool = True,
        kernel: str = "auto",
    ) -> None:
        if kernel not in KERNELS:
            raise PafposeError(f"decoder: kernel={kernel}: choose one of {', '.join(KERNELS)}")
        if stride < 1 or not heatmap_sigma > 0:
            raise PafposeError(
                f"decoder: stride={stride}, heatmap_sigma={heatmap_sigma}: both must be above 0; take them "
                "from head.stride and heatmap.sigma"
            )
        self.skeleton, self.settings, self.stride, self.kernel = skeleton, settings, int(stride), kernel
        self.num_heatmaps = skeleton.num_keypoints + int(background)
        self.num_pafs = 2 * skeleton.num_limbs
        self.plan = make_plan(skeleton, settings, stride=self.stride, heatmap_sigma=float(heatmap_sigma))

    def __call__(self, heatmaps: Tensor | np.ndarray, pafs: Tensor | np.ndarray) -> People:
        """People of one picture: heatmaps ``(K+1, h, w)``, pafs ``(2L, h, w)``, any float type and device.

        Keypoints come in input pixels, on the device of the heatmaps, best person first; nobody gives
        shapes ``(0, K, 3)`` and ``(0,)``. Raises ``PafposeError`` for other shapes, NaN and infinity.
        """
        self._check(heatmaps, pafs, dimensions=3)
        device = _device(heatmaps)
        if self._in_torch(device):
            return self._decode_there(heatmaps[None], pafs[None], [tuple(heatmaps.shape[-2:])])[0]
        return self._people(_float32(heatmaps), _float32(pafs), None, device)

    def decode_batch(
        self,
        heatmaps: Tensor | np.ndarray,
        pafs: Tensor | np.ndarray,
        valid: Tensor | np.ndarray | None = None,
    ) -> list[People]:
        """People of every picture of a batch ``(B, K+1, h, w)``, ``(B, 2L, h, w)``, over threads.

        ``valid`` ``(B, 2)`` = height and width in input pixels of each picture's part of the input: only
        the first ``ceil(valid / stride)`` cells are decoded.
        """
        self._check(heatmaps, pafs, dimensions=4)
        device = _device(heatmaps)
        sizes = self._valid_cells(valid, len(heatmaps), tuple(heatmaps.shape[-2:]))
        if self._in_torch(device):
            return self._decode_there(heatmaps, pafs, sizes)
        heat, paf = _float32(heatmaps), _float32(pafs)
        return _in_threads(lambda i: self._people(heat[i], paf[i], sizes[i], device), len(heat))

    def warm_up(self) -> None:
        """Compile the kernels, or load them from numba's cache, so that the first photo does not wait."""
        self(np.zeros((self.num_heatmaps, 4, 4), np.float32), np.zeros((self.num_pafs, 4, 4), np.float32))

    def _in_torch(self, device: torch.device | None) -> bool:
        return self.kernel == "torch" or (self.kernel == "auto" and device is not None)

    def _decode_there(
        self, heatmaps: Tensor | np.ndarray, pafs: Tensor | np.ndarray, sizes: list[tuple[int, int]]
    ) -> list[People]:
        """Peaks and limbs where the fields are, grouping here."""
        heat, paf = (torch.as_tensor(field).detach().float() for field in (heatmaps, pafs))
        found = find_candidates(heat, paf, sizes, self.plan)
        if found is None:
            _refuse_values(_float32(heat), _float32(paf))
        people = _in_threads(lambda i: group_links(*found[i], self.plan), len(found))
        if self.plan.complete > 0:  # step by step along few lines: nothing for a GPU
            here = _float32(heat), _float32(paf)
            _in_threads(
                lambda i: complete_people(people[i][0], here[0][i], here[1][i], *sizes[i], self.plan),
                len(found),
            )
        device = heat.device
        return [People(torch.from_numpy(k).to(device), torch.from_numpy(s).to(device)) for k, s in people]

    def _people(
        self,
        heatmaps: np.ndarray,
        pafs: np.ndarray,
        size: tuple[int, int] | None,
        device: torch.device | None,
    ) -> People:
        _, rows, cols = heatmaps.shape
        if size is not None:
            rows, cols = size
        people, scores, finite = decode_fields(heatmaps, pafs, rows, cols, self.plan)
        if not finite:
            _refuse_values(heatmaps, pafs)
        found = People(torch.from_numpy(people), torch.from_numpy(scores))
        return found if device is None else People(found.keypoints.to(device), found.scores.to(device))

    def _check(self, heatmaps: Tensor | np.ndarray, pafs: Tensor | np.ndarray, *, dimensions: int) -> None:
        heat = tuple(heatmaps.shape)
        fits = len(heat) == dimensions and heat[-3] == self.num_heatmaps and 0 not in heat[-2:]
        if fits and tuple(pafs.shape) == (*heat[:-3], self.num_pafs, *heat[-2:]):
            return
        for name, field, channels in (
            ("heatmaps", heatmaps, self.num_heatmaps),
            ("pafs", pafs, self.num_pafs),
        ):
            if len(field.shape) != dimensions or field.shape[-3] != channels:
                batch = "B, " if dimensions == 4 else ""
                raise PafposeError(
                    f"decoder: {name} of shape {tuple(field.shape)}, expected ({batch}{channels}, h, w): "
                    f"skeleton {self.skeleton.name} has {self.skeleton.num_keypoints} keypoints and "
                    f"{self.skeleton.num_limbs} limbs (paf.limbs={self.skeleton.limb_set}); decode with the "
                    "skeleton, paf.limbs and heatmap.background that the network was trained with"
                )
        same = heatmaps.shape[-2:] == pafs.shape[-2:] and heatmaps.shape[:-3] == pafs.shape[:-3]
        if not same or 0 in heatmaps.shape[-2:]:
            raise PafposeError(
                f"decoder: heatmaps {tuple(heatmaps.shape)} and pafs {tuple(pafs.shape)} must share batch, "
                "height and width, and have at least one cell"
            )

    def _valid_cells(
        self, valid: Tensor | np.ndarray | None, count: int, size: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """Rows and columns to decode of every picture."""
        if valid is None:
            return [size] * count
        pixels = np.asarray(valid.cpu() if isinstance(valid, Tensor) else valid)
        if pixels.shape != (count, 2) or not (pixels > 0).all():
            raise PafposeError(
                f"decoder: valid must be ({count}, 2) = height and width in input pixels above 0, got "
                f"{pixels.tolist()}"
            )
        cells = np.ceil(pixels / self.stride).astype(int)
        return [(min(int(r), size[0]), min(int(c), size[1])) for r, c in cells]


def _refuse_values(heatmaps: np.ndarray, pafs: np.ndarray) -> NoReturn:
    """Say which field holds NaN or infinity."""
    names = [name for name, field in (("heatmaps", heatmaps), ("pafs", pafs)) if not np.isfinite(field).all()]
    raise PafposeError(
        f"decoder: NaN or infinity in {' and '.join(names)}: the network has diverged or its input was bad; "
        "lower optimizer.lr, or train with precision=32-true"
    )
