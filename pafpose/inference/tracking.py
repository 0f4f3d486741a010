"""Follow people through a video: the same person has the same id, and keypoints do not tremble.

People are matched with tracks by COCO's similarity of keypoints (OKS), after every track has moved on by its
velocity. Keypoints are smoothed by a one-euro filter: Casiez et al., "1 € filter", CHI 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from pafpose.errors import PafposeError
from pafpose.inference.people import People
from pafpose.skeleton import Skeleton

_AREA = 0.53  # of a person, as a share of the box around the keypoints; COCO's mean


@dataclass(frozen=True)
class TrackSettings:
    """How people are followed: the keys of ``track`` in ``conf/predict.yaml``."""

    ids: bool = True
    smooth: bool = True
    max_missing: int = 30  # frames after which somebody who is not found is forgotten
    min_similarity: float = 0.1  # OKS from 0 to 1 between a person and the track it is added to
    start_score: float = 0.2  # only people with at least this score start a track

    def __post_init__(self) -> None:
        if self.max_missing < 0:
            raise PafposeError(f"track.max_missing={self.max_missing}: give a number of frames, 0 or more")
        for key in ("min_similarity", "start_score"):
            if not 0 <= getattr(self, key) <= 1:
                raise PafposeError(f"track.{key}={getattr(self, key)}: give a number from 0 to 1")


@dataclass
class OneEuro:
    """A low-pass filter of points whose cutoff rises with their speed, so that movements get through.

    Speeds count in ``size`` per second, so that near and far people are smoothed alike. At rest and at 25
    frames a second, the cutoff of 1 Hz takes four fifths of each new deviation away.
    """

    rate: float  # frames per second
    rest: float = 1.0  # Hz, cutoff of points at rest
    slope: float = 8.0  # by how many Hz the cutoff rises with a speed of one size per second
    speed_cutoff: float = 1.0  # Hz, cutoff of the speed itself
    _points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    _speeds: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    _known: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __call__(self, points: np.ndarray, known: np.ndarray, size: float) -> np.ndarray:
        """Return points (K, 2) smoothed; those that were not ``known`` (K,) in the last call start anew."""
        if not len(self._points):
            self._points, self._speeds, self._known = (
                points.copy(),
                np.zeros_like(points),
                np.zeros(len(points), bool),
            )
        going = (known & self._known)[:, None]
        speeds = (points - self._points) * self.rate
        weight = self._weight(np.array(self.speed_cutoff))
        self._speeds = np.where(going, self._speeds + weight * (speeds - self._speeds), 0.0)
        cutoff = self.rest + self.slope * np.linalg.norm(self._speeds, axis=1, keepdims=True) / max(size, 1.0)
        smooth = self._points + self._weight(cutoff) * (points - self._points)
        self._points, self._known = np.where(going, smooth, points), known
        return self._points

    def _weight(self, cutoff: np.ndarray) -> np.ndarray:
        """Return the weight of a new value."""
        return 1 / (1 + self.rate / (2 * math.pi * cutoff))


@dataclass
class _Track:
    """One person: where every keypoint was last seen, and how the whole moves."""

    number: int
    xy: np.ndarray  # (K, 2), moved on by the velocity since then
    known: np.ndarray  # (K,)
    smooth: OneEuro
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))  # px per frame
    missing: int = 0  # frames since the person was last found

    def move_on(self) -> None:
        """Expect the person one frame later."""
        self.xy = self.xy + self.velocity
        self.missing += 1

    def add(self, person: np.ndarray) -> None:
        """Add a person (K, 3) that was found in this frame."""
        found = person[:, 2] > 0
        both = found & self.known
        if both.any():  # what is left of the step, after the expected one
            step = np.median(person[both, :2] - self.xy[both], axis=0)
            self.velocity = self.velocity + 0.3 * step / self.missing
            self.xy = self.xy + step
        self.xy = np.where(found[:, None], person[:, :2], self.xy)
        self.known, self.missing = self.known | found, 0


class Tracker:
    """Give people ids and smooth their keypoints, one frame of a video after the other.

    ``rate`` is the number of frames per second. Ids count from 1.
    """

    def __init__(self, skeleton: Skeleton, *, rate: float, settings: TrackSettings | None = None) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise PafposeError(f"rate={rate}: give the number of frames per second")
        self.settings = settings or TrackSettings()
        self._rate, self._tracks, self._started = rate, list[_Track](), 0
        self._variances = (2 * np.array(skeleton.sigmas)) ** 2

    def __call__(self, people: People) -> People:
        """Return the people of the next frame with ids (0: no track), their keypoints smoothed."""
        keypoints = people.keypoints.double().numpy()
        for track in self._tracks:
            track.move_on()
        tracks = self._match(keypoints, people.scores.numpy())
        self._tracks = [track for track in self._tracks if track.missing <= self.settings.max_missing]
        smoothed = keypoints.copy()
        for n, track in tracks.items():
            size = math.sqrt(_area(keypoints[n, :, :2], keypoints[n, :, 2] > 0))
            if self.settings.smooth:
                found = keypoints[n, :, 2] > 0
                smoothed[n, :, :2] = track.smooth(keypoints[n, :, :2], found, size) * found[:, None]
        ids = torch.tensor(
            [tracks[n].number if n in tracks else 0 for n in range(len(people))], dtype=torch.long
        )
        return replace(people, keypoints=torch.from_numpy(smoothed).to(people.keypoints), ids=ids)

    def _match(self, people: np.ndarray, scores: np.ndarray) -> dict[int, _Track]:
        """Return the track of each person (K, 3), by the person's place; new tracks for new people.

        The assignment has the largest sum of similarities, in which people with high scores weigh more, so
        that fragments of somebody do not take the track, and tracks that are missing weigh less.
        """
        similarity = np.array(
            [self._similarity(track, person) for person in people for track in self._tracks]
        )
        similarity = similarity.reshape(len(people), len(self._tracks))
        similarity[similarity < self.settings.min_similarity] = 0
        missing = np.array([track.missing for track in self._tracks])
        pairs = linear_sum_assignment(similarity * scores[:, None] / np.sqrt(missing), maximize=True)
        found = {int(n): self._tracks[t] for n, t in zip(*pairs, strict=True) if similarity[n, t]}
        for n, person in enumerate(people):
            if n in found:
                found[n].add(person)
            elif scores[n] >= self.settings.start_score:
                found[n] = self._start(person)
        return found

    def _start(self, person: np.ndarray) -> _Track:
        self._started += 1
        track = _Track(self._started, person[:, :2].copy(), person[:, 2] > 0, OneEuro(self._rate))
        self._tracks.append(track)
        return track

    def _similarity(self, track: _Track, person: np.ndarray) -> float:
        """Return the OKS of a person and a track; the longer the track is missing, the farther it may be.

        Keypoints that only one of them has do not count, unless the other one has fewer of them.
        """
        found = person[:, 2] > 0
        both = found & track.known
        if not both.any():
            return 0.0
        area = max(_area(track.xy, track.known), _area(person[:, :2], found))
        squares = ((person[both, :2] - track.xy[both]) ** 2).sum(1)
        close = np.exp(-squares / (2 * area * self._variances[both] * track.missing))
        return float(close.sum() / min(found.sum(), track.known.sum()))


def _area(xy: np.ndarray, known: np.ndarray) -> float:
    """Return the area of a person in square pixels, from the box of the known keypoints (K, 2)."""
    sides = np.ptp(xy[known], axis=0) if known.any() else np.zeros(2)
    longer = float(sides.max())
    return max(1.0, _AREA * longer * max(float(sides.min()), longer / 3))
