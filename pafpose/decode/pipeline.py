"""The steps of the decoder in one compiled function: peaks, limb candidates, people, missing keypoints.

Calling the steps one by one from Python takes half as long again for a photo of one person.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pafpose.decode.candidates import LineParameters, find_candidates, sample_positions, samples_needed
from pafpose.decode.complete import complete_people
from pafpose.decode.grouping import GroupParameters, group_people
from pafpose.decode.interpolation import Interpolation
from pafpose.decode.matching import Matching
from pafpose.decode.overlap import split_peaks
from pafpose.decode.peaks import PeakParameters, Peaks, Refine, find_peaks, least_support
from pafpose.decode.settings import DecodeSettings
from pafpose.runtime.jit import njit
from pafpose.skeleton import Skeleton


class Parameters(NamedTuple):
    """The settings of all steps, as numba takes them."""

    peaks: PeakParameters
    split_error: float  # of ``split_peaks``; 0: no peaks are split
    lines: LineParameters
    groups: GroupParameters
    complete: float  # lowest heatmap value of a completed keypoint; 0: nobody is completed


def make_parameters(
    skeleton: Skeleton, settings: DecodeSettings, *, stride: int, heatmap_sigma: float
) -> Parameters:
    """Convert settings, with lengths in input pixels, to the parameters of the steps, in cells."""
    scored = np.zeros(skeleton.num_keypoints, np.bool_)
    scored[list(skeleton.scored)] = True
    variance = (heatmap_sigma / stride) ** 2
    return Parameters(
        peaks=PeakParameters(
            threshold=settings.peak_threshold,
            max_peaks=settings.max_peaks,
            refine=int(Refine[settings.refine]),
            support=least_support(settings.min_support, variance),
            variance=variance,
        ),
        split_error=settings.split_error,
        lines=LineParameters(
            positions=sample_positions(settings.samples),
            needed=samples_needed(settings.samples, settings.min_ratio),
            threshold=settings.paf_threshold,
            length_factor=settings.length_factor,
            near=settings.near / stride,
            near_score=settings.near_score,
            interpolation=int(Interpolation[settings.interpolation]),
        ),
        groups=GroupParameters(
            limbs=np.array(skeleton.limbs, np.int64).reshape(-1, 2),
            scored=scored,
            peak_weight=settings.peak_weight,
            matching=int(Matching[settings.matching]),
            min_keypoints=settings.min_keypoints,
            min_sum_per_keypoint=settings.min_sum_per_keypoint,
            min_score=settings.min_score,
            stride=stride,
        ),
        complete=settings.complete,
    )


@njit
def decode_fields(
    heatmaps: np.ndarray, pafs: np.ndarray, parameters: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """Find the people of one picture: keypoints ``(N, K, 3)`` in input pixels, scores ``(N,)``, best first.

    Heatmaps ``(K or K + 1, h, w)`` and pafs ``(2 L, h, w)`` are contiguous float32.
    """
    limbs = parameters.groups.limbs
    peaks = locate_peaks(heatmaps, parameters)
    candidates = find_candidates(pafs, peaks, limbs, parameters.lines)
    people, scores = group_people(peaks, candidates, parameters.groups)
    if parameters.complete > 0.0:
        complete_people(
            people, heatmaps, pafs, limbs, parameters.groups.stride, parameters.complete,
            parameters.lines.interpolation, parameters.peaks,
        )  # fmt: skip
    return people, scores


@njit
def locate_peaks(heatmaps: np.ndarray, parameters: Parameters) -> Peaks:
    """Find the peaks of heatmaps ``(K or K + 1, h, w)``, overlapping ones told apart."""
    heatmaps = heatmaps[: len(parameters.groups.scored)]
    peaks, cells, variance = find_peaks(heatmaps, parameters.peaks)
    if parameters.split_error > 0.0:
        return split_peaks(heatmaps, cells, peaks, variance, parameters.split_error)
    return peaks
