"""Classify what is wrong with found people, and measure what each kind of error costs in AP.

The method is that of Ronchi and Perona 2017, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation". Found people are matched to annotated ones, best score first. As in COCO the match with the
highest OKS wins, but an OKS of 0.1 is enough, and left and right may be exchanged: a person found the wrong
way round is one person with inverted keypoints. A found person who matches nobody is *background*, an
annotated one whom nobody matches is *unseen*.

Each labelled keypoint of a matched person gets a kind, by COCO's similarity ``exp(-d^2 / (2 area k^2))``,
``k = 2 sigma``, of the found keypoint to

- its true place: *good* from 0.85, *jitter* from 0.5,
- the place of its left/right partner on the same person: *inversion* from 0.5,
- the place of the keypoint or its partner on another person: *swap* from 0.5.

The first that applies counts; between inversion and swap, the more similar place does. Otherwise, and when it
was not found at all, the keypoint is *missed*. All coordinates are pixels of the original photo.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pafpose.metrics.coco_ap import MAX_DETECTIONS, Detection, coco_ap, in_skeleton_order
from pafpose.metrics.distances import Distances, measure_distances
from pafpose.skeleton import Skeleton

KINDS = ("good", "jitter", "inversion", "swap", "missed")
GOOD, JITTER, INVERSION, SWAP, MISSED = range(len(KINDS))
GAINS = (*KINDS[1:], "background", "unseen", "ranking")  # what can be put right
GOOD_FROM, NEAR_FROM, MATCH_FROM = 0.85, 0.5, 0.1
_EPSILON = np.spacing(1)  # COCO's, so that an area of 0 does no harm


@dataclass(frozen=True)
class ErrorReport:
    """Counts of keypoints and people, the AP gained by putting one kind of error right, and pixel errors."""

    keypoints: tuple[str, ...]  # scored ones
    counts: np.ndarray  # (K, 5) labelled keypoints of matched people, by kind
    people: int  # annotated people with labelled keypoints
    unseen: int  # annotated people whom nobody matches
    background: int  # found people who match nobody
    ap: float
    gains: dict[str, float]  # by GAINS
    distances: Distances  # in pixels, of the same matches

    def metrics(self) -> dict[str, float]:
        """Return flat numbers for metrics.json; those by kind are shares of labelled keypoints."""
        rows = {"": self.counts.sum(0)} | dict(zip(self.keypoints, self.counts, strict=True))
        flat = {}
        for name, row in rows.items():
            shares = (row / max(row.sum(), 1)).tolist()
            for kind, share in zip(KINDS, shares, strict=True):
                flat[f"errors_{kind}_{name}" if name else f"errors_{kind}"] = share
        flat |= {"errors_background": float(self.background), "errors_unseen": float(self.unseen)}
        flat |= {f"gain_{name}": gain for name, gain in self.gains.items()}
        return flat | self.distances.metrics()


def error_report(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    max_detections: int = MAX_DETECTIONS,
) -> ErrorReport:
    """Classify the errors of the best people of each photo; the arguments are those of ``coco_ap``.

    A gain is the AP after one kind of error was put right, minus the AP. Keypoints are moved to their true
    places, background people are dropped, unseen people leave the ground truth, and for *ranking* found
    people are scored by their true OKS.
    """
    truth = in_skeleton_order(ground_truth, skeleton)
    annotations = truth["annotations"]
    by_photo: dict[int, list[int]] = {image["id"]: [] for image in truth["images"]}
    for n, detection in enumerate(detections):
        by_photo[detection["image_id"]].append(n)
    similarity, photos = _Similarity(skeleton), _photos(truth)
    matches: list[_Match] = []
    background: set[int] = set()
    for image_id, found in by_photo.items():
        best = sorted(found, key=lambda n: -detections[n]["score"])[:max_detections]
        persons = {n: _points(detections[n]) for n in best}
        matched, unmatched = _match(persons, photos[image_id], similarity)
        matches += matched
        background |= unmatched
    people = {g for photo in photos.values() for g in photo.people}
    unseen = people - {match.annotation for match in matches}

    def ap(found: Sequence[Detection], without: Collection[int] = ()) -> float:
        kept = [a for g, a in enumerate(annotations) if g not in without]
        rest = truth | {"annotations": kept}
        return coco_ap(found, rest, skeleton, max_detections=max_detections, areas=("all",))["AP"]

    repaired = {
        name: ap(_with_true_places(detections, annotations, matches, kind))
        for kind, name in enumerate(KINDS)
        if kind != GOOD
    }
    repaired["background"] = ap([d for n, d in enumerate(detections) if n not in background])
    repaired["unseen"] = ap(detections, without=unseen)
    oks = {match.detection: match.oks for match in matches}
    repaired["ranking"] = ap([d | {"score": oks.get(n, 0.0)} for n, d in enumerate(detections)])
    before = ap(detections)
    keypoints = tuple(skeleton.keypoints[k] for k in skeleton.scored)
    return ErrorReport(
        keypoints=keypoints,
        counts=_count(matches, len(skeleton.scored)),
        people=len(people),
        unseen=len(unseen),
        background=len(background),
        ap=before,
        gains={name: repaired[name] - before for name in GAINS},
        distances=_distances(keypoints, sorted(people), annotations, detections, matches),
    )


class _Photo(NamedTuple):
    """What is annotated in one photo."""

    people: list[int]  # indices in the list of annotations: not crowds, with labelled keypoints
    keypoints: np.ndarray  # (G, K, 3)
    areas: np.ndarray  # (G,)
    ignored: np.ndarray  # (N, 4) COCO boxes of crowds and of people without labelled keypoints


class _Match(NamedTuple):
    """A found person and the annotated person it was matched to."""

    detection: int  # index in the list of detections
    annotation: int  # index in the list of annotations
    kinds: np.ndarray  # (K,) indices in KINDS, -1 where the keypoint is not labelled
    oks: float


class _Similarity:
    """COCO's similarity of keypoints ``(K, 3)``, by the sigmas of a skeleton's scored keypoints."""

    def __init__(self, skeleton: Skeleton) -> None:
        index = {k: n for n, k in enumerate(skeleton.scored)}
        self.sigmas = np.array([skeleton.sigmas[k] for k in skeleton.scored])
        self.partner = np.array([index[skeleton.flip_keypoints[k]] for k in skeleton.scored])

    def __call__(
        self, found: np.ndarray, true: np.ndarray, area: float, *, partner: bool = False
    ) -> np.ndarray:
        """Compare found keypoints with the true places, or with those of their left/right partners.

        Returns ``(K,)``; 0 where the keypoint was not found or the place is not labelled. A keypoint in the
        middle of the body is its own partner.
        """
        there, sigmas = (true[self.partner], self.sigmas[self.partner]) if partner else (true, self.sigmas)
        squares = ((found[:, :2] - there[:, :2]) ** 2).sum(-1)
        similarity = np.exp(-squares / (2 * (area + _EPSILON) * (2 * sigmas) ** 2))
        return similarity * ((found[:, 2] > 0) & (there[:, 2] > 0))


def _points(annotation: Mapping[str, Any]) -> np.ndarray:
    return np.array(annotation["keypoints"], float).reshape(-1, 3)


def _photos(truth: Mapping[str, Any]) -> dict[int, _Photo]:
    people: dict[int, list[int]] = {image["id"]: [] for image in truth["images"]}
    ignored: dict[int, list[int]] = {image["id"]: [] for image in truth["images"]}
    for g, annotation in enumerate(truth["annotations"]):
        counts = annotation["num_keypoints"] > 0 and not annotation["iscrowd"]
        (people if counts else ignored)[annotation["image_id"]].append(g)
    annotations = truth["annotations"]
    return {
        image_id: _Photo(
            own,
            np.array([_points(annotations[g]) for g in own]),
            np.array([annotations[g]["area"] for g in own]),
            np.array([annotations[g]["bbox"] for g in ignored[image_id]], float).reshape(-1, 4),
        )
        for image_id, own in people.items()
    }


def _match(
    persons: Mapping[int, np.ndarray], photo: _Photo, similarity: _Similarity
) -> tuple[list[_Match], set[int]]:
    """Match found people, best score first, to annotated ones; return the matches and the background.

    People who match nobody but lie in an ignored region are in neither.
    """
    free = list(range(len(photo.people)))
    matches, background = [], set()
    for n, person in persons.items():
        oks = [_sideless_oks(person, photo.keypoints[g], photo.areas[g], similarity) for g in free]
        if oks and max(oks) >= MATCH_FROM:
            g = free.pop(int(np.argmax(oks)))
            kinds, true_oks = _classify(person, g, photo, similarity)
            matches.append(_Match(n, photo.people[g], kinds, true_oks))
        elif not _is_ignored(person, photo.ignored):
            background.add(n)
    return matches, background


def _sideless_oks(person: np.ndarray, true: np.ndarray, area: float, similarity: _Similarity) -> float:
    """Return the OKS when each keypoint may lie at its own place or at its partner's."""
    near = np.maximum(similarity(person, true, area), similarity(person, true, area, partner=True))
    return float(near[true[:, 2] > 0].mean())


