"""People who walk, cross and hide each other keep their ids; keypoints tremble less and hardly lag."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pafpose.errors import PafposeError
from pafpose.inference.people import People
from pafpose.inference.tracking import Tracker, TrackSettings
from pafpose.skeleton import Skeleton
from tests.known_people import STANDING

RATE = 25
WALKERS = 4
SWING = np.zeros((17, 2))
SWING[[7, 8, 9, 10, 13, 14, 15, 16], 0] = (8, -8, 14, -14, -8, 8, -16, 16)


def walkers(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return (frames, people, 17, 2): people of several sizes who cross each other at walking pace."""
    time = np.arange(frames) / RATE
    scales = rng.uniform(0.7, 1.3, WALKERS)
    starts = np.c_[rng.uniform(0, 640, WALKERS), rng.uniform(80, 140, WALKERS)]
    pace = rng.uniform(50, 110, WALKERS) * np.where(starts[:, 0] < 320, 1, -1)  # px per second
    phase = np.sin(2 * np.pi * (time[:, None] * 0.9 + rng.uniform(0, 1, WALKERS)))
    body = STANDING + phase[..., None, None] * SWING
    way = starts + np.stack([pace * time[:, None], np.zeros((frames, WALKERS))], -1)
    return body * scales[:, None, None] + way[:, :, None]


def found_in(
    xy: np.ndarray, skeleton: Skeleton, noise: np.ndarray, order: np.ndarray
) -> tuple[People, list[int]]:
    """Return what a network sees of people (N, 17, 2), and who it is: nobody who is behind another."""
    centre, height = xy.mean(1), np.ptp(xy[:, :, 1], axis=1)
    nearer = height[None] > height[:, None]
    beside = np.abs(centre[None, :, 0] - centre[:, None, 0]) > 0.16 * height[None]
    seen = [n for n in order if not (nearer[n] & ~beside[n]).any()]
    keypoints = np.zeros((len(seen), skeleton.num_keypoints, 3))
    keypoints[:, list(skeleton.scored), :2] = xy[seen] + noise[seen]
    keypoints[:, list(skeleton.scored), 2] = 0.9
    return People(torch.from_numpy(keypoints).float(), torch.full((len(seen),), 0.8), skeleton), seen


def clips(skeleton: Skeleton, count: int) -> Iterator[list[tuple[People, list[int]]]]:
    for seed in range(count):
        rng = np.random.default_rng(seed)
        xy = walkers(rng, 150)
        yield [
            found_in(frame, skeleton, rng.normal(0, 1, frame.shape), rng.permutation(WALKERS)) for frame in xy
        ]


def test_ids_survive_crossings(coco18: Skeleton) -> None:
    """At most one exchange of ids in ten times that somebody was hidden behind another."""
    switches = hidden = 0
    for clip in clips(coco18, 20):
        tracker, last, before = Tracker(coco18, rate=RATE), dict[int, int](), {*range(WALKERS)}
        for people, who in clip:
            ids = tracker(people).ids
            assert ids is not None and (ids > 0).all() and len({*ids.tolist()}) == len(who)
            now = dict(zip(who, ids.tolist(), strict=True))
            switches += sum(last.get(n, number) != number for n, number in now.items())
            hidden += len(before - {*who})
            last, before = last | now, {*who}
    print(f"{switches} switches in {hidden} times hidden")
    assert hidden > 40 and switches <= hidden / 10


def still(skeleton: Skeleton, frames: int, noise: float) -> Iterator[People]:
    rng = np.random.default_rng(0)
    for _ in range(frames):
        yield found_in(STANDING[None] + 40, skeleton, rng.normal(0, noise, (1, 17, 2)), np.arange(1))[0]


def acceleration(frames: list[People], skeleton: Skeleton) -> float:
    xy = torch.stack([people.keypoints[0, list(skeleton.scored), :2] for people in frames]).numpy()
    return float(np.linalg.norm(np.diff(xy, n=2, axis=0), axis=-1).mean())


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_still_people_tremble_less_than_half_as_much(coco18: Skeleton, noise: float) -> None:
    raw = list(still(coco18, 100, noise))
    smooth = list(map(Tracker(coco18, rate=RATE), raw))
    share = acceleration(smooth, coco18) / acceleration(raw, coco18)
    print(f"noise {noise} px: {share:.2f} of the acceleration")
    assert share < 0.5
    rough = list(map(Tracker(coco18, rate=RATE, settings=TrackSettings(smooth=False)), raw))
    assert acceleration(rough, coco18) == acceleration(raw, coco18)


def test_walkers_lag_less_than_a_frame(coco18: Skeleton) -> None:
    """The lag that fits best between smoothed and true positions, over all keypoints."""
    rng = np.random.default_rng(1)
    xy = walkers(rng, 150)[:, :1]
    tracker = Tracker(coco18, rate=RATE)
    smooth = [
        tracker(found_in(frame, coco18, rng.normal(0, 1, frame.shape), np.arange(1))[0]) for frame in xy
    ]
    ours = torch.stack([people.keypoints[0, list(coco18.scored), :2] for people in smooth]).numpy()[20:, None]
    speed = np.gradient(xy, axis=0)[20:]
    lag = ((xy[20:] - ours) * speed).sum() / (speed**2).sum()
    print(f"lag {lag:.2f} frames")
    assert 0 < lag < 1


