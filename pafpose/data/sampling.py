"""Which samples the photos of an index give: by person or by photo, subsets, and a share of background."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pafpose.data.annotations.index import PoseIndex, count_labelled
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

SAMPLE_BY = ("person", "image")


class SampleGroup(NamedTuple):
    """A range of samples, and how many of them an epoch draws."""

    start: int
    length: int
    per_epoch: int


def list_samples(
    index: PoseIndex, skeleton: Skeleton, *, sample_by: str, min_keypoints: int, min_area: float
) -> np.ndarray:
    """Return (S, 2) rows of photo and person for every sample; by image, the person is -1.

    A person needs ``min_keypoints`` labelled keypoints and an area of ``min_area`` px^2.
    """
    if sample_by not in SAMPLE_BY:
        raise PafposeError(f"data.sample_by={sample_by!r}: choose {' or '.join(SAMPLE_BY)}")
    if sample_by == "image":
        return np.stack([np.arange(len(index)), np.full(len(index), -1)], -1)
    eligible = (
        ~index.crowd
        & (count_labelled(index, skeleton.scored) >= min_keypoints)
        & (index.areas >= min_area)
        & (index.boxes[:, 2:] > 0).all(-1)
    )
    samples: list[tuple[int, int]] = []
    for photo in range(len(index)):
        rows = index.people(photo)
        samples += [(photo, rows.start + m) for m in main_people(index.boxes[rows], eligible[rows])]
    return np.array(samples, np.int64).reshape(-1, 2)


def why_nobody(index: PoseIndex, skeleton: Skeleton, *, min_keypoints: int, min_area: float) -> str:
    """Return why :func:`list_samples` found nobody: how many people each rule leaves out."""
    labelled = count_labelled(index, skeleton.scored)
    rules = (
        (index.crowd, "are crowds (iscrowd=1)"),
        (labelled == 0, "have no labelled keypoint"),
        (
            labelled < min_keypoints,
            f"have fewer than {min_keypoints} labelled keypoints (lower mask.min_keypoints)",
        ),
        (index.areas < min_area, f"are smaller than {min_area:g} px^2 (lower mask.min_area)"),
        ((index.boxes[:, 2:] <= 0).any(-1), "have a box without area (correct bbox)"),
    )
    reasons, left = [], np.ones(len(index.crowd), bool)
    for failed, text in rules:
        if (left & failed).any():
            reasons.append(f"{(left & failed).sum()} {text}")
        left &= ~failed
    reasons += [text for _, text in index.notes.tolist()]
    return f"{len(left)} people in {len(index)} photos: {'; '.join(reasons) or 'the file lists no people'}"


def main_people(boxes: np.ndarray, eligible: np.ndarray) -> list[int]:
    """Return the rows of the main people of one photo, chosen as in the original training code.

    Eligible people are visited in order. One is left out when the centre of the box is closer to that of an
    earlier main person than 0.3 times the larger side of that person's box.
    """
    centres, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(-1, initial=0)
    chosen: list[int] = []
    for m in np.flatnonzero(eligible):
        near = np.linalg.norm(centres[chosen] - centres[m], axis=-1) < 0.3 * sides[chosen]
        if not near.any():
            chosen.append(int(m))
    return chosen


def choose_photos(index: PoseIndex, subset: float | str | Sequence[int], *, seed: int) -> np.ndarray:
    """Return the ascending rows of the photos of ``data.subset``: a random fraction, ids, or a file of ids.

    With one seed, a smaller fraction is contained in every larger one. Raises ``PafposeError``.
    """
    if isinstance(subset, str | Path):
        subset = _read_ids(Path(subset))
    if isinstance(subset, Sequence):
        wanted = np.unique(np.array(subset, np.int64))
        missing = np.setdiff1d(wanted, index.ids)
        if len(missing) or not len(wanted):
            raise PafposeError(
                f"data.subset: {len(missing)} of {len(wanted)} image ids are not in {index.folder}: "
                f"{missing[:5].tolist()}; give ids of the annotation file"
            )
        return np.searchsorted(index.ids, wanted)
    if not 0 < float(subset) <= 1:
        raise PafposeError(
            f"data.subset={subset}: choose a fraction of the photos, above 0 and up to 1, or a list of ids"
        )
    count = max(1, round(float(subset) * len(index)))
    return np.sort(np.random.default_rng([seed, 0x5B5E7]).permutation(len(index))[:count])


def choose_validation(index: PoseIndex, fraction: float, *, seed: int) -> np.ndarray:
    """Return (N,) which photos are for validation: about ``fraction`` of them, drawn by the seed.

    Photos of one video or folder stay together, unless all photos are of one. Groups are drawn while they
    bring the number closer to the fraction, but at least one is.
    """
    if not 0 < fraction < 1:
        raise PafposeError(f"data.val_fraction={fraction}: choose a fraction of the photos between 0 and 1")
    if len(index) < 2:
        raise PafposeError(f"{index.folder}: {len(index)} photo cannot be split into training and validation")
    together = len(np.unique(index.groups)) > 1
    groups = index.groups if together else np.arange(len(index))
    if not together:
        log.info("%s: photos of one folder or video, so validation photos may resemble others", index.folder)
    numbers, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng([seed, 0x5B11]).permutation(len(numbers))
    wanted, count = fraction * len(index), 0
    chosen: list[int] = []
    for n in order.tolist():
        if not chosen or abs(count + sizes[n] - wanted) < abs(count - wanted):
            chosen, count = [*chosen, n], count + int(sizes[n])
    if count > 2 * wanted + 1:  # the first one drawn was large
        chosen = [int(sizes.argmin())]
    found = np.isin(groups, numbers[chosen])
    log.info("%s: %d of %d photos are for validation", index.folder, found.sum(), len(index))
    return found


def _read_ids(path: Path) -> list[int]:
    """Return the image ids in a text file: whole numbers, one a line."""
    try:
        return [int(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise PafposeError(
            f"data.subset={path}: expected a text file of image ids, one a line ({error})"
        ) from error


def with_background(
    index: PoseIndex, samples: np.ndarray, fraction: float | None
) -> tuple[np.ndarray, list[SampleGroup]]:
    """Return samples and their groups such that ``fraction`` of every epoch shows photos without annotations.

    Each of the other samples appears once in an epoch, and background photos as often as the fraction
    requires. None leaves the samples as they are. Raises ``PafposeError`` when there are no background
    photos.
    """
    if fraction is None:
        return samples, [SampleGroup(0, len(samples), len(samples))]
    if not 0 <= fraction < 1:
        raise PafposeError(
            f"data.background_fraction={fraction}: choose a fraction of the samples, from 0 to below 1"
        )
    background = index.without_people()
    samples = samples[~np.isin(samples[:, 0], background)]
    count = round(len(samples) * fraction / (1 - fraction))
    if count and not len(background):
        raise PafposeError(
            f"data.background_fraction={fraction}: every photo in {index.folder} has annotations; list "
            "photos without people in the annotation file too, or set data.background_fraction=null"
        )
    both = np.concatenate([samples, np.stack([background, np.full(len(background), -1)], -1)])
    groups = [SampleGroup(0, len(samples), len(samples)), SampleGroup(len(samples), len(background), count)]
    return both, groups