def _classify(
    person: np.ndarray, own: int, photo: _Photo, similarity: _Similarity
) -> tuple[np.ndarray, float]:
    """Return the kind of each keypoint and the OKS of a person matched to annotated person ``own``."""
    true, area = photo.keypoints[own], photo.areas[own]
    labelled = true[:, 2] > 0
    right = similarity(person, true, area)
    inverted = similarity(person, true, area, partner=True)
    swapped = np.zeros(len(true))
    for g in range(len(photo.people)):
        if g != own:
            for partner in (False, True):
                near = similarity(person, photo.keypoints[g], photo.areas[g], partner=partner)
                swapped = np.maximum(swapped, near)
    kinds = np.full(len(true), MISSED)
    kinds[(swapped >= NEAR_FROM) & (swapped > inverted)] = SWAP
    kinds[(inverted >= NEAR_FROM) & (inverted >= swapped)] = INVERSION
    kinds[right >= NEAR_FROM] = JITTER
    kinds[right >= GOOD_FROM] = GOOD
    kinds[~labelled] = -1
    return kinds, float(right[labelled].mean())


def _is_ignored(person: np.ndarray, boxes: np.ndarray) -> bool:
    """Tell whether half of the found keypoints lie in one box grown by its own size on every side.

    COCOeval grows the boxes of ignored regions in the same way, and like there boxes and keypoints are
    compared as they stand in the file, half a pixel apart.
    """
    points = person[person[:, 2] > 0, :2]
    if not len(points):
        return False
    low, high = boxes[:, :2] - boxes[:, 2:], boxes[:, :2] + 2 * boxes[:, 2:]
    inside = ((points >= low[:, None]) & (points <= high[:, None])).all(-1)
    return bool((inside.mean(-1) >= 0.5).any())


