"""How people go wrong, keypoint by keypoint, and what each kind of error costs in AP.

After Ronchi and Perona 2017, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation". A found
keypoint is compared by its similarity ``exp(-d^2 / (2 area k^2))``, k = 2 sigma, COCO's own term, with

- its true place: *good* from 0.85, *jitter* from 0.5; else, of these, the one that it is nearest to,
- the place of its mirror partner on the same person, from 0.5: *inversion*,
- the places of the same keypoint and its partner on other people, from 0.5: *swap*;
- *missed* otherwise, or when it was not found at all.

People are matched as COCO does, best score first, from an OKS of 0.1, but blind to left and right: a person
seen the wrong way round is one with inverted keypoints. Those that match nobody are *background*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pafpose.metrics.coco_ap import MAX_DETS, Detection, coco_ap, scored_annotations
from pafpose.skeleton import Skeleton

KINDS = ("good", "jitter", "inversion", "swap", "missed")
GOOD, JITTER, INVERSION, SWAP, MISSED = range(len(KINDS))
GAINS = (*KINDS[1:], "background", "unseen", "ranking")  # what can be put right
GOOD_FROM, NEAR_FROM, MATCH_FROM = 0.85, 0.5, 0.1
_EPSILON = np.spacing(1)  # COCO's, keeps areas of 0 harmless


@dataclass(frozen=True)
class ErrorReport:
    """Counts of keypoints and people, and AP gained when one kind of error alone is put right."""

    keypoints: tuple[str, ...]  # scored ones
    counts: np.ndarray  # (K, 5) labelled keypoints of matched people, by kind
    people: int  # annotated, with labelled keypoints
    unseen: int  # of them, matched by nobody
    background: int  # found people that match nobody
    ap: float
    gains: dict[str, float]  # by GAINS

    def metrics(self) -> dict[str, float]:
        """Flat numbers for metrics.json; shares are of the labelled keypoints of matched people."""
        flat = {
            f"errors_{kind}": share for kind, share in zip(KINDS, _shares(self.counts.sum(0)), strict=True)
        }
        flat |= {
            f"errors_{kind}_{name}": share
            for name, row in zip(self.keypoints, self.counts, strict=True)
            for kind, share in zip(KINDS, _shares(row), strict=True)
        }
        flat |= {"errors_background": float(self.background), "errors_unseen": float(self.unseen)}
        return flat | {f"gain_{name}": gain for name, gain in self.gains.items()}


class _Truth(NamedTuple):
    """The annotated people of one photo."""

    ids: list[int]  # places in the list of annotations
    points: np.ndarray  # (G, K, 3)
    areas: np.ndarray  # (G,)
    ignored: np.ndarray  # (N, 4) boxes of crowds and of people without keypoints


class _Match(NamedTuple):
    """One found person and what it is of."""

    detection: int
    annotation: int
    kinds: np.ndarray  # (K,), -1 where the keypoint is not labelled
    oks: float


def error_report(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
) -> ErrorReport:
    """Classify the best 20 people of every photo; both arguments as for ``coco_ap``.

    Putting an error right moves the keypoints to their true places, drops background people, leaves unseen
    ones out of the ground truth, or ranks people by their true OKS, everything else as it was.
    """
    annotations = scored_annotations(ground_truth, skeleton)
    by_photo: dict[int, list[int]] = {image["id"]: [] for image in ground_truth["images"]}
    for n, detection in enumerate(detections):
        by_photo[detection["image_id"]].append(n)
    truths = _truths(annotations, by_photo)
    matches: list[_Match] = []
    background: set[int] = set()
    for photo, found in by_photo.items():
        best = sorted(found, key=lambda n: -detections[n]["score"])[:MAX_DETS]
        own, lost = _match_photo(best, detections, truths[photo], skeleton)
        matches += own
        background |= lost
    seen = {match.annotation for match in matches}
    people = {n for truth in truths.values() for n in truth.ids}
    ap = coco_ap(detections, ground_truth, skeleton, areas=("all",))["AP"]
    gains = {}
    for name in GAINS:
        repaired, truth = detections, ground_truth
        if name == "unseen":
            kept = [a for n, a in enumerate(ground_truth["annotations"]) if n not in people - seen]
            truth = dict(ground_truth) | {"annotations": kept}
        else:
            repaired = _repair(name, detections, annotations, matches, background)
        gains[name] = coco_ap(repaired, truth, skeleton, areas=("all",))["AP"] - ap
    return ErrorReport(
        keypoints=tuple(skeleton.keypoints[k] for k in skeleton.scored),
        counts=_count(matches, len(skeleton.scored)),
        people=len(people),
        unseen=len(people - seen),
        background=len(background),
        ap=ap,
        gains=gains,
    )


def _shares(counts: np.ndarray) -> list[float]:
    return (counts / max(counts.sum(), 1)).tolist()


def _count(matches: Sequence[_Match], num_keypoints: int) -> np.ndarray:
    counts = np.zeros((num_keypoints, len(KINDS)), np.int64)
    for match in matches:
        for k, kind in enumerate(match.kinds):
            if kind >= 0:
                counts[k, kind] += 1
    return counts


def _truths(annotations: Sequence[Mapping[str, Any]], photos: Mapping[int, Any]) -> dict[int, _Truth]:
    people: dict[int, list[int]] = {photo: [] for photo in photos}
    ignored: dict[int, list[int]] = {photo: [] for photo in photos}
    for n, annotation in enumerate(annotations):
        counts = annotation["num_keypoints"] > 0 and not annotation["iscrowd"]
        (people if counts else ignored)[annotation["image_id"]].append(n)
    result = {}
    for photo, ids in people.items():
        points = [np.array(annotations[n]["keypoints"], float).reshape(-1, 3) for n in ids]
        boxes = np.array([annotations[n]["bbox"] for n in ignored[photo]], float).reshape(-1, 4)
        areas = np.array([annotations[n]["area"] for n in ids], float)
        result[photo] = _Truth(ids, np.array(points), areas, boxes)
    return result


def _similarity(points: np.ndarray, places: np.ndarray, area: float, sigmas: np.ndarray) -> np.ndarray:
    """COCO's term for points ``(K, 2)`` at places ``(K, 2)``."""
    return np.exp(-((points - places) ** 2).sum(-1) / (2 * (area + _EPSILON) * (2 * sigmas) ** 2))


