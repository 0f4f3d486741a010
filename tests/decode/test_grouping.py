"""Matching and grouping: optimal where promised, best first, and no matter how limbs are listed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from decode_scenes import random_fields
from scipy.optimize import linear_sum_assignment

from pafpose.decode import Decoder, DecodeSettings
from pafpose.decode.candidates import Candidates
from pafpose.decode.grouping import group_people
from pafpose.decode.matching import Matching, assign, match
from pafpose.decode.peaks import Peaks


def grouped(skeleton, kinds, links, heights=None, **settings):
    """People as sets of peak numbers: ``kinds`` of the peaks (ascending), candidates (limb, a, b, score)."""
    settings = {"min_keypoints": 1, "min_sum_per_keypoint": 0, **settings}
    points = np.array([[number, 0, 1.0] for number in range(len(kinds))]).reshape(-1, 3)
    points[:, 2] = 1.0 if heights is None else heights
    starts = np.searchsorted(kinds, np.arange(skeleton.num_keypoints + 1)).astype(np.int64)
    links = sorted(links)
    table = np.array([link[:3] for link in links], np.int32).reshape(-1, 3)
    candidates = Candidates(table, np.array([link[3] for link in links], np.float32))
    decoder = Decoder(skeleton, DecodeSettings(**settings), stride=8, heatmap_sigma=7)
    keypoints, scores = group_people(Peaks(points, starts), candidates, decoder.parameters.groups)
    people = [frozenset(round((x - 3.5) / 8) for x, _, found in person if found > 0) for person in keypoints]
    return people, scores


def limb(skeleton, a, b):
    pair = skeleton.index(a), skeleton.index(b)
    return skeleton.limbs.index(pair)


def test_assignment_is_optimal(rng):
    for rows, cols in ((1, 1), (3, 3), (4, 9), (12, 12)):
        gain = rng.uniform(0, 1, (rows, cols)) * (rng.uniform(0, 1, (rows, cols)) < 0.5)
        chosen = assign(gain)
        assert len(set(chosen)) == rows
        best = gain[linear_sum_assignment(-gain)].sum()
        assert gain[np.arange(rows), chosen].sum() == pytest.approx(best)


def test_greedy_takes_the_best_and_hungarian_the_best_sum_of_squares(coco18):
    shoulder_elbow = limb(coco18, "left_shoulder", "left_elbow")
    kinds = [5, 5, 7, 7]
    links = [(shoulder_elbow, 0, 2, 0.9), (shoulder_elbow, 0, 3, 0.8), (shoulder_elbow, 1, 2, 0.8)]
    greedy = grouped(coco18, kinds, links, matching="greedy")[0]
    assert set(greedy) == {frozenset({0, 2}), frozenset({1}), frozenset({3})}
    optimal = grouped(coco18, kinds, links, matching="hungarian")[0]
    assert set(optimal) == {frozenset({0, 3}), frozenset({1, 2})}


def test_islands_settled_by_themselves_have_the_best_sum_too(coco18, rng):
    """Single candidates, stars and tangles, with many equal scores, against one solver for the whole limb."""
    limbs, starts = np.array(coco18.limbs), np.arange(0, 19 * 12, 12)
    peaks = Peaks(np.ones((18 * 12, 3)), starts)
    for share in (0.05, 0.1, 0.2, 0.5):
        for _ in range(20):
            gain = np.round(rng.uniform(0.05, 1, (12, 12)), 1) * (rng.uniform(0, 1, (12, 12)) < share)
            rows, cols = np.nonzero(gain)
            limb = int(rng.integers(len(limbs)))
            a, b = starts[limbs[limb, 0]] + rows, starts[limbs[limb, 1]] + cols
            ends = np.stack([np.full(len(a), limb), a, b], 1).astype(np.int32)
            scores = gain[rows, cols].astype(np.float32)
            kept = match(Candidates(ends, scores), peaks, limbs, 0.5, int(Matching.hungarian))
            assert len(set(a[kept])) == len(set(b[kept])) == len(kept)
            assert np.all(np.diff(scores[kept]) <= 0)
            best = linear_sum_assignment(-(gain**2))
            assert (scores[kept] ** 2).sum() == pytest.approx((gain[best] ** 2).sum(), rel=1e-5)


def test_of_equal_rivals_that_share_a_peak_the_first_is_kept(coco18):
    shoulder_elbow = limb(coco18, "left_shoulder", "left_elbow")
    for kinds, links in (
        ([5, 7, 7, 7], [(shoulder_elbow, 0, b, 0.5) for b in (1, 2, 3)]),
        ([5, 5, 5, 7], [(shoulder_elbow, a, 3, 0.5) for a in (0, 1, 2)]),
    ):
        for matching in Matching.__members__:
            assert frozenset(links[0][1:3]) in grouped(coco18, kinds, links, matching=matching)[0]


def test_hungarian_does_not_trade_a_strong_limb_for_two_weak_ones(coco18):
    shoulder_elbow = limb(coco18, "left_shoulder", "left_elbow")
    kinds = [5, 5, 7, 7]
    links = [(shoulder_elbow, 0, 2, 0.9), (shoulder_elbow, 0, 3, 0.6), (shoulder_elbow, 1, 2, 0.6)]
    found = grouped(coco18, kinds, links, matching="hungarian")[0]
    assert set(found) == {frozenset({0, 2}), frozenset({1}), frozenset({3})}


@pytest.mark.parametrize("matching", Matching.__members__)
@pytest.mark.parametrize(("peak_weight", "partner"), [(0, 3), (0.5, 2)])
def test_a_weak_maximum_beside_a_true_one_comes_second(coco18, matching, peak_weight, partner):
    """Elbow 3 is noise beside elbow 2: its limb scores as well, and its height gives it away."""
    shoulder_elbow = limb(coco18, "left_shoulder", "left_elbow")
    links = [(shoulder_elbow, 0, 2, 0.9), (shoulder_elbow, 0, 3, 0.91), (shoulder_elbow, 1, 3, 0.1)]
    heights = [1.0, 1.0, 0.9, 0.2]
    found = grouped(coco18, [5, 5, 7, 7], links, heights, matching=matching, peak_weight=peak_weight)[0]
    assert frozenset({0, partner}) in found


def test_redundant_limbs_vote_and_never_split(coco18):
    ends = {"neck": 4, "nose": 0, "left_ear": 1, "left_shoulder": 2}
    kinds = [0, 3, 5, 5, 17]
    links = [
        (limb(coco18, "neck", "left_shoulder"), 4, 2, 0.9),
        (limb(coco18, "neck", "nose"), 4, 0, 0.8),
        (limb(coco18, "left_shoulder", "left_ear"), 2, 1, 0.7),
        (limb(coco18, "left_shoulder", "left_ear"), 3, 1, 0.6),
    ]
    people, scores = grouped(coco18, kinds, links)
    assert people == [frozenset(ends.values()), frozenset({3})]
    assert (37 * scores).tolist() == pytest.approx([4 + 0.9 + 0.8 + 0.7, 1])


def test_fragments_merge_and_conflicts_go_to_the_better_limb(coco18):
    hip_knee, knee_ankle = limb(coco18, "left_hip", "left_knee"), limb(coco18, "left_knee", "left_ankle")
    kinds = [11, 11, 13, 15]
    links = [(hip_knee, 0, 2, 0.5), (hip_knee, 1, 2, 0.6), (knee_ankle, 2, 3, 0.9)]
    people, _ = grouped(coco18, kinds, links)
    assert people == [frozenset({1, 2, 3}), frozenset({0})]


@pytest.mark.parametrize("matching", Matching.__members__)
def test_the_order_in_which_a_skeleton_lists_its_limbs_does_not_matter(coco18, rng, matching):
    settings = DecodeSettings(matching=matching, min_keypoints=2)
    for _ in range(5):
        heatmaps, pafs = random_fields(coco18, rng, (20, 24))
        order = rng.permutation(coco18.num_limbs)
        other = replace(coco18, limbs=tuple(coco18.limbs[n] for n in order))
        moved = pafs.reshape(-1, 2, 20, 24)[order].reshape(pafs.shape)
        expected = Decoder(coco18, settings, stride=8, heatmap_sigma=7)(heatmaps, pafs)
        found = Decoder(other, settings, stride=8, heatmap_sigma=7)(heatmaps, moved)
        assert len(expected.scores) > 0
        np.testing.assert_array_equal(found.keypoints, expected.keypoints)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_small_and_unsure_people_are_dropped(coco18):
    kinds = [5, 7, 9]
    links = [
        (limb(coco18, "left_shoulder", "left_elbow"), 0, 1, 0.5),
        (limb(coco18, "left_elbow", "left_wrist"), 1, 2, 0.4),
    ]
    assert len(grouped(coco18, kinds, links, min_keypoints=3)[0]) == 1
    assert grouped(coco18, kinds, links, min_keypoints=4)[0] == []
    assert grouped(coco18, kinds, links, min_sum_per_keypoint=1.31)[0] == []  # (3 + 0.9) / 3 = 1.3
    assert len(grouped(coco18, kinds, links, min_sum_per_keypoint=1.29)[0]) == 1
    assert grouped(coco18, [], [])[0] == []


def test_a_score_is_the_share_of_what_a_complete_person_has(coco18):
    """18 keypoints of confidence 0.5 and 19 limbs of score 0.25, of 18 + 19; more than all is 1."""
    kinds, links = list(range(18)), [(n, a, b, 0.25) for n, (a, b) in enumerate(coco18.limbs)]
    share = (18 * 0.5 + 19 * 0.25) / (18 + 19)
    assert grouped(coco18, kinds, links, heights=0.5)[1].tolist() == pytest.approx([share])
    assert len(grouped(coco18, kinds, links, heights=0.5, min_score=share - 1e-6)[0]) == 1
    assert grouped(coco18, kinds, links, heights=0.5, min_score=share + 1e-6)[0] == []
    assert grouped(coco18, kinds, links, heights=3.0)[1].tolist() == [1]


def test_skeletons_of_more_than_64_keypoints(coco18):
    names = tuple(f"k{n}" for n in range(130))
    long = replace(
        coco18, keypoints=names, limbs=tuple((n, n + 1) for n in range(129)), derived=(), pairs=(),
        sigmas=(0.1,) * 130, colours=((0, 0, 0),) * 130,
    )  # fmt: skip
    kinds = np.repeat(np.arange(130), 2)
    links = [(n, 2 * n + i, 2 * n + 2 + i, 0.5) for n in range(129) for i in (0, 1)]
    links += [(n, 2 * n, 2 * n + 3, 0.4) for n in range(129)]
    people, _ = grouped(long, kinds, links)
    assert set(people) == {frozenset(range(0, 260, 2)), frozenset(range(1, 260, 2))}