def test_somebody_who_is_gone_for_30_frames_comes_back(coco18: Skeleton) -> None:
    nobody = People(torch.zeros(0, 18, 3), torch.zeros(0), coco18)
    for missing, same in ((30, True), (31, False)):
        tracker = Tracker(coco18, rate=RATE)
        first, *_, last = map(tracker, [*still(coco18, 3, 0), *[nobody] * missing, *still(coco18, 1, 0)])
        assert first.ids is not None and last.ids is not None
        assert (first.ids.tolist() == last.ids.tolist()) == same
    assert tracker(nobody).ids.tolist() == []  # type: ignore[union-attr]


def test_missing_keypoints_stay_missing_and_start_anew(coco18: Skeleton) -> None:
    tracker = Tracker(coco18, rate=RATE)
    frames = list(still(coco18, 12, 0))
    for people in frames[4:8]:
        people.keypoints[0, 3] = 0
    for people in frames[8:]:
        people.keypoints[0, 3, 0] += 25  # seen again elsewhere
    smooth = [tracker(people).keypoints[0, 3] for people in frames]
    assert all((point == 0).all() for point in smooth[4:8])
    torch.testing.assert_close(smooth[8], frames[8].keypoints[0, 3])


def test_people_with_low_scores_start_no_track(coco18: Skeleton) -> None:
    (people,) = still(coco18, 1, 0)
    weak = People(people.keypoints, torch.full((1,), 0.1), coco18)
    tracker = Tracker(coco18, rate=RATE)
    assert [tracker(one).ids.tolist() for one in (weak, people, weak)] == [[0], [1], [1]]  # type: ignore[union-attr]
    assert weak.to_coco()[0].get("track_id", "none") == "none"
    assert [tracker(one).to_coco()[0]["track_id"] for one in (people, weak)] == [1, 1]


def test_fragments_do_not_take_a_track(coco18: Skeleton) -> None:
    """A second skeleton of the same person: three keypoints, which are often nearer to the expected place."""
    tracker, rng = Tracker(coco18, rate=RATE), np.random.default_rng(0)
    for (person,) in zip(still(coco18, 30, 0), strict=True):
        whole, fragment = person.keypoints.clone(), person.keypoints.clone()
        whole[..., :2] += torch.from_numpy(rng.normal(0, 4, whole[..., :2].shape)) * (whole[..., 2:] > 0)
        fragment[:, 3:] = 0
        both = People(torch.cat([whole, fragment]), torch.tensor([0.8, 0.1]), coco18)
        assert tracker(both).ids.tolist() == [1, 0]  # type: ignore[union-attr]


def test_a_walker_is_expected_farther_on(coco18: Skeleton) -> None:
    """Hidden for 20 frames, while somebody else stops where the walker was seen last."""
    tracker = Tracker(coco18, rate=RATE)

    def at(*places: float) -> People:
        (person,) = still(coco18, 1, 0)
        keypoints = person.keypoints.repeat(len(places), 1, 1)
        keypoints[..., 0] += torch.tensor(places)[:, None] * (keypoints[..., 2] > 0)
        return People(keypoints, torch.full((len(places),), 0.8), coco18)

    for frame in range(20):
        tracker(at(4.0 * frame))
    for _ in range(20):
        tracker(at())
    assert tracker(at(4.0 * 19, 4.0 * 40)).ids.tolist() == [2, 1]  # type: ignore[union-attr]


def test_a_lost_track_does_not_take_the_place_of_a_living_one(coco18: Skeleton) -> None:
    """Two people in one place, of whom one is gone."""
    tracker = Tracker(coco18, rate=RATE)
    (one,) = still(coco18, 1, 0)
    two = one.keypoints.clone()
    two[..., 0] += 8 * (two[..., 2] > 0)
    pair = People(torch.cat([one.keypoints, two]), torch.tensor([0.8, 0.7]), coco18)
    assert tracker(pair).ids.tolist() == [1, 2]  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    for _ in range(25):
        noise = torch.from_numpy(rng.normal(0, 4, two[..., :2].shape)).float() * (two[..., 2:] > 0)
        moved = People(torch.cat([two[..., :2] + noise, two[..., 2:]], -1), torch.tensor([0.7]), coco18)
        assert tracker(moved).ids.tolist() == [2]  # type: ignore[union-attr]


def test_bad_settings(coco18: Skeleton) -> None:
    with pytest.raises(PafposeError, match="rate=0"):
        Tracker(coco18, rate=0)
    for bad in ({"max_missing": -1}, {"min_similarity": 2}, {"start_score": -0.1}):
        with pytest.raises(PafposeError, match=next(iter(bad))):
            TrackSettings(**bad)  # type: ignore[arg-type]