def _count(matches: Sequence[_Match], num_keypoints: int) -> np.ndarray:
    counts = np.zeros((num_keypoints, len(KINDS)), np.int64)
    for match in matches:
        labelled = np.flatnonzero(match.kinds >= 0)
        counts[labelled, match.kinds[labelled]] += 1
    return counts


def _distances(
    keypoints: tuple[str, ...],
    people: Sequence[int],
    annotations: Sequence[Mapping[str, Any]],
    detections: Sequence[Detection],
    matches: Sequence[_Match],
) -> Distances:
    row = {g: n for n, g in enumerate(people)}
    true = np.array([_points(annotations[g]) for g in people])
    found = {row[match.annotation]: _points(detections[match.detection]) for match in matches}
    return measure_distances(keypoints, true, found)


def _with_true_places(
    detections: Sequence[Detection],
    annotations: Sequence[Mapping[str, Any]],
    matches: Sequence[_Match],
    kind: int,
) -> list[Detection]:
    """Return the detections with all keypoints of one kind moved to their true places."""
    repaired = list(detections)
    for match in matches:
        wrong = match.kinds == kind
        if wrong.any():
            points = _points(detections[match.detection])
            points[wrong, :2] = _points(annotations[match.annotation])[wrong, :2]
            repaired[match.detection] = detections[match.detection] | {"keypoints": points.ravel().tolist()}
    return repaired