def _match_photo(
    found: Sequence[int], detections: Sequence[Detection], truth: _Truth, skeleton: Skeleton
) -> tuple[list[_Match], set[int]]:
    """Who is of whom, best score first; and those that are of nobody, neither of an ignored region."""
    sigmas, mirror = np.array([skeleton.sigmas[k] for k in skeleton.scored]), _partners(skeleton)
    free = list(range(len(truth.ids)))
    matches, background = [], set()
    for n in found:
        person = np.array(detections[n]["keypoints"], float).reshape(-1, 3)
        likeness = [_blind_oks(person, truth.points[g], truth.areas[g], sigmas, mirror) for g in free]
        if likeness and max(likeness) >= MATCH_FROM:
            g = free.pop(int(np.argmax(likeness)))
            kinds, oks = _classify(person, g, truth, sigmas, mirror)
            matches.append(_Match(n, truth.ids[g], kinds, oks))
        elif not _in_ignored(person, truth.ignored):
            background.add(n)
    return matches, background


def _partners(skeleton: Skeleton) -> np.ndarray:
    """For every scored keypoint the place of its mirror partner among them; itself when it has none."""
    place = {k: n for n, k in enumerate(skeleton.scored)}
    return np.array([place[skeleton.flip_keypoints[k]] for k in skeleton.scored])


def _near(
    person: np.ndarray, true: np.ndarray, area: float, sigmas: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """Similarity of found keypoints to the true places ``which``; 0 where either is not there."""
    near = _similarity(person[:, :2], true[which, :2], area, sigmas[which])
    return near * ((person[:, 2] > 0) & (true[which, 2] > 0))


def _blind_oks(
    person: np.ndarray, true: np.ndarray, area: float, sigmas: np.ndarray, mirror: np.ndarray
) -> float:
    labelled, own = true[:, 2] > 0, np.arange(len(true))
    near = np.maximum(_near(person, true, area, sigmas, own), _near(person, true, area, sigmas, mirror))
    return float(near[labelled].mean())


def _classify(
    person: np.ndarray, own: int, truth: _Truth, sigmas: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, float]:
    """The kind of every labelled keypoint, and the person's true OKS."""
    same = np.arange(len(sigmas))
    true, area = truth.points[own], truth.areas[own]
    labelled = true[:, 2] > 0
    right = _near(person, true, area, sigmas, same)
    inverted = np.where(mirror != same, _near(person, true, area, sigmas, mirror), 0.0)
    swapped = np.zeros(len(sigmas))
    for g in range(len(truth.ids)):
        if g != own:
            for which in (same, mirror):
                near = _near(person, truth.points[g], truth.areas[g], sigmas, which)
                swapped = np.maximum(swapped, near)
    kinds = np.full(len(sigmas), MISSED)
    kinds[(swapped >= NEAR_FROM) & (swapped > inverted)] = SWAP
    kinds[(inverted >= NEAR_FROM) & (inverted >= swapped)] = INVERSION
    kinds[right >= NEAR_FROM] = JITTER
    kinds[right >= GOOD_FROM] = GOOD
    kinds[~labelled] = -1
    return kinds, float(right[labelled].mean())


def _in_ignored(person: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether most found keypoints lie in one ignored box, grown by its size on every side as COCO does."""
    points = person[person[:, 2] > 0, :2]
    for x, y, w, h in boxes:
        inside = ((points >= (x - w, y - h)) & (points <= (x + 2 * w, y + 2 * h))).all(-1)
        if len(points) and inside.mean() >= NEAR_FROM:
            return True
    return False


def _repair(
    name: str,
    detections: Sequence[Detection],
    annotations: Sequence[Mapping[str, Any]],
    matches: Sequence[_Match],
    background: set[int],
) -> list[Detection]:
    """The detections without one kind of error."""
    if name == "background":
        return [d for n, d in enumerate(detections) if n not in background]
    repaired = list(detections)
    if name == "ranking":
        oks = {match.detection: match.oks for match in matches}
        return [d | {"score": oks.get(n, 0.0)} for n, d in enumerate(detections)]
    wrong = KINDS.index(name)
    for match in matches:
        if (match.kinds == wrong).any():
            points = np.array(detections[match.detection]["keypoints"], float).reshape(-1, 3)
            true = np.array(annotations[match.annotation]["keypoints"], float).reshape(-1, 3)
            points[match.kinds == wrong, :2] = true[match.kinds == wrong, :2]
            points[match.kinds == wrong, 2] = np.maximum(points[match.kinds == wrong, 2], 0.01)
            repaired[match.detection] = dict(detections[match.detection]) | {
                "keypoints": points.ravel().tolist()
            }
    return repaired
